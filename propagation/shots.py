"""Shots: where a clip cuts to another picture, so that no color is carried across.

PySceneDetect's adaptive detector finds sudden changes of lightness against their neighbourhood, which fast motion does
not set off; what it finds is then confirmed here, because a flash, a flicker of exposure or some duplicated frames are
as sudden as a cut but the picture comes back.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
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
SHORTEST_SHOT_FRAMES = 3  # a flash on a cut is two changes close together, one cut
# Correlation of thumbnails above which two frames show one place. Measured on clips joined at random: 1 in 100 true
# cuts is above it; of flashes of one, three and five frames none, 2 and 6 in 100 are below.
SAME_PLACE = 0.85
_THUMBNAIL = (32, 18)
_RATE = Fraction(25)  # the detector wants one; nothing here depends on it


class Shots:
    """The cuts of a run of frames, searched for no further than somebody has asked. Safe to ask from several threads.

    frames: the run, in order, each read once, a few of them ahead of what is asked. Memory does not grow with it.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        from scenedetect import FrameTimecode  # here because it brings every video backend it knows
        from scenedetect.detectors import AdaptiveDetector

        detector = AdaptiveDetector(
            adaptive_threshold=CHANGE_RATIO,
            min_scene_len=1,
            window_width=WINDOW_FRAMES,
            min_content_val=CHANGE_FLOOR,
            luma_only=True,
        )
        self._frames = iter(frames)
        self._search = _Search(detector.process_frame, lambda place: FrameTimecode(place, _RATE))
        self._asking = Lock()
        self.finished = False

    def begins(self, index: int) -> bool:
        """Whether frame `index` is the first one of a shot other than the first. Raises what reading raises."""
        with self._asking:
            while not self.finished and self._search.known_before < index + SHORTEST_SHOT_FRAMES:
                frame = next(self._frames, None)
                if frame is None:
                    self._search.finish()
                    self.finished = True
                else:
                    self._search.see(frame.index, _small_grey(frame.image))
            return index in self.found

    @property
    def found(self) -> list[int]:
        """The cuts found so far, in order."""
        return _without_slivers(self._search.cuts)


class Frames(Protocol):
    """The part of a clip that is needed here."""

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]: ...


def find_cuts(clip: Frames, start: int = 0, stop: int | None = None) -> list[int]:
    """The index of the first frame of every shot but the first, in order; frames `start` <= n < `stop` are read once.
    Raises MediaError from the reader."""
    shots = Shots(clip.frames(start, stop))
    shots.begins(sys.maxsize)
    return shots.found


class _Search:
    """Feeds the detector, and keeps what lies around a suspected cut until it is known whether the picture comes back.

    Places count the pictures shown to the detector: neither the repeats of one picture (film on twos or threes, where
    every third change would stand out among zeros) nor the pictures added at the ends are frames of their own here.
    """

    def __init__(self, detect: Callable[[Any, Any], Iterable[Any]], timecode: Callable[[int], Any]) -> None:
        self._detect, self._timecode = detect, timecode
        self._around: deque[tuple[int, NDArray[np.float32]]] = deque(maxlen=2 * RETURN_FRAMES + WINDOW_FRAMES + 1)
        self._seen = self._fed = 0
        self._last: NDArray[np.uint8] | None = None
        self._suspects: deque[int] = deque()
        self.cuts: list[int] = []
        self.known_before = -1
        """Of frames before this one it is known whether they are cuts."""

    def see(self, index: int, small: NDArray[np.uint8]) -> None:
        if self._last is not None and cv2.norm(small, self._last, cv2.NORM_L1) < REPEAT * small.size:
            return
        # The detector judges a frame by its neighbours, so the first one is shown before itself, the last one again
        # after itself (in `finish`): cuts near the ends count too.
        self._feed(small, times=1 if self._seen else 1 + WINDOW_FRAMES)
        self._last = small
        self._around.append((index, _thumbnail(small)))
        self._seen += 1
        while self._suspects and self._seen >= self._suspects[0] + RETURN_FRAMES:
            self._judge(self._suspects.popleft())
        # The detector is WINDOW_FRAMES behind, this search RETURN_FRAMES, which is more.
        if self._seen >= RETURN_FRAMES:
            self.known_before = self._around[len(self._around) - RETURN_FRAMES + 1][0]

    def finish(self) -> None:
        if self._last is not None:
            self._feed(self._last, times=WINDOW_FRAMES)
        while self._suspects:
            self._judge(self._suspects.popleft())

    def _feed(self, small: NDArray[np.uint8], times: int) -> None:
        for _ in range(times):
            found = self._detect(self._timecode(self._fed), np.repeat(small[..., None], 3, axis=2))
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
