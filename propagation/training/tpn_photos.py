"""Recipe `tpn-photos`: the third stage of `tpn-color`, in which all of it goes on learning, on clips and on photographs
set in motion.

Some forty clips can be learned by heart; several hundred photographs cannot, and they uncover more. The energy of the
colors is held against the truth's as well, because the best guess of a mean is a pale one. A third of the weights that
it begins from is kept (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"): what was known and what was
learned are better together, above all far from what trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from propagation.training.loop import LoopConfig, Run
from propagation.training.rollouts import WalkConfig
from propagation.training.tpn_color import FOLDERS, TpnColorRecipe, begun_from, clips_to_train_and_score, fit, score

__all__ = ["FOLDERS", "NAME", "TpnPhotosRecipe", "train"]

NAME = "tpn-color"  # it replaces the weights that it starts from


@dataclass(frozen=True, kw_only=True)
class TpnPhotosRecipe(TpnColorRecipe):
    loop: LoopConfig = LoopConfig(minutes=28, rate=3e-4, warm_up=100)
    start: str = "tpn-color"
    walks: WalkConfig = WalkConfig(walks=2, unaligned=0.05, photos=0.4)  # a worker
    squared_weight: float = 3.0
    energy_weight: float = 0.05
    of_start: float = 1 / 3  # share of the weights that it starts from in those that it ends with


def train(data: Path, folder: Path, recipe: TpnPhotosRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and the scores of what
    it ends with."""
    recipe = recipe or TpnPhotosRecipe()
    run, _ = fit(begun_from(recipe), data, folder, recipe)
    with torch.no_grad():
        for learned, known in zip(run.model.parameters(), begun_from(recipe).parameters(), strict=True):
            learned.lerp_(known, recipe.of_start)
    _, scored = clips_to_train_and_score(data, folder, recipe)
    return run, score(run.model, scored, recipe.walks.longest)
