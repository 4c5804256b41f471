"""Recipe `tpn-long`: the fourth stage of `tpn-color`, walks of up to 60 frames in pictures of the size that people
work in.

What a key says of a frame grows less with the frames between them, and what has to be guessed grows; both are learned
only where walks are as long as shots are. Clips keep 480 lines, and crops of them are shrunk by up to a third: a motion
that is wrong is wrong by more pixels there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propagation.training.loop import LoopConfig, Run
from propagation.training.rollouts import WalkConfig
from propagation.training.tpn_color import FOLDERS, NAME, begun_from, fit
from propagation.training.tpn_photos import TpnPhotosRecipe

__all__ = ["FOLDERS", "NAME", "TpnLongRecipe", "train"]


@dataclass(frozen=True, kw_only=True)
class TpnLongRecipe(TpnPhotosRecipe):
    loop: LoopConfig = LoopConfig(minutes=50, rate=3e-4, warm_up=100)
    walks: WalkConfig = WalkConfig(walks=2, widest=1.5, longest=60, unaligned=0.05, photos=0.4)  # a worker
    length: int = 61
    per_clip: int = 3
    side: int = 480
    energy_weight: float = 0.1


def train(data: Path, folder: Path, recipe: TpnLongRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores."""
    recipe = recipe or TpnLongRecipe()
    return fit(begun_from(recipe), data, folder, recipe)
