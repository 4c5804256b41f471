"""Motion between frames, and a tracker that follows one key frame along a clip.

Motion is OpenCV's DIS optical flow on 8-bit L* (Kroeger et al. 2016). A `Tracker` keeps two candidates for the next
frame's property and everything that tells how far each can be trusted:

- the *key* candidate: motion composed back to the key frame, the property sampled there once, so it never blurs. Steps
  drift; so at every frame the composed motion is the first guess of a search in the key frame itself, and where that
  finds a place that looks more like the pixel, the track is anchored there anew;
- the *previous* candidate: the last result, moved by one step of motion.

Its clues feed the temporal propagation network. Without alignment (`aligned=False`) both candidates stand still and the
network has to find from the pictures alone what moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.threads import run_parts

Floats = NDArray[np.float32]

# Channels of `Tracker.step`: what the network sees beside the frame's own lightness.
CLUES = (
    "key lightness",
    "key a",
    "key b",
    "key gap",
    "key worst step",
    "key inside",
    "previous lightness",
    "previous a",
    "previous b",
    "previous round trip",
    "previous inside",
    "previous error",
)
# Gap and round-trip clues where no motion is known; about that of a 3 pixel error.
_UNKNOWN = 1.4
# A track is anchored anew where the place found in the key frame differs from the frame by less than this share of what
# the composed place does, over this many pixels around, and lies no further from it than this share of the frame.
BETTER, AROUND, _FURTHEST = 0.95, 7, 1 / 12
# That share falls with the frames since the key, from this many on: what has changed looks like many a wrong place.
_YOUNG = 30
# Pixels over which it is smoothed whether to anchor.
SMOOTH = 5


def furthest(shape: tuple[int, ...], age: int) -> float:
    """Pixels from the composed place within which a track is anchored, in a frame (H, W), `age` frames from the key."""
    return _FURTHEST * min(shape) * min(1.0, _YOUNG / age) ** 2


def luma8(lightness: Floats) -> NDArray[np.uint8]:
    """L* (H, W), 0 to 100, as 8-bit code values for motion estimation."""
    return np.clip(np.rint(lightness * 2.55), 0, 255).astype(np.uint8)


class MotionEstimator:
    """DIS optical flow between lightness pictures. Not safe for concurrent calls: keep one a thread."""

    def __init__(self) -> None:
        self._fine = _fine()
        self._quick: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._rough: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        # Its own instance, because DIS keeps a first guess for all later calls; smoother, because what it finds lasts:
        # more variational rounds, and patches that overlap less.
        self._anchor = _fine(smoothing=5, stride=6)

    def flow(self, source: NDArray[np.uint8], target: NDArray[np.uint8], *, fine: bool = True) -> Floats:
        """(H, W, 2): pixel (x, y) of `source` is found at (x, y) + flow in `target`. Frames under 16 pixels do not
        move.

        `fine`: near preset MEDIUM; else FAST, a fifth of MEDIUM's time, which is good enough for a step whose drift is
        mended.
        """
        if min(source.shape) < 16:
            return np.zeros((*source.shape, 2), np.float32)
        # None, not an array to fill: DIS takes an array for its first guess, and keeps it for all later calls.
        return np.asarray((self._fine if fine else self._quick).calc(source, target, None), np.float32)

    def answer(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> Floats:
        """`flow` by preset ULTRAFAST, half the time of FAST: enough to ask whether the way there and back closes."""
        if min(source.shape) < 16:
            return np.zeros((*source.shape, 2), np.float32)
        return np.asarray(self._rough.calc(source, target, None), np.float32)

    def refine(self, source: NDArray[np.uint8], target: NDArray[np.uint8], guess: Floats) -> Floats:
        """`flow` from a first guess (H, W, 2) that leads into `target` everywhere; frames under 16 pixels keep it."""
        if min(source.shape) < 16:
            return guess
        return np.asarray(self._anchor.calc(source, target, guess.copy()), np.float32)


def _fine(smoothing: int = 3, stride: int = 4) -> Any:
    """DIS of not much more than half the work of preset MEDIUM, with so many variational rounds and pixels from patch
    to patch. What it loses is less than what carrying can tell."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setPatchStride(stride)
    dis.setGradientDescentIterations(12)
    dis.setVariationalRefinementIterations(smoothing)
    return dis


def grid(height: int, width: int) -> Floats:
    """(H, W, 2) pixel positions (x, y)."""
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), -1)


def warp(picture: Floats, positions: Floats) -> Floats:
    """Bilinear samples of (H, W) or (H, W, C <= 4) at (H, W, 2) positions, border replicated; keeps the dimensions."""
    x, y = positions[..., 0], positions[..., 1]
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _blur(picture: Floats, side: int) -> Floats:
    """Means over squares of `side` pixels, border replicated."""
    return np.asarray(cv2.blur(picture, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


@dataclass(frozen=True)
class Step:
    """How a frame's pixels moved. step (H, W, 4): position x, y in the previous frame, logarithm of 1 + the pixels by
    which the way there and back fails to close, whether it lies inside. tracks (H, W, 5): position x, y in the key
    frame, worst round trip since it was last anchored, whether it always lay inside, logarithm of 1 + the pixels
    between composed and searched position."""

    lightness: Floats
    step: Floats
    tracks: Floats


class Tracker:
    """Follows a key frame step by step.

    lightness (H, W), L*; values (H, W, C): the property on the key frame; error (H, W): its expected absolute error.
    Without `motion` both candidates stand still.
    """

    def __init__(
        self, lightness: Floats, values: Floats, error: Floats | None = None, *, motion: MotionEstimator | None = None
    ) -> None:
        h, w = lightness.shape
        self._motion = motion
        self._key = np.dstack([lightness, values]).astype(np.float32)
        self._key_lightness = np.ascontiguousarray(lightness)
        self._key_code = self._code = luma8(lightness)
        # What `follow` knows of the frame before, and what `clues` knows of it: they may run in two threads.
        self._tracks = np.dstack([grid(h, w), np.zeros((h, w)), np.ones((h, w)), np.zeros((h, w))]).astype(np.float32)
        self._age = 0
        self._lightness, self._values = lightness, values
        self._error = np.zeros_like(lightness) if error is None else error

    def follow(self, lightness: Floats) -> Step | None:
        """How the next frame's pixels moved, from the pictures alone: it may run ahead of `clues` in another thread.
        None where both candidates stand still.
        """
        if self._motion is None:
            return None
        from propagation.rows import tracking  # here because numba takes a second to import

        came, self._code = self._code, luma8(lightness)
        back = self._motion.flow(self._code, came, fine=False)
        forth = self._motion.answer(came, self._code)
        h, w = lightness.shape
        step, tracks = np.empty((h, w, 4), np.float32), np.empty((h, w, 5), np.float32)
        guess, found = np.empty((h, w, 2), np.float32), np.empty((h, w, 2), np.float32)
        run_parts(tracking.compose, (back, forth, self._tracks, step, tracks, guess), h, lightness.size)
        direct = self._motion.refine(self._code, self._key_code, guess)
        run_parts(tracking.compare, (lightness, self._key_lightness, guess, direct, found), h, lightness.size)
        found = _blur(found, AROUND)
        better = np.empty((h, w), np.float32)
        self._age += 1
        limits = (np.float32(BETTER), np.float32(furthest((h, w), self._age)))
        run_parts(tracking.choose, (guess, direct, found, *limits, better), h, lightness.size)
        run_parts(tracking.anchor, (direct, _blur(better, SMOOTH), tracks), h, lightness.size)
        self._tracks = tracks
        return Step(lightness, step, tracks)

    def clues(self, step: Step | None) -> Floats:
        """Clues for the frame that `follow` has followed, (12, H, W) for two channels as `CLUES` names them.

        Call `accept` with the result before the next clues.
        """
        if step is None:
            ones = np.ones_like(self._lightness)
            unknown = _UNKNOWN * ones
            clues = np.dstack(
                [self._key, unknown, unknown, ones, self._lightness, self._values, unknown, ones, self._error]
            )
            return np.ascontiguousarray(clues.transpose(2, 0, 1))
        from propagation.rows import tracking  # here because numba takes a second to import

        before = (np.ascontiguousarray(each, np.float32) for each in (self._lightness, self._values, self._error))
        h, w = self._lightness.shape
        out = np.empty((6 + 2 * self._key.shape[2], h, w), np.float32)
        run_parts(tracking.sample, (step.step, step.tracks, *before, self._key, out), h, h * w)
        return out

    def accept(self, lightness: Floats, values: Floats, error: Floats) -> None:
        """Takes the network's result for the frame of the last `clues` as the new previous frame."""
        self._lightness, self._values, self._error = lightness, values, error
