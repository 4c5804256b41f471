"""Recipe `spn-color`: the spatial propagation network for colour, on photographs and single frames of natural clips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from propagation.bench.protocol import to_lab
from propagation.precision import channels_last, fast_convolutions
from propagation.spn import AB_SCALE, SpatialPropagationNetwork, SpnConfig
from propagation.training.clips import still_frames
from propagation.training.hints import sample_hints
from propagation.training.loop import LoopConfig, Run
from propagation.training.losses import laplace_nll, log_squared, mean_absolute, srgb_of_lab
from propagation.training.stills import StillBatch, StillSource, load_rgb, photo_paths
from propagation.weights import adopt, weights_path

NAME = "spn-color"
FOLDERS = ("photos", "clips")  # the only folders of the data collection that this recipe reads


@dataclass(frozen=True)
class SpnColorRecipe:
    loop: LoopConfig = LoopConfig(minutes=21, rate=8e-4)
    network: SpnConfig = SpnConfig()
    start: str = "spn-color"  # weights to go on from, tensor by tensor where names and shapes agree; "" for none
    size: int = 256
    workers: int = 2
    batch: int = 2  # a worker
    frames_per_clip: int = 16
    first_weight: float = 0.2  # of the loss on what the first passes find
    alike_weight: float = 0.1  # of the loss on what the lookup finds
    log_weight: float = 0.05  # of the logarithm of the squared error of sRGB, which a mean of PSNR RGB rewards
    error_weight: float = 0.02


@dataclass(frozen=True)
class Material:
    """What spatial networks train on, in memory, and the photographs that the learning curve is drawn on."""

    pictures: list[NDArray[np.uint8]]
    held_out: list[NDArray[np.uint8]]

    @classmethod
    def load(cls, data: Path, cache: Path, frames_per_clip: int) -> Material:
        """Photographs and single frames of clips of the data collection `data`; decoded frames are kept in `cache`."""
        paths, held_out = photo_paths(data / "photos")
        frames = still_frames(data / "clips", cache, frames_per_clip)
        return cls([load_rgb(p) for p in paths] + frames, [load_rgb(p) for p in held_out])


def loss_of(
    model: SpatialPropagationNetwork, source: StillSource, recipe: SpnColorRecipe, rng: np.random.Generator
) -> Tensor:
    """Loss of one random batch; convolutions in bfloat16, scans in float32."""
    batch = source.draw(rng)
    with fast_convolutions():
        out = model(batch.lightness, batch.values, batch.strength)
    loss = color_loss(out["values"], batch, recipe.log_weight)
    truth = batch.color / AB_SCALE
    for name, weight, size in (("first", recipe.first_weight, 2), ("alike", recipe.alike_weight, 4)):
        if name in out:
            opinions = out[name] / AB_SCALE
            loss = loss + weight * mean_absolute(opinions, F.avg_pool2d(truth, size)[:, None].expand_as(opinions))
    return loss + recipe.error_weight * laplace_nll(out["error"] / AB_SCALE, out["values"] / AB_SCALE, truth)


def color_loss(values: Tensor, batch: StillBatch, log_weight: float) -> Tensor:
    """Mean absolute error of a* and b* in units of `AB_SCALE`, and the weighted logarithm of sRGB's squared error."""
    loss = mean_absolute(values / AB_SCALE, batch.color / AB_SCALE)
    picture = srgb_of_lab(batch.lightness, batch.color)
    return loss + log_weight * log_squared(srgb_of_lab(batch.lightness, values), picture, floor=1e-4)


def score(model: nn.Module, pictures: list[NDArray[np.uint8]]) -> dict[str, float]:
    """PSNR over a and b on pictures that never train, with the same hints every time."""
    model.eval()
    errors = []
    with torch.inference_mode():
        for i, rgb in enumerate(pictures):
            lab = to_lab(rgb)
            values, strength = sample_hints(np.ascontiguousarray(lab[..., 1:]), np.random.default_rng(i))
            maps = (lab[..., :1], values, strength[..., None])
            out = model(*(torch.from_numpy(np.ascontiguousarray(m.transpose(2, 0, 1)))[None] for m in maps))
            ab = torch.from_numpy(np.ascontiguousarray(lab[..., 1:].transpose(2, 0, 1)))
            errors.append(float(((out["values"][0] - ab) ** 2).mean()))
    model.train()
    return {"PSNR ab": float(np.mean(10 * np.log10(255**2 / np.array(errors))))}


def train(
    data: Path,
    folder: Path,
    recipe: SpnColorRecipe | None = None,
    material: Material | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores.

    `material` is what lies in `data`, for a caller that trains several times; `say` takes a line at every score.
    """
    recipe = recipe or SpnColorRecipe()
    torch.manual_seed(recipe.loop.seed)
    material = material or Material.load(data, folder.parent / "frames", recipe.frames_per_clip)
    source = StillSource(material.pictures, recipe.size, recipe.batch)
    model, twin = (channels_last(SpatialPropagationNetwork(recipe.network)) for _ in range(2))
    if recipe.start:
        adopt(model, weights_path(recipe.start))
    run = Run(model, folder, recipe.loop)
    losses = [lambda rng: loss_of(model, source, recipe, rng)] * recipe.workers
    scores = run.train(losses, lambda m: score(m, material.held_out), twin, say)
    run.average_into(model)
    return run, scores
