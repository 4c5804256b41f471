"""Color that was carried to frames, kept at work size within a budget, and whether it still holds.

A result remembers what it was made from as a signature: the nearest key frames on either side that the direction lets
speak, and the settings. When the project's signature for the frame is another, the result is stale but still shown,
as a stale picture says more than a grey one.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from app.project.document import Project

BUDGET_BYTES = 1024 * 2**20


class FrameState(Enum):
    """What is known of a frame's color."""

    NONE = "none"
    STALE = "stale"
    FRESH = "fresh"


@dataclass(frozen=True)
class Result:
    """Color of one frame: `ab` (h, w, 2) float16 at work size, what it was made from, and whether it was carried."""

    ab: NDArray[np.float16]
    signature: str
    is_carried: bool = True


class ResultStore:
    """Results by frame number; past the budget those farthest from the frame in view leave the memory.

    `elsewhere` holds the signatures of results that are not in memory but kept on the disk: they count as known.
    """

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self.budget_bytes = budget_bytes
        self._kept: dict[int, Result] = {}
        self._size_bytes = 0
        self.elsewhere: dict[int, str] = {}

    @property
    def size_bytes(self) -> int:
        """Bytes of all results; never above the budget."""
        return self._size_bytes

    def put(
        self, frame: int, ab: NDArray[np.floating], signature: str, viewed: int, *, is_carried: bool = True
    ) -> Result:
        """Keeps (h, w, 2) `ab` for `frame`; `viewed` is the frame in view, whose neighbourhood is kept longest."""
        self.drop(frame)
        made = self._kept[frame] = Result(ab.astype(np.float16), signature, is_carried)
        self._size_bytes += made.ab.nbytes
        while self._size_bytes > self.budget_bytes:
            # Key frames' own color goes last: it is kept nowhere else while one paints.
            farthest = max(self._kept, key=lambda n: (self._kept[n].is_carried, abs(n - viewed)))
            gone = self._kept[farthest]
            self.drop(farthest)
            if gone.is_carried:
                self.elsewhere[farthest] = gone.signature
        return made

    def get(self, frame: int) -> Result | None:
        """The result of `frame`, fresh or stale."""
        return self._kept.get(frame)

    def drop(self, frame: int) -> None:
        """Forgets the result of `frame`."""
        self.elsewhere.pop(frame, None)
        gone = self._kept.pop(frame, None)
        if gone is not None:
            self._size_bytes -= gone.ab.nbytes

    def clear(self) -> None:
        """Forgets everything."""
        self._kept.clear()
        self.elsewhere.clear()
        self._size_bytes = 0

    def states(self, project: Project) -> list[FrameState]:
        """The state of every frame of the clip."""
        signatures = Signatures(project)
        states = [FrameState.NONE] * project.frame_count
        known = self.elsewhere | {frame: result.signature for frame, result in self._kept.items()}
        for frame, signature in known.items():
            if frame < len(states):
                fresh = signature == signatures.of(frame)
                states[frame] = FrameState.FRESH if fresh else FrameState.STALE
        return states

    def fresh_colors(self, project: Project) -> dict[int, NDArray[np.float16]]:
        """The ab of every frame whose result is made from the project as it is."""
        signatures = Signatures(project)
        return {n: result.ab for n, result in self._kept.items() if result.signature == signatures.of(n)}

    def is_fresh(self, project: Project, frame: int) -> bool:
        """Whether the result of `frame` is there and made from the project as it is."""
        result = self._kept.get(frame)
        return result is not None and result.signature == Signatures(project).of(frame)


class Signatures:
    """What each frame's color is made from, in one state of the project."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._numbers = project.key_numbers()
        clip = project.source.fingerprint if project.source else None
        self._shared = f"{clip}{project.settings.work_size}"
        self._made: dict[tuple[int | None, int | None], str] = {}

    def of(self, frame: int) -> str:
        """Hex digest for `frame`; equal digests mean equal color."""
        around = self._around(frame)
        if around not in self._made:
            keys = [(n, self._project.keys[n].digest) for n in around if n is not None]
            self._made[around] = hashlib.sha256(f"{self._shared}{keys}".encode()).hexdigest()
        return self._made[around]

    def _around(self, frame: int) -> tuple[int | None, int | None]:
        """The key before (or at) and after `frame` that the direction lets speak."""
        numbers, direction = self._numbers, self._project.settings.direction
        if frame in self._project.keys:
            return frame, None
        before = bisect_right(numbers, frame) - 1
        after = bisect_left(numbers, frame)
        left = numbers[before] if before >= 0 and direction != "backward" else None
        right = numbers[after] if after < len(numbers) and direction != "forward" else None
        return left, right
