"""Motion between frames, and a tracker that follows one key frame along a clip.

Motion is OpenCV's DIS optical flow on 8-bit L* (preset MEDIUM, and FAST for the way back that tests it). A `Tracker`
keeps two candidates for the next frame's property and everything that tells how far each can be trusted:

- the *key* candidate: flows composed back to the key frame, the property sampled there once, so it never blurs;
- the *previous* candidate: the last result, moved by one step of motion.

Its clues feed the temporal propagation network. Without alignment (`aligned=False`) both candidates stand still and the
network has to find from the pictures alone what moved.
"""

from __future__ import annotations

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
    "key round trip",
    "key worst step",
    "key inside",
    "previous lightness",
    "previous a",
    "previous b",
    "previous round trip",
    "previous inside",
    "previous error",
)
# Round-trip clue where no motion is known; about that of a 3 pixel error.
_UNKNOWN = 1.4


def luma8(lightness: Floats) -> NDArray[np.uint8]:
    """L* (H, W), 0 to 100, as 8-bit code values for motion estimation."""
    return np.clip(np.rint(lightness * 2.55), 0, 255).astype(np.uint8)


class MotionEstimator:
    """DIS optical flow between lightness pictures. Not safe for concurrent calls: keep one a thread."""

    def __init__(self) -> None:
        self._fine: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._quick: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def flow(self, source: NDArray[np.uint8], target: NDArray[np.uint8], *, fine: bool = True) -> Floats:
        """(H, W, 2): pixel (x, y) of `source` is found at (x, y) + flow in `target`. Frames under 16 pixels do not
        move.

        `fine`: preset MEDIUM, for motion that pixels are moved by; else FAST, a fifth of the time, which is good enough
        to test that motion by the way back.
        """
        if min(source.shape) < 16:
            return np.zeros((*source.shape, 2), np.float32)
        # None, not an array to fill: DIS takes an array for its first guess, and keeps it for all later calls.
        return np.asarray((self._fine if fine else self._quick).calc(source, target, None), np.float32)


def grid(height: int, width: int) -> Floats:
    """(H, W, 2) pixel positions (x, y)."""
    return np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)), -1)


def warp(picture: Floats, positions: Floats) -> Floats:
    """Bilinear samples of (H, W) or (H, W, C <= 4) at (H, W, 2) positions, border replicated; keeps the dimensions."""
    x, y = positions[..., 0], positions[..., 1]
    return np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


class Tracker:
    """Follows a key frame step by step.

    lightness (H, W), L*; values (H, W, C): the property on the key frame; error (H, W): its expected absolute error.
    """

    def __init__(self, lightness: Floats, values: Floats, error: Floats | None = None, *, aligned: bool = True) -> None:
        self.aligned = aligned
        h, w = lightness.shape
        self._key = np.dstack([lightness, values]).astype(np.float32)
        self._lightness, self._values = lightness, values
        self._error = np.zeros_like(lightness) if error is None else error
        self._from_key = grid(h, w)
        # Position in the key frame, worst round trip so far, still inside.
        self._tracks = np.dstack([self._from_key, np.zeros((h, w), np.float32), np.ones((h, w), np.float32)])

    def step(self, lightness: Floats, back: Floats | None, forth: Floats | None) -> Floats:
        """Clues for the next frame, (12, H, W) for two channels as `CLUES` names them.

        back (H, W, 2): motion from the new frame to the previous one, forth: from the previous frame to the new one;
        both may be None when not aligned. Call `accept` with the result before the next step.
        """
        if not self.aligned or back is None or forth is None:
            ones = np.ones_like(lightness)
            unknown = _UNKNOWN * ones
            clues = np.dstack(
                [self._key, unknown, unknown, ones, self._lightness, self._values, unknown, ones, self._error]
            )
            return np.ascontiguousarray(clues.transpose(2, 0, 1))
        from propagation import tracking  # here because numba takes a second to import

        previous = np.dstack([self._lightness, self._values, self._error]).astype(np.float32, copy=False)
        out = np.empty((6 + 2 * self._key.shape[2], *lightness.shape), np.float32)
        from_key, tracks = np.empty_like(self._from_key), np.empty_like(self._tracks)
        rows = lightness.shape[0]
        run_parts(tracking.follow, (self._from_key, forth, from_key), rows, lightness.size)
        arguments = (back, forth, previous, self._tracks, from_key, self._key, out, tracks)
        run_parts(tracking.step, arguments, rows, lightness.size)
        self._from_key, self._tracks = from_key, tracks
        return out

    def accept(self, lightness: Floats, values: Floats, error: Floats) -> None:
        """Takes the network's result for the frame of the last `step` as the new previous frame."""
        self._lightness, self._values, self._error = lightness, values, error
