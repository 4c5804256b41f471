"""Training material for carrying: sequences, walked step by step from a key frame with the network's own
results.

Several walks run at once, each on a crop of another clip, so that every step of training sees the errors that earlier
steps have left (drift is trained against) at many distances from the key. Motion is estimated on the crop, as it is on
a frame when the network is used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propagation.alignment import MotionEstimator, Tracker
from propagation.bench.protocol import to_lab
from propagation.training.clips import Pictures
from propagation.training.film import Wear
from propagation.training.moving_photos import MovingPhotos

Floats = NDArray[np.float32]

SHORTEST_WALK = 3  # frames from the key


@dataclass(frozen=True)
class WalkConfig:
    size: int = 256
    walks: int = 4
    longest: int = 23  # frames from the key
    unaligned: float = 0.1  # share of walks whose candidates stand still
    worn: float = 0.3  # share of walks that look like old film
    photos: float = 0.0  # share of walks through photographs in motion instead of clips


@dataclass(frozen=True)
class _View:
    """How a walk sees its sequence: a crop, perhaps mirrored, with other saturation, and worn as film is."""

    sequence: Pictures  # (T, H, W, 3), 8-bit RGB
    size: int
    window: tuple[slice, slice]
    mirror: bool
    saturation: float
    wear: Wear | None  # None for clean film

    def cut(self, picture: Pictures) -> Pictures:
        """The crop of an (H, W, C) picture, padded where the frame is smaller than the crop."""
        crop = picture[self.window]
        if self.mirror:
            crop = crop[:, ::-1]
        missing = [self.size - d for d in crop.shape[:2]]
        if any(missing):
            crop = np.pad(crop, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        return np.ascontiguousarray(crop)

    def frame(self, index: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """L* (size, size) and a, b (size, size, 2) of a frame."""
        lab = to_lab(self.cut(self.sequence[index]))
        light, ab = lab[..., 0], np.ascontiguousarray(lab[..., 1:]) * np.float32(self.saturation)
        if self.wear is not None:
            light = self.wear.on(light, rng)
        return np.ascontiguousarray(light, np.float32), ab


class View(Protocol):
    """How a walk sees its sequence."""

    def frame(self, index: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """L* (H, W) and the true property (H, W, 2) of a frame."""


V = TypeVar("V", bound=View)


@dataclass
class Walk(Generic[V]):
    """A view with the tracker that follows its key. order: frame indices, the key first; position: in it, of now."""

    view: V
    tracker: Tracker
    order: list[int]
    position: int = 0

    @property
    def now(self) -> int:
        """The index of the frame that the walk is at."""
        return self.order[self.position]


class Rollouts(ABC, Generic[V]):
    """Endless walks, `count` at a time; `step` gives a batch, `accept` takes the network's results back."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.walks: list[Walk[V]] = []
        self._lights: list[Floats] = []

    @abstractmethod
    def start(self, rng: np.random.Generator) -> Walk[V]:
        """A new walk, at its key."""

    def step(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """lightness (B, 1, H, W), clues (B, 12, H, W), true property (B, 2, H, W)."""
        kept = [walk for walk in self.walks if walk.position + 1 < len(walk.order)]
        self.walks = kept + [self.start(rng) for _ in range(self._count - len(kept))]
        clues, truths, self._lights = [], [], []
        for walk in self.walks:
            walk.position += 1
            light, values = walk.view.frame(walk.now, rng)
            clues.append(walk.tracker.clues(walk.tracker.follow(light)))
            truths.append(values.transpose(2, 0, 1))
            self._lights.append(light)
        stacks = (np.stack(self._lights)[:, None], np.stack(clues), np.stack(truths))
        lightness, seen, truth = (torch.from_numpy(np.ascontiguousarray(stack)) for stack in stacks)
        return lightness, seen, truth

    def accept(self, values: Tensor, error: Tensor) -> None:
        """The network's results for the last batch, (B, 2, H, W) and (B, 1, H, W)."""
        for walk, light, value, e in zip(self.walks, self._lights, values.detach(), error.detach(), strict=True):
            walk.tracker.accept(light, np.ascontiguousarray(value.permute(1, 2, 0).numpy()), e[0].numpy().copy())


class Walks(Rollouts[View]):
    """Walks for color over random sequences of more than `SHORTEST_WALK` frames, and over photographs in motion where
    there are any."""

    def __init__(
        self, material: Sequence[Pictures], config: WalkConfig, photos: MovingPhotos | None = None
    ) -> None:
        super().__init__(config.walks)
        self.material, self.config, self.photos = material, config, photos
        self._motion = MotionEstimator()

    def start(self, rng: np.random.Generator) -> Walk[View]:
        """A walk of random length, either way."""
        through_photos = self.photos is not None and rng.random() < self.config.photos
        view, order = self._through_photos(rng) if through_photos else self._through_a_clip(rng)
        if rng.random() < 0.5:
            order.reverse()
        light, ab = view.frame(order[0], rng)
        motion = self._motion if rng.random() >= self.config.unaligned else None
        return Walk(view, Tracker(light, ab, motion=motion), order)

    def _through_a_clip(self, rng: np.random.Generator) -> tuple[View, list[int]]:
        """A random crop of a random sequence, and the frames to walk through."""
        sequence = self.material[int(rng.integers(len(self.material)))]
        count, h, w = sequence.shape[:3]
        size = self.config.size
        y, x = int(rng.integers(max(1, h - size + 1))), int(rng.integers(max(1, w - size + 1)))
        length = int(rng.integers(SHORTEST_WALK, min(self.config.longest, count - 1) + 1))
        first = int(rng.integers(count - length))
        window = (slice(y, y + size), slice(x, x + size))
        view = _View(sequence, size, window, bool(rng.random() < 0.5), _saturation(rng), self._wear(rng))
        return view, list(range(first, first + length + 1))

    def _through_photos(self, rng: np.random.Generator) -> tuple[View, list[int]]:
        assert self.photos is not None
        length = int(rng.integers(SHORTEST_WALK, self.config.longest + 1))
        view = self.photos.scene(length + 1, _saturation(rng), self._wear(rng), rng)
        return view, list(range(length + 1))

    def _wear(self, rng: np.random.Generator) -> Wear | None:
        return Wear.drawn(rng) if rng.random() < self.config.worn else None


def _saturation(rng: np.random.Generator) -> float:
    return float(rng.uniform(0.7, 1.3))
