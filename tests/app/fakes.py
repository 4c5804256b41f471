"""Stand-ins for the networks, exact and quick: the jobs are tested through them, the networks on their own. HDR light
is carried by the CPU's own carrier."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from threading import Lock
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.pipeline import Pipeline
from propagation.hdr.carrying import MotionCarrier

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Hints:
    values: Float
    strength: Float


@dataclass(frozen=True)
class Dense:
    values: Float
    reach: Float


@dataclass(frozen=True)
class Carried:
    index: int
    values: Float


class MeanDensifier:
    """Fills a frame with the mean of its hints."""

    def prepare(self, lightness: Float, *, thorough: bool = False) -> Float:
        return lightness

    def fill(self, prepared: Float, hints: Hints) -> Dense:
        assert hints.values.shape == (*prepared.shape, 2)
        assert hints.strength.shape == prepared.shape
        mean = hints.values[hints.strength > 0].mean(axis=0)
        return Dense(np.broadcast_to(mean, hints.values.shape).astype(np.float32), hints.strength)


def hold(
    lightness_of: Callable[[int], Float],
    keyframes: Mapping[int, Any],
    start: int,
    stop: int,
    *,
    carrier: Any,
    is_cut: Callable[[int], bool],
) -> Iterator[Carried]:
    """Every frame gets the color of the nearest key frame of its shot."""
    shots = list(accumulate(is_cut(index) for index in range(max(stop, *keyframes, 0) + 1)))
    for index in range(start, stop):
        lightness_of(index)
        near = [n for n in keyframes if shots[n] == shots[index]]
        if near:
            dense = keyframes[min(near, key=lambda n: abs(n - index))]
            yield Carried(index, dense if isinstance(dense, np.ndarray) else dense.values)


def lift(ab: Float, small: Float, full: Float) -> Float:
    return np.asarray(cv2.resize(ab, full.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)


class ReadAll:
    """A search for cuts that reads every frame, as the real one does, and finds `cuts`."""

    finished = True

    def __init__(self, cuts: list[int], read: Callable[[int], Any], frames: range) -> None:
        self._frames, self._asking = map(read, frames), Lock()
        self.cuts = [cut for cut in cuts if cut in frames[1:]]

    def is_cut(self, index: int) -> bool:
        with self._asking:
            deque(self._frames, maxlen=0)
        return index in self.cuts


def pipeline(cuts: list[int] | None = None, **other: Any) -> Pipeline:
    """The stand-ins together; `other` replaces single ones."""
    stages = {
        "load_densifier": lambda device: MeanDensifier(),
        "make_hints": Hints,
        "load_carrier": lambda device: None,
        "load_light_carrier": lambda device: MotionCarrier(),
        "search_cuts": partial(ReadAll, cuts or []),
        "carry": hold,
        "lift": lift,
    }
    return Pipeline(**(stages | other))
