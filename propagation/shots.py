"""Shots: where a clip cuts to another picture, so that no color is carried across.

PySceneDetect's adaptive detector finds sudden changes of lightness against their neighbourhood, which fast motion does
not set off; what it finds is then confirmed here, because a flash, a flicker of exposure or some duplicated frames are
as sudden as a cut but the picture comes back.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from threading import Lock
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.video.frame import Frame

DETECTION_WIDTH_PX = 160
WINDOW_FRAMES = 2  # neighbours on each side whose change a cut is measured against
CHANGE_RATIO = 3.0  # a cut changes the picture this many times as much as its neighbours do
CHANGE_FLOOR = 8.0  # mean change of 8-bit lightness below which nothing is a cut; cuts between dark shots are small
REPEAT = 0.5  # mean change, in 8-bit codes, below which a frame is the one before once more
# A picture that comes back within this many frames never left: flashes take one to five. The price is that an insert
# shorter than this is not a shot of its own.
RETURN_FRAMES = 6
# A picture held for longer than this ends what came before it as the end of the clip would.
HOLD_FRAMES = 24
SHORTEST_SHOT_FRAMES = 3  # a flash on a cut is two changes close together, one cut
# Correlation of thumbnails above which two frames show one place. Measured on clips joined at random: 1 in 100 true
# cuts is above it; of flashes of one, three and five frames none, 2 and 6 in 100 are below.
SAME_PLACE = 0.85
_THUMBNAIL = (32, 18)
_RATE = Fraction(25)  # the detector wants one; nothing here depends on it


class CutSearch:
    """The cuts of a run of frames, searched for no further than somebody has asked. Safe to ask from several threads.

    frames: the run, in order, each read once; how far ahead of what is asked depends on the picture: two or three
    frames in a steady shot, `HOLD_FRAMES` and a few more where one picture is held. Memory does not grow with it.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = iter(frames)
        self._search = _Search()
        self._before: list[int] = []  # cuts up to the last long hold
        self._known_before = self._last_read = -1  # the first: by that hold
        self._asking = Lock()
        self.finished = False

    def is_cut(self, index: int) -> bool:
        """Whether frame `index` is the first one of a shot other than the first. Raises what reading raises."""
        with self._asking:
            while (answer := self._answer(index)) is None:
                self._advance()
            return answer

    @property
    def cuts(self) -> list[int]:
        """The cuts found so far, in order."""
        return _without_slivers(self._before + self._search.cuts)

    def _answer(self, index: int) -> bool | None:
        """None while it is not known."""
        known_before = sys.maxsize if self.finished else max(self._known_before, self._search.known_before)
        if index in self._search.cuts or index in self._before:
            # One that follows closely would take its place.
            return index in self.cuts if index + SHORTEST_SHOT_FRAMES <= known_before else None
        if index < known_before or (index <= self._last_read and not self._search.is_waiting(index)):
            return False
        return None

    def _advance(self) -> None:
        frame = next(self._frames, None)
        if frame is None:
            self._search.finish()
            self.finished = True
            self._frames = iter(())  # whoever reads for it is not held any longer
            return
        self._last_read = frame.index
        small = _small_grey(frame.image)
        self._search.see(frame.index, small)
        if self._search.held > HOLD_FRAMES:
            # Nobody waits for what comes after so long a hold: what it began with is judged, and a new search begins.
            self._search.finish()
            self._before += self._search.cuts
            self._search, self._known_before = _Search(), frame.index + 1
            self._search.see(frame.index, small)


class Frames(Protocol):
    """The part of a clip that is needed here."""

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]: ...


def find_cuts(clip: Frames, start: int = 0, stop: int | None = None) -> list[int]:
    """The index of the first frame of every shot but the first, in order; frames `start` <= n < `stop` are read once.
    Raises MediaError from the reader."""
    search = CutSearch(clip.frames(start, stop))
    search.is_cut(sys.maxsize - SHORTEST_SHOT_FRAMES)
    return search.cuts


class _Search:
    """Feeds the detector, and keeps what lies around a suspected cut until it is known whether the picture comes back.

    Places count the pictures shown to the detector: neither the repeats of one picture (film on twos or threes, where
    every third change would stand out among zeros) nor the pictures added at the ends are frames of their own here.
    """

    def __init__(self) -> None:
        from scenedetect import FrameTimecode  # here because it brings every video backend it knows
        from scenedetect.detectors import AdaptiveDetector

        self._timecode = partial(FrameTimecode, fps=_RATE)
        self._detector = AdaptiveDetector(
            adaptive_threshold=CHANGE_RATIO,
            min_scene_len=1,
            window_width=WINDOW_FRAMES,
            min_content_val=CHANGE_FLOOR,
            luma_only=True,
        )
        self._around: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=2 * RETURN_FRAMES + WINDOW_FRAMES + 1)
        self._seen = self._fed = 0
        self._last: NDArray[np.uint8] | None = None
        self._suspects: deque[int] = deque()
        self.cuts: list[int] = []
        self.known_before = -1
        """Of frames before this one it is known whether they are cuts."""
        self.held = 0
        """Frames for which the last picture has been repeated."""

    def is_waiting(self, index: int) -> bool:
        """Whether frame `index` is a picture of its own of which it is not known yet whether it is a cut."""
        return index >= self.known_before and any(index == each for each, _ in self._around)

    def see(self, index: int, small: NDArray[np.uint8]) -> None:
        if self._last is not None and cv2.norm(small, self._last, cv2.NORM_L1) < REPEAT * small.size:
            self.held += 1
            return
        self.held = 0
        # The detector judges a frame by its neighbours, so the first one is shown before itself, the last one again
        # after itself (in `finish`): cuts near the ends count too.
        self._feed(small, times=1 if self._seen else 1 + WINDOW_FRAMES)
        self._last = small
        self._around.append((index, _thumbnail(small)))
        self._seen += 1
        while self._suspects and self._seen >= self._suspects[0] + RETURN_FRAMES:
            self._judge(self._suspects.popleft())
        # The detector is WINDOW_FRAMES behind; what it suspects waits for RETURN_FRAMES more.
        known = min([self._seen - WINDOW_FRAMES, *self._suspects])
        if known >= 0:
            self.known_before = self._around[known - (self._seen - len(self._around))][0]

    def finish(self) -> None:
        if self._last is not None:
            self._feed(self._last, times=WINDOW_FRAMES)
        while self._suspects:
            self._judge(self._suspects.popleft())

    def _feed(self, small: NDArray[np.uint8], times: int) -> None:
        for _ in range(times):
            found = self._detector.process_frame(self._timecode(self._fed), np.repeat(small[..., None], 3, axis=2))
            self._suspects.extend(timecode.frame_num - WINDOW_FRAMES for timecode in found)
            self._fed += 1

    def _judge(self, place: int) -> None:
        split = place - (self._seen - len(self._around))
        around = list(self._around)
        before = [thumbnail for _, thumbnail in around[max(0, split - RETURN_FRAMES) : split]]
        after = [thumbnail for _, thumbnail in around[split : split + RETURN_FRAMES]]
        if before and after and float((np.stack(before) @ np.stack(after).T).max()) < SAME_PLACE:
            self.cuts.append(around[split][0])


def _without_slivers(cuts: list[int]) -> list[int]:
    kept: list[int] = []
    for cut in cuts:
        if kept and cut - kept[-1] < SHORTEST_SHOT_FRAMES:
            kept.pop()
        kept.append(cut)
    return kept


def _small_grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """(h, w) 8-bit grey, `DETECTION_WIDTH_PX` wide."""
    height, width = image.shape[:2]
    size = (DETECTION_WIDTH_PX, max(1, round(DETECTION_WIDTH_PX * height / width)))
    small = cv2.resize(np.ascontiguousarray(image[..., :3]), size, interpolation=cv2.INTER_AREA)
    if image.dtype != np.uint8:
        small = cv2.convertScaleAbs(small, alpha=1 / 257)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _thumbnail(small: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Blurred, zero mean, length 1, so that a product of two is their correlation whatever their exposure."""
    thumbnail = cv2.resize(small, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    values = cv2.GaussianBlur(thumbnail, (0, 0), 2).ravel()
    values -= values.mean()
    return (values / max(float(np.linalg.norm(values)), 1e-3)).astype(np.float32)
