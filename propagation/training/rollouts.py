"""Training material for carrying: sequences with motion, walked step by step from a key frame with the network's own results.

Several walks run at once, each on a crop of another clip, so that every step of training sees the errors that earlier steps
have left (drift is trained against) at many distances from the key. Motion is computed once and kept beside the run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propagation.alignment import MotionEstimator, Tracker, luma8
from propagation.training.clips import Pictures, sequences
from propagation.training.film import grain
from propagation.training.stills import rgb_to_lab

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class MovingSequence:
    """frames (T, H, W, 3) 8-bit RGB; back[t] is the motion from frame t + 1 to t, forth[t] from t to t + 1, (T - 1, H, W, 2)."""

    frames: Pictures
    back: NDArray[np.float16]
    forth: NDArray[np.float16]


def moving_sequences(folder: Path, cache: Path, length: int, per_clip: int) -> list[MovingSequence]:
    """Sequences of all clips under `folder` with their DIS motion, memory-mapped from `cache`."""
    out = []
    motion = MotionEstimator()
    for i, frames in enumerate(sequences(folder, cache, length, per_clip)):
        kept = [cache / f"motion_{length}_{per_clip}_{i:04d}_{way}.npy" for way in ("back", "forth")]
        if not kept[1].exists():
            lights = [luma8(rgb_to_lab(f)[..., 0]) for f in frames]
            pairs = list(zip(lights[1:], lights[:-1], strict=True))
            np.save(kept[0], np.stack([motion.flow(a, b) for a, b in pairs]).astype(np.float16), allow_pickle=False)
            np.save(kept[1], np.stack([motion.flow(b, a) for a, b in pairs]).astype(np.float16), allow_pickle=False)
        back, forth = (np.load(k, mmap_mode="r", allow_pickle=False) for k in kept)
        out.append(MovingSequence(frames, back, forth))
    return out


@dataclass(frozen=True)
class WalkConfig:
    size: int = 208
    walks: int = 4
    longest: int = 20  # frames from the key
    unaligned: float = 0.2  # share of walks whose candidates stand still
    worn: float = 0.3  # share of walks that look like old film


@dataclass
class _Walk:
    sequence: MovingSequence
    tracker: Tracker
    order: list[int]  # frame indices, the key first
    position: int
    window: tuple[slice, slice]
    mirror: bool
    saturation: float
    wear: Floats | None  # grain strength, blur; None for clean film


class Walks:
    """Endless walks over random sequences; `step` gives a batch, `accept` takes the network's results back."""

    def __init__(self, material: list[MovingSequence], config: WalkConfig) -> None:
        self.material, self.config = material, config
        self._walks: list[_Walk | None] = [None] * config.walks
        self._lights: list[Floats] = []

    def step(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """lightness (B, 1, H, W), clues (B, 12, H, W), true colour (B, 2, H, W)."""
        clues, truths, self._lights = [], [], []
        for i, walk in enumerate(self._walks):
            if walk is None or walk.position + 1 >= len(walk.order):
                walk = self._walks[i] = self._start(rng)
            came, walk.position = walk.order[walk.position], walk.position + 1
            now = walk.order[walk.position]
            light, ab = self._frame(walk, now, rng)
            flows = (walk.sequence.back, walk.sequence.forth) if now > came else (walk.sequence.forth, walk.sequence.back)
            back, forth = (self._cut(f[min(now, came)].astype(np.float32), walk) for f in flows)
            if walk.mirror:
                back, forth = back * np.float32((-1, 1)), forth * np.float32((-1, 1))
            clues.append(walk.tracker.step(light, back, forth))
            truths.append(ab.transpose(2, 0, 1))
            self._lights.append(light)
        lights = np.stack(self._lights)[:, None]
        return torch.from_numpy(lights), torch.from_numpy(np.stack(clues)), torch.from_numpy(np.ascontiguousarray(np.stack(truths)))

    def accept(self, values: Tensor, error: Tensor) -> None:
        """The network's results for the last batch, (B, 2, H, W) and (B, 1, H, W)."""
        for walk, light, value, e in zip(self._walks, self._lights, values.detach(), error.detach(), strict=True):
            assert walk is not None
            walk.tracker.accept(light, np.ascontiguousarray(value.permute(1, 2, 0).numpy()), e[0].numpy().copy())

    def _start(self, rng: np.random.Generator) -> _Walk:
        sequence = self.material[int(rng.integers(len(self.material)))]
        count, h, w = sequence.frames.shape[:3]
        size = self.config.size
        y, x = int(rng.integers(max(1, h - size + 1))), int(rng.integers(max(1, w - size + 1)))
        length = int(rng.integers(3, min(self.config.longest, count - 1) + 1))
        first = int(rng.integers(count - length))
        order = list(range(first, first + length + 1))
        if rng.random() < 0.5:
            order.reverse()
        wear = None
        if rng.random() < self.config.worn:
            wear = np.float32([rng.uniform(0, 5), rng.uniform(0, 1.2), rng.uniform(0, 0.04)])
        walk = _Walk(sequence, None, order, 0, (slice(y, y + size), slice(x, x + size)), rng.random() < 0.5,  # type: ignore[arg-type]
                     float(rng.uniform(0.7, 1.3)), wear)
        light, ab = self._frame(walk, order[0], rng)
        walk.tracker = Tracker(light, ab, aligned=rng.random() >= self.config.unaligned)
        return walk

    def _cut(self, picture: NDArray[np.generic], walk: _Walk) -> NDArray[np.generic]:
        """The walk's crop, padded where the frame is smaller than the crop."""
        crop = picture[walk.window]
        if walk.mirror:
            crop = crop[:, ::-1]
        missing = [self.config.size - d for d in crop.shape[:2]]
        if any(missing):
            crop = np.pad(crop, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return np.ascontiguousarray(crop)

    def _frame(self, walk: _Walk, index: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """(lightness, a and b) of a frame of the walk, worn if the walk is."""
        lab = rgb_to_lab(self._cut(walk.sequence.frames[index], walk))
        light, ab = lab[..., 0], np.ascontiguousarray(lab[..., 1:]) * np.float32(walk.saturation)
        if walk.wear is not None:
            noise, blur, flicker = walk.wear
            if blur > 0.3:
                light = cv2.GaussianBlur(light, (0, 0), float(blur))
            light = light * np.float32(1 + flicker * rng.standard_normal()) + grain(light.shape, rng) * noise
        return np.ascontiguousarray(np.clip(light, 0, 100), np.float32), ab
