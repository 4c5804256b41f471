"""Recipe `tpn-color`: the temporal propagation network for colour, on walks through natural clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from propagation.precision import channels_last, fast_convolutions
from propagation.spn import AB_SCALE
from propagation.tpn import TemporalPropagationNetwork
from propagation.training.clips import Pictures, clip_paths, sequences
from propagation.training.loop import LoopConfig, Run
from propagation.training.losses import (
    energy_apart,
    laplace_nll,
    log_squared,
    mean_absolute,
    mean_squared,
    weighted_absolute,
)
from propagation.training.moving_photos import MovingPhotos
from propagation.training.rollouts import SHORTEST_WALK, Rollouts, WalkConfig, Walks
from propagation.training.stills import photo_paths
from propagation.weights import adopt, expected_tensors, load_weights, weights_path

NAME = "tpn-color"
FOLDERS = ("clips", "photos")  # the photos by way of the spatial network that it starts from

# Every 13th clip never trains, whatever the stage: the learning curve is drawn on them.
HELD_OUT_EVERY = 13


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """Of the parts of the loss, beside the mean absolute error's 1."""

    squared_weight: float = 1.0  # few, large errors are what occlusions leave
    carried_weight: float = 0.5  # of the loss on what the scans bring, where the candidates are doubtful
    log_weight: float = 0.02
    error_weight: float = 0.02
    energy_weight: float = 0.0


@dataclass(frozen=True, kw_only=True)
class TpnColorRecipe(LossWeights):
    loop: LoopConfig = LoopConfig(minutes=44, rate=5e-4)
    workers: int = 2
    walks: WalkConfig = WalkConfig(walks=2)  # a worker
    start: str = "spn-color"  # the spatial network that it starts from
    length: int = 24  # frames of a sequence
    per_clip: int = 4


def loss_of(
    model: TemporalPropagationNetwork, walks: Walks, recipe: TpnColorRecipe, rng: np.random.Generator
) -> Tensor:
    """Loss of one step of all walks."""
    out, color = advance(model, walks, rng)
    return loss_between(out, color, recipe)


def advance(
    model: TemporalPropagationNetwork, walks: Rollouts[Any], rng: np.random.Generator
) -> tuple[dict[str, Tensor], Tensor]:
    """One step of all walks: the network's results and the truth; convolutions in bfloat16, scans in float32."""
    lightness, clues, truth = walks.step(rng)
    with fast_convolutions():
        out = model(lightness, clues)
    walks.accept(out["values"], out["error"])
    return out, truth


def loss_between(out: Mapping[str, Tensor], property_: Tensor, weights: LossWeights) -> Tensor:
    """The weighted sum of the losses on what the network returns, the true property (B, 2, H, W) given."""
    values, truth = out["values"] / AB_SCALE, property_ / AB_SCALE
    loss: Tensor = mean_absolute(values, truth) + weights.squared_weight * mean_squared(values, truth)
    loss = loss + weights.log_weight * log_squared(values, truth)
    if weights.energy_weight:
        loss = loss + weights.energy_weight * energy_apart(values, truth)
    loss = loss + weights.carried_weight * weighted_absolute(out["carried"] / AB_SCALE, truth, out["doubt"])
    return loss + weights.error_weight * laplace_nll(out["error"] / AB_SCALE, values, truth)


def score(model: nn.Module, material: Sequence[Pictures], longest: int) -> dict[str, float]:
    """PSNR over a and b on walks of up to `longest` frames through clips that never train, with alignment and
    without."""
    model.eval()
    result = {}
    for name, unaligned in (("PSNR ab", 0.0), ("unaligned", 1.0)):
        rng = np.random.default_rng(0)
        walks = Walks(material, WalkConfig(walks=2, longest=longest, unaligned=unaligned, worn=0))
        errors = []
        with torch.inference_mode():
            for _ in range(2 * longest):
                lightness, clues, color = walks.step(rng)
                out = model(lightness, clues)
                walks.accept(out["values"], out["error"])
                errors.append(float(((out["values"] - color) ** 2).mean()))
        result[name] = float(10 * np.log10(255**2 / np.mean(errors)))
    model.train()
    return result


def train(data: Path, folder: Path, recipe: TpnColorRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores."""
    recipe = recipe or TpnColorRecipe()
    torch.manual_seed(recipe.loop.seed)
    model = channels_last(TemporalPropagationNetwork())
    model.spatial.load_state_dict(load_weights(weights_path(recipe.start), expected_tensors(model.spatial)))
    return fit(model, data, folder, recipe)


def begun_from(recipe: TpnColorRecipe) -> TemporalPropagationNetwork:
    """The network that a later stage goes on with: a whole one, `recipe.start` of assets/weights."""
    torch.manual_seed(recipe.loop.seed)
    model = channels_last(TemporalPropagationNetwork())
    adopt(model, weights_path(recipe.start))
    return model


def clips_to_train_and_score(
    data: Path, folder: Path, recipe: TpnColorRecipe
) -> tuple[list[Pictures], list[Pictures]]:
    """Sequences of the clips that train, and of those that never do."""
    paths, cache = clip_paths(data / "clips"), folder.parent / "frames"
    held_out = paths[::HELD_OUT_EVERY]
    training, scored = (
        [m for m in sequences(some, cache, recipe.length, recipe.per_clip) if len(m) > SHORTEST_WALK]
        for some in ([path for path in paths if path not in held_out], held_out)
    )
    return training, scored


def fit(
    model: TemporalPropagationNetwork, data: Path, folder: Path, recipe: TpnColorRecipe
) -> tuple[Run, dict[str, float]]:
    """What all stages do with the network that they start from."""
    training, scored = clips_to_train_and_score(data, folder, recipe)
    photos = MovingPhotos(photo_paths(data / "photos")[0], recipe.walks.size) if recipe.walks.photos else None
    run = Run(model, folder, recipe.loop)
    walks = [Walks(training, recipe.walks, photos) for _ in range(recipe.workers)]
    losses = [partial(loss_of, model, each, recipe) for each in walks]
    twin = channels_last(TemporalPropagationNetwork())
    scores = run.train(losses, lambda m: score(m, scored, recipe.walks.longest), twin)
    run.average_into(model)
    return run, scores
