"""Recipe `tpn-hdr`: `tpn-color` taught to carry log10 light, on walks through clips from the training panoramas.

Color and light differ in what lightness says of them: where the camera clips, the picture is white whatever the light
is, and when its exposure drifts the picture changes and the light does not. The light is given as `bench.hdr.tpn_alone`
gives it, two channels at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from propagation.alignment import MotionEstimator, Tracker
from propagation.bench.hdr import AB_A_DECADE, LIGHT_TPN
from propagation.bench.panoramas import FOLDER as PANORAMAS
from propagation.bench.panoramas import PanoramaClip, read_panorama, training_panoramas
from propagation.bench.protocol import to_lab
from propagation.hdr.carrying import log_of
from propagation.precision import channels_last
from propagation.spn import AB_SCALE
from propagation.tpn import TemporalPropagationNetwork
from propagation.training.clips import still_frames
from propagation.training.hdr_material import HdrMaterial, HdrMaterialConfig
from propagation.training.loop import LoopConfig, Run
from propagation.training.losses import weighted_absolute, weighted_squared
from propagation.training.rollouts import Rollouts, Walk
from propagation.training.tpn_color import LossWeights, advance, loss_between
from propagation.weights import adopt, weights_path

Floats = NDArray[np.float32]

NAME = "tpn-hdr"
FOLDERS = ("clips", "photos", f"hdr/{PANORAMAS}")  # the photos by way of the network that it starts from

# Training panoramas that never train, one outdoors and one indoors: the learning curve is drawn on them.
HELD_OUT = ("city", "warehouse")
# A pair of channels a walk, as light is carried: the second pair for the sake of its first channel.
CHANNELS = ((0, 1), (2, 1))
SCORED_WALKS = 4


@dataclass(frozen=True, kw_only=True)
class TpnHdrRecipe(LossWeights):
    loop: LoopConfig = LoopConfig(minutes=30, rate=5e-4, warm_up=100)
    workers: int = 2
    start: str = "tpn-color"  # the network that it starts from
    material: HdrMaterialConfig = HdrMaterialConfig()
    stills: int = 4  # frames of every natural clip, for cut-outs
    walks: int = 2  # a worker
    shortest: int = 8  # frames from the key
    squared_weight: float = 3.0
    clipped_weight: float = 1.0  # of the loss on clipped pixels, of their squared errors `squared_weight` times that


@dataclass(frozen=True)
class LightView:
    """Two channels of a clip's light, perhaps mirrored. middle: median of the key's log10 light."""

    clip: PanoramaClip
    channels: tuple[int, int]
    mirror: bool
    middle: np.float32

    def frame(self, index: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """L* (H, W) of the 8-bit picture and log10 light (H, W, 2) less `middle`, `AB_A_DECADE` units a decade."""
        lightness = to_lab(self._turned(self.clip.frames[index]))[..., 0]
        values = (log_of(self._turned(self.clip.truth[index][..., self.channels])) - self.middle) * AB_A_DECADE
        return np.ascontiguousarray(lightness), np.ascontiguousarray(values, np.float32)

    def clipped(self, index: int) -> NDArray[np.bool_]:
        """(H, W): where the camera shows white and the light is above it."""
        return np.asarray(self._turned(self.clip.clipped(index)))

    def _turned(self, picture: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(picture[:, ::-1] if self.mirror else picture)


class LightWalks(Rollouts[LightView]):
    """Walks for light, each through a clip of its own that is made when it starts."""

    def __init__(self, material: HdrMaterial, count: int, shortest: int) -> None:
        super().__init__(count)
        self.material, self.shortest = material, shortest
        self._motion = MotionEstimator()

    def start(self, rng: np.random.Generator) -> Walk[LightView]:
        """A walk through a random clip, onward from its first frame or back from its last."""
        clip = self.material.clip(int(rng.integers(2**31)))
        count = len(clip.frames)
        order = list(range(count)) if rng.random() < 0.5 else list(reversed(range(count)))
        length = int(rng.integers(min(self.shortest, count - 1), count))
        channels = CHANNELS[int(rng.integers(len(CHANNELS)))]
        middle = np.float32(np.median(log_of(clip.truth[order[0]])))
        view = LightView(clip, channels, bool(rng.random() < 0.5), middle)
        return Walk(view, Tracker(*view.frame(order[0], rng), motion=self._motion), order[: length + 1])

    def clipped(self) -> Tensor:
        """(B, 1, H, W): 1 on clipped pixels of the last step's batch, else 0."""
        return torch.from_numpy(np.stack([walk.view.clipped(walk.now) for walk in self.walks])[:, None]).float()


def materials(data: Path, cache: Path, recipe: TpnHdrRecipe) -> tuple[HdrMaterial, HdrMaterial]:
    """Clips to train on, and those from `HELD_OUT`. Raises MissingMediaError where there are no panoramas."""
    pictures = still_frames(data / "clips", cache, recipe.stills)
    found = {name: read_panorama(path) for name, path in training_panoramas(data / "hdr").items()}
    training = {name: light for name, light in found.items() if name not in HELD_OUT}
    held_out = {name: light for name, light in found.items() if name in HELD_OUT}
    return HdrMaterial(training, pictures, recipe.material), HdrMaterial(held_out, pictures, recipe.material)


def loss_of(
    model: TemporalPropagationNetwork, walks: LightWalks, recipe: TpnHdrRecipe, rng: np.random.Generator
) -> Tensor:
    """Loss of one step of all walks: that of color, and once more on the pixels that light is carried for."""
    out, truth = advance(model, walks, rng)
    pair, clipped = (out["values"] / AB_SCALE, truth / AB_SCALE), walks.clipped()
    on_clipped = weighted_absolute(*pair, clipped) + recipe.squared_weight * weighted_squared(*pair, clipped)
    return loss_between(out, truth, recipe) + recipe.clipped_weight * on_clipped


def score(model: nn.Module, material: HdrMaterial, frames: int) -> dict[str, float]:
    """RMSE of log10 light on clipped pixels and on all, on walks through whole clips of `frames` frames
    from panoramas that never train."""
    model.eval()
    rng = np.random.default_rng(0)
    walks = LightWalks(material, SCORED_WALKS, frames)
    squares, clipped, pixels = np.zeros(2), 0.0, 0
    with torch.inference_mode():
        for _ in range(3 * (frames - 1)):
            lightness, clues, truth = walks.step(rng)
            out = model(lightness, clues)
            walks.accept(out["values"], out["error"])
            squared = (((out["values"] - truth) / float(AB_A_DECADE)) ** 2).mean(1, keepdim=True)
            mask = walks.clipped()
            squares += float((squared * mask).sum()), float(squared.sum())
            clipped, pixels = clipped + float(mask.sum()), pixels + squared.numel()
    model.train()
    on_clipped, on_all = np.sqrt(squares / (max(1.0, clipped), pixels))
    return {"clipped RMSE": float(on_clipped), "RMSE": float(on_all)}


def train(data: Path, folder: Path, recipe: TpnHdrRecipe | None = None) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores."""
    recipe = recipe or TpnHdrRecipe()
    torch.manual_seed(recipe.loop.seed)
    training, held_out = materials(data, folder.parent / "frames", recipe)
    model, twin = (channels_last(TemporalPropagationNetwork(LIGHT_TPN)) for _ in range(2))
    adopt(model, weights_path(recipe.start))
    run = Run(model, folder, recipe.loop)
    losses = [
        partial(loss_of, model, LightWalks(training, recipe.walks, recipe.shortest), recipe)
        for _ in range(recipe.workers)
    ]
    scores = run.train(losses, lambda m: score(m, held_out, recipe.material.ranges.frames), twin)
    run.average_into(model)
    return run, scores
