"""Recipe `spn-color`: the spatial propagation network for colour, on photographs and single frames of natural clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from propagation.bench.protocol import to_lab
from propagation.precision import channels_last, fast_convolutions
from propagation.spn import AB_SCALE, SpatialPropagationNetwork
from propagation.training.clips import still_frames
from propagation.training.hints import sample_hints
from propagation.training.loop import LoopConfig, Run
from propagation.training.losses import laplace_nll, log_squared, mean_absolute, srgb_of_lab
from propagation.training.stills import StillSource, load_rgb, photo_paths
from propagation.weights import adopt, weights_path

NAME = "spn-color"
FOLDERS = ("photos", "clips")  # the only folders of the data collection that this recipe reads


@dataclass(frozen=True)
class SpnColorRecipe:
    loop: LoopConfig = LoopConfig(minutes=52, rate=1.5e-3)
    start: str = "spn-color"  # weights to go on from, tensor by tensor where names and shapes agree; "" for none
    size: int = 256
    workers: int = 2
    batch: int = 2  # a worker
    frames_per_clip: int = 16
    first_weight: float = 0.2  # of the loss on what the first passes find
    alike_weight: float = 0.1  # of the loss on what the lookup finds
    log_weight: float = 0.05  # of the logarithm of the squared error of sRGB, which a mean of PSNR RGB rewards
    error_weight: float = 0.02


def loss_of(
    model: SpatialPropagationNetwork, source: StillSource, recipe: SpnColorRecipe, rng: np.random.Generator
) -> Tensor:
    """Loss of one random batch; convolutions in bfloat16, scans in float32."""
    batch = source.draw(rng)
    with fast_convolutions():
        out = model(batch.lightness, batch.values, batch.strength)
    values, truth = out["values"] / AB_SCALE, batch.color / AB_SCALE
    loss: Tensor = mean_absolute(values, truth)
    picture = srgb_of_lab(batch.lightness, batch.color)
    loss = loss + recipe.log_weight * log_squared(srgb_of_lab(batch.lightness, out["values"]), picture, floor=1e-4)
    for name, weight, size in (("first", recipe.first_weight, 2), ("alike", recipe.alike_weight, 4)):
        opinions = out[name] / AB_SCALE
        loss = loss + weight * mean_absolute(opinions, F.avg_pool2d(truth, size)[:, None].expand_as(opinions))
    return loss + recipe.error_weight * laplace_nll(out["error"] / AB_SCALE, values, truth)


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


def train(data: Path, folder: Path, recipe: SpnColorRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores."""
    recipe = recipe or SpnColorRecipe()
    torch.manual_seed(recipe.loop.seed)
    paths, held_out = photo_paths(data / "photos")
    pictures = [load_rgb(p) for p in paths] + still_frames(
        data / "clips", folder.parent / "frames", recipe.frames_per_clip
    )
    source = StillSource(pictures, recipe.size, recipe.batch)
    model, twin = (channels_last(SpatialPropagationNetwork()) for _ in range(2))
    if recipe.start:
        adopt(model, weights_path(recipe.start))
    run = Run(model, folder, recipe.loop)
    curve = [load_rgb(p) for p in held_out]
    scores = run.train(
        [lambda rng: loss_of(model, source, recipe, rng)] * recipe.workers, lambda m: score(m, curve), twin
    )
    run.average_into(model)
    return run, scores
