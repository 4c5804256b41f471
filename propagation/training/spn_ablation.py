"""The spatial network with one part left out at a time, for `propagation.bench.ablation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from propagation.bench import densify
from propagation.bench.ablation import Train
from propagation.spn import SpnConfig
from propagation.training import spn_color, spn_published
from propagation.training.loop import LoopConfig, Run
from propagation.training.spn_color import Material, SpnColorRecipe
from propagation.training.spn_published import SpnPublishedRecipe

FOLDERS = spn_color.FOLDERS
WHOLE = SpnConfig()
VARIANTS: Mapping[str, SpnConfig] = {
    "whole": WHOLE,
    "without the first pass at full size": replace(WHOLE, enter=False),
    "without lookup": replace(WHOLE, heads=0),
    "without correction": replace(WHOLE, correct=None),
    "without division by confidence": replace(WHOLE, normalised=False),
    "maximum of the directions": replace(WHOLE, merge="max"),
}
KINDS = (densify.SUPERPIXELS, densify.STROKES, densify.PATCHES[2])
# Smaller than in the recipe: in few minutes iterations count for more than the size of a crop.
_SIZE = 192


def variants(data: Path, cache: Path, minutes: float) -> dict[str, Train]:
    """Every variant, and the published network, from untrained weights, for `minutes` each on the same material."""
    material = Material.load(data, cache, SpnColorRecipe().frames_per_clip)
    # The curve is scored at the end alone, and the rate rises in a share of the iterations that few minutes allow.
    loop = LoopConfig(minutes=minutes, rate=1.5e-3, warm_up=50, score_every_s=float("inf"))

    def train(config: SpnConfig, folder: Path, say: Callable[[str], None]) -> tuple[Run, dict[str, float]]:
        recipe = SpnColorRecipe(loop=loop, network=config, start="", size=_SIZE)
        return spn_color.train(data, folder, recipe, material, say)

    def train_published(folder: Path, say: Callable[[str], None]) -> tuple[Run, dict[str, float]]:
        recipe = SpnPublishedRecipe(loop=replace(loop, rate=SpnPublishedRecipe().loop.rate), size=_SIZE)
        return spn_published.train(data, folder, recipe, material, say)

    return {**{name: partial(train, config) for name, config in VARIANTS.items()}, "published": train_published}


def judge(models: Mapping[str, nn.Module], folders: Sequence[Path], limit: int | None) -> dict[str, dict[str, float]]:
    """PSNR RGB of every model on the pictures of `folders`, mean over pictures, by kind of hints."""
    methods = {name: partial(densify.fill_by, model) for name, model in models.items()}
    table = densify.run(folders, methods, KINDS, with_baselines=False, limit=limit)
    return {name: {kind.title: table.mean_psnr(name, kind.title) for kind in KINDS} for name in models}
