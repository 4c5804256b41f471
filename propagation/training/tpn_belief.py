"""Recipe `tpn-belief`: the second stage of `tpn-color`, in which its belief alone learns from walks on anchored tracks.

What the candidates are worth depends on how the tracker finds them; what a color looks like does not. So the features
and the spatial network stay as they are, and some two thousand weights learn whom to believe: too few to learn the
training clips by heart.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propagation.training.loop import LoopConfig, Run
from propagation.training.tpn_color import FOLDERS, TpnColorRecipe, begun_from, fit

__all__ = ["FOLDERS", "NAME", "TpnBeliefRecipe", "train"]

NAME = "tpn-color"  # it replaces the weights that it starts from


@dataclass(frozen=True, kw_only=True)
class TpnBeliefRecipe(TpnColorRecipe):
    loop: LoopConfig = LoopConfig(minutes=9, rate=1e-3, warm_up=50, decay=0.0)
    start: str = "tpn-color"
    learns: tuple[str, ...] = ("doubt_", "resignation", "belief.out")  # what these parameters' names begin with
    squared_weight: float = 3.0
    carried_weight: float = 0.0


def train(data: Path, folder: Path, recipe: TpnBeliefRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores."""
    recipe = recipe or TpnBeliefRecipe()
    model = begun_from(recipe)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(recipe.learns))
    return fit(model, data, folder, recipe)
