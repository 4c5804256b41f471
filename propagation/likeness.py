"""Whether two pictures show the same, and how far one is shifted: what registering a key of any kind needs.

Pictures are (H, W) float32 of any one quantity: L*, luma, luminance.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Matrix = NDArray[np.float64]  # (2, 3): where a point (x, y, 1) of the frame lies in the key, in pixels

_BROAD = 0.08  # of the longer side: what is larger than this is left out of the correlation
_LEAST_SHIFT_PX = 0.3  # below, the estimate is noise
_SHRINK = 8  # the broad part is blurred at an eighth of the size: it has no detail to lose


def match_ranks(values: Floats, target: Floats) -> Floats:
    """`values` with those of `target` at equal rank: the same picture under any monotone curve becomes the same."""
    return np.interp(values, *rank_curve(values, target, np.linspace(0, 1, 257))).astype(np.float32)


def rank_curve(values: Floats, target: Floats, ranks: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """(rising levels of `values`, levels of `target` of equal rank); a level that fills many ranks, as flat colors do,
    gets the mean of what lies there."""
    levels, first = np.unique(np.quantile(values, ranks).astype(np.float32), return_index=True)
    counts = np.diff(np.append(first, len(ranks)))
    means = np.add.reduceat(np.quantile(target, ranks), first) / counts
    return levels, means.astype(np.float32)


def correlation(one: Floats, other: Floats, where: NDArray[np.bool_] | None = None) -> float:
    """Of what two pictures (H, W) show beyond their broad light and dark, which any two landscapes share; over the
    pixels `where` it is to count."""
    a, b = (_without_broad(each) if where is None else _without_broad(each)[where] for each in (one, other))
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).mean() / max(float(np.sqrt((a * a).mean() * (b * b).mean())), 1e-6))


def find_shift(frame: Floats, key: Floats) -> tuple[tuple[float, float], float]:
    """((x, y), correlation): a point p of `frame` lies at p + (x, y) in `key`, both (H, W) of like values; (0, 0) where
    a shift explains nothing."""
    size = (frame.shape[1], frame.shape[0])
    # Copies: OpenCV 5 lays the window over its own arguments.
    (x, y), _ = cv2.phaseCorrelate(frame.copy(), key.copy(), cv2.createHanningWindow(size, cv2.CV_32F))
    alike, unmoved = correlation(frame, shifted(key, (x, y))), correlation(frame, key)
    if unmoved >= alike or np.hypot(x, y) < _LEAST_SHIFT_PX:
        return (0.0, 0.0), unmoved
    return (x, y), alike


def shifted(picture: Floats, shift: tuple[float, float]) -> Floats:
    """The key's picture where the frame has it, the border replicated."""
    return laid(picture, np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float64), picture.shape[1::-1])


def laid(picture: Floats, matrix: Matrix, size: tuple[int, int]) -> Floats:
    """(H, W) or (H, W, C): `picture` read where `matrix` says each pixel of the frame lies."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)


def detail(picture: Floats) -> float:
    """Standard deviation of what a picture shows beside its broad light and dark."""
    return float(_without_broad(picture).std())


def _without_broad(picture: Floats) -> Floats:
    height, width = picture.shape
    small = (max(1, width // _SHRINK), max(1, height // _SHRINK))
    broad = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    broad = cv2.GaussianBlur(broad, (0, 0), max(max(picture.shape) * _BROAD / _SHRINK, 0.1))
    return np.asarray(picture - cv2.resize(broad, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
