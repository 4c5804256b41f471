"""Recipe `tpn-photos`: the third stage of `tpn-color`, in which all of it goes on learning, on clips and on photographs
set in motion.

Some forty clips can be learned by heart; several hundred photographs cannot, and they uncover more. The energy of the
colors is held against the truth's as well, because the best guess of a mean is a pale one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propagation.training.loop import LoopConfig, Run
from propagation.training.rollouts import WalkConfig
from propagation.training.tpn_color import FOLDERS, TpnColorRecipe, begun_from, fit

__all__ = ["FOLDERS", "NAME", "TpnPhotosRecipe", "train"]

NAME = "tpn-color"  # it replaces the weights that it starts from


@dataclass(frozen=True, kw_only=True)
class TpnPhotosRecipe(TpnColorRecipe):
    loop: LoopConfig = LoopConfig(minutes=28, rate=3e-4, warm_up=100)
    start: str = "tpn-color"
    walks: WalkConfig = WalkConfig(walks=2, unaligned=0.05, photos=0.4)  # a worker
    squared_weight: float = 3.0
    energy_weight: float = 0.05


def train(data: Path, folder: Path, recipe: TpnPhotosRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores."""
    recipe = recipe or TpnPhotosRecipe()
    return fit(begun_from(recipe), data, folder, recipe)
