"""Training material for HDR: clips from the training panoramas with moving cut-outs of natural pictures in front.

What is drawn, from where and by which seeds is fixed here. The panoramas and the cut-outs' pictures are those named for
training; the validation panoramas (`propagation.bench.panoramas.VALIDATION`) never come in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.bench.panoramas import ClipRanges, PanoramaClip, make_clip, read_panorama, training_panoramas
from propagation.color.srgb import srgb_to_linear
from propagation.errors import MissingMediaError

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]

SEED = 7201  # the first number of every clip's seed; validation clips are drawn from other ones


@dataclass(frozen=True)
class HdrMaterialConfig:
    """Wider than what is measured, so that what is measured lies well inside. Lengths in pixels, shares of the clip's
    shorter side."""

    ranges: ClipRanges = ClipRanges(
        size=(208, 208),
        pan_px=6.0,
        zoom=(0.8, 1.6),
        rotation_degrees=12.0,
        clipped=(0.01, 0.25),
        drift_stops=2.0,
        full_well=(500.0, 40000.0),
        balance_stops=0.3,
    )
    most_cutouts: int = 3
    cutout_side: tuple[float, float] = (0.15, 0.5)
    cutout_px: float = 5.0  # the most a cut-out moves a frame
    cutout_stops: tuple[float, float] = (-2.0, 1.0)  # of its white against the clip's


class HdrMaterial:
    """Clips by number, each the same whenever it is asked for. Raises MissingMediaError without panoramas."""

    def __init__(
        self, panoramas: Mapping[str, Floats], pictures: Sequence[Pictures], config: HdrMaterialConfig | None = None
    ) -> None:
        """`panoramas`: light (H, W, 3) by name; `pictures`: 8-bit sRGB pictures that cut-outs are taken from."""
        if not panoramas:
            raise MissingMediaError("there are no training panoramas", advice="Give the folder that holds them")
        self._panoramas = dict(sorted(panoramas.items()))
        self._pictures = list(pictures)
        self._config = config or HdrMaterialConfig()

    @classmethod
    def load(
        cls, folder: Path, pictures: Sequence[Pictures], config: HdrMaterialConfig | None = None
    ) -> HdrMaterial:
        """The training panoramas under `folder`."""
        found = {name: read_panorama(path) for name, path in training_panoramas(folder).items()}
        return cls(found, pictures, config)

    @property
    def sources(self) -> list[str]:
        """The names of the panoramas, for the header of the weights."""
        return list(self._panoramas)

    def clip(self, number: int) -> PanoramaClip:
        """Clip `number`, from 0 without end."""
        rng = np.random.default_rng([SEED, number])
        name = str(rng.choice(list(self._panoramas)))
        panorama = self._panoramas[name]
        if rng.random() < 0.5:
            panorama = np.ascontiguousarray(panorama[:, ::-1])
        count = int(rng.integers(self._config.most_cutouts + 1)) if self._pictures else 0

        def lay_over(light: Floats) -> Floats:
            for _ in range(count):
                light = lay_cutout(light, self._pictures[int(rng.integers(len(self._pictures)))], self._config, rng)
            return light

        return make_clip(panorama, name, int(rng.integers(2**31)), self._config.ranges, lay_over)


def lay_cutout(light: Floats, picture: Pictures, config: HdrMaterialConfig, rng: np.random.Generator) -> Floats:
    """`light` (T, H, W, 3) with a soft-edged piece of `picture` (h, w, 3) moving through it."""
    frames, height, width = light.shape[:3]
    side = int(rng.uniform(*config.cutout_side) * min(height, width))
    piece = _piece(picture, side, rng) * np.float32(2.0 ** rng.uniform(*config.cutout_stops))
    x, y = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side))
    round_ = rng.uniform(1.5, 6.0)  # from an ellipse-like to a nearly square outline
    distance = (np.abs(x) ** round_ + np.abs(y) ** round_) ** (1 / round_)
    alpha = np.clip((1 - distance) * side / 4, 0, 1).astype(np.float32)  # an edge of two pixels
    place = rng.uniform((0, 0), (width, height))
    step = rng.uniform(-1, 1, 2) * config.cutout_px
    turn, grow = rng.uniform(-2, 2), rng.uniform(-0.01, 0.01)
    out = light.copy()
    for n in range(frames):
        center = place + step * (n - frames / 2)
        matrix = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), turn * n, 1 + grow * n)
        matrix[:, 2] += center - (side - 1) / 2
        front = cv2.warpAffine(piece, matrix, (width, height), flags=cv2.INTER_LINEAR)
        cover = cv2.warpAffine(alpha, matrix, (width, height), flags=cv2.INTER_LINEAR)[..., None]
        out[n] = out[n] * (1 - cover) + front * cover
    return out


def _piece(picture: Pictures, side: int, rng: np.random.Generator) -> Floats:
    """(side, side, 3) linear light, 0..1, from anywhere in the picture."""
    height, width = picture.shape[:2]
    size = min(side, height, width)
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    crop = np.ascontiguousarray(picture[top : top + size, left : left + size])
    scaled = cv2.resize(crop, (side, side), interpolation=cv2.INTER_LINEAR)
    return np.asarray(srgb_to_linear(scaled.astype(np.float32) / np.float32(255)), np.float32)
