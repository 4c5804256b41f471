"""Stages without weights for the tests of the window: fast, deterministic, and plainly no networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from app.pipeline import Pipeline
from propagation.hdr.carrying import MotionCarrier


@dataclass(frozen=True)
class FakeHints:
    values: np.ndarray
    strength: np.ndarray


@dataclass(frozen=True)
class FakeDense:
    values: np.ndarray
    reach: np.ndarray
    confidence: np.ndarray


class FakeDensifier:
    """Fills with the mean of the hints where they reach by a blur; counts what it is asked."""

    def __init__(self) -> None:
        self.prepared = 0
        self.fills = 0
        self.slow_s = 0.0
        self.error: Exception | None = None

    def prepare(self, lightness: np.ndarray, *, thorough: bool = False) -> np.ndarray:
        self.prepared += 1
        return lightness

    def fill(self, prepared: np.ndarray, hints: FakeHints) -> FakeDense:
        self.fills += 1
        if self.error is not None:
            raise self.error
        if self.slow_s:
            time.sleep(self.slow_s)
        assert prepared.shape == hints.strength.shape
        weight = cv2.blur(hints.strength, (31, 31)) + 1e-6
        values = cv2.blur(hints.values * hints.strength[..., None], (31, 31)) / weight[..., None]
        return FakeDense(values.astype(np.float32), weight, weight)


@dataclass(frozen=True)
class FakeCarried:
    index: int
    values: np.ndarray
    confidence: np.ndarray


class FakeStages:
    """The pipeline of fakes, with knobs for slowness and failure."""

    def __init__(self) -> None:
        self.densifier = FakeDensifier()
        self.carry_s = 0.0
        self.carried: list[int] = []
        self.fail_at: int | None = None
        self.cuts: list[int] = []
        self.searches, self.search_ends = 0, True

    def pipeline(self) -> Pipeline:
        return Pipeline(
            load_densifier=lambda device: self.densifier,
            make_hints=FakeHints,
            load_carrier=lambda device: None,
            load_light_carrier=lambda device: MotionCarrier(),
            search_cuts=self._search,
            carry=self._carry,
            lift=lambda ab, small, full: cv2.resize(ab, full.shape[::-1], interpolation=cv2.INTER_LINEAR),
        )

    def load(self) -> tuple[Pipeline, Any]:
        return self.pipeline(), self.densifier

    def _search(self, read: Callable[[int], Any], frames: range) -> Any:
        self.searches += 1
        return SimpleNamespace(is_cut=self.cuts.__contains__, cuts=self.cuts, finished=self.search_ends)

    def _carry(
        self, at: Callable[[int], np.ndarray], keys: Mapping[int, Any], start: int, stop: int, **_: Any
    ) -> Iterator[FakeCarried]:
        for index in range(start, stop):
            if self.fail_at == index:
                raise ValueError("the carrier broke")
            if self.carry_s:
                time.sleep(self.carry_s)
            lightness = at(index)
            key = keys[min(keys, key=lambda n: abs(n - index))]
            values = np.asarray(getattr(key, "values", key), np.float32)
            assert values.shape[:2] == lightness.shape
            self.carried.append(index)
            yield FakeCarried(index, values, np.ones(lightness.shape, np.float32))
