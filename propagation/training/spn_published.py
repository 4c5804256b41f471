"""Recipe `spn-published`: the published spatial propagation network, on what `spn-color` is trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from propagation.precision import channels_last, fast_convolutions
from propagation.published.spn import PublishedConfig, PublishedSpn
from propagation.training.loop import LoopConfig, Run
from propagation.training.spn_color import Material, color_loss, score
from propagation.training.stills import StillSource

NAME = "spn-published"
FOLDERS = ("photos", "clips")  # the only folders of the data collection that this recipe reads


@dataclass(frozen=True)
class SpnPublishedRecipe:
    loop: LoopConfig = LoopConfig(minutes=12, rate=1e-3)
    network: PublishedConfig = PublishedConfig()
    size: int = 192  # the published crops have 128
    workers: int = 2
    batch: int = 2  # a worker
    frames_per_clip: int = 16
    log_weight: float = 0.05


def loss_of(model: PublishedSpn, source: StillSource, recipe: SpnPublishedRecipe, rng: np.random.Generator) -> Tensor:
    """Loss of one random batch; convolutions in bfloat16, scans in float32."""
    batch = source.draw(rng)
    with fast_convolutions():
        out = model(batch.lightness, batch.values, batch.strength)
    return color_loss(out["values"], batch, recipe.log_weight)


def train(
    data: Path,
    folder: Path,
    recipe: SpnPublishedRecipe | None = None,
    material: Material | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` as `spn_color.train` does; returns the run and its last scores."""
    recipe = recipe or SpnPublishedRecipe()
    torch.manual_seed(recipe.loop.seed)
    material = material or Material.load(data, folder.parent / "frames", recipe.frames_per_clip)
    source = StillSource(material.pictures, recipe.size, recipe.batch)
    model, twin = (channels_last(PublishedSpn(recipe.network)) for _ in range(2))
    run = Run(model, folder, recipe.loop)
    losses = [lambda rng: loss_of(model, source, recipe, rng)] * recipe.workers
    scores = run.train(losses, lambda m: score(m, material.held_out), twin, say)
    run.average_into(model)
    return run, scores
