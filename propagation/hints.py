"""Sparse color hints: the protocol's three generators, which stand for a person with a brush.

The bench measures with them and training draws from them, so for one seed they are numerically the same everywhere:
the order in which random numbers are drawn is part of their contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

STROKE_SEGMENTS = 40  # SLIC segments of the true colors a stroke is kept inside
STROKE_WIDTHS_PX = (3, 7)
STROKE_LENGTHS_PX = (20, 80)
PATCH_SIDE_PX = 6


class SparseColor(NamedTuple):
    """Color known at some pixels.

    `mask`: (H, W) bool, True where there is a hint. `ab`: (H, W, 2) float32, CIE a* and b*; only its values under the
    mask are hints, the rest is undefined and must not be read.
    """

    mask: NDArray[np.bool_]
    ab: NDArray[np.float32]


# L* (H, W) in 0..100 and how many segments are wanted, to (H, W) labels 0..n - 1 with n near that number.
Superpixels = Callable[[NDArray[np.float32], int], NDArray[np.int64]]


def slic_superpixels(lightness: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """SLIC of scikit-image (Achanta et al. 2012) on L*."""
    return _slic(lightness / 100.0, count, channel_axis=None)


def superpixel_hints(
    lab: NDArray[np.float32], count: int, rng: np.random.Generator, superpixels: Superpixels = slic_superpixels
) -> SparseColor:
    """One random pixel of each superpixel of L*, showing its own color (the set-up of the SPN papers).

    `lab`: (H, W, 3) float32 CIE Lab, L* in 0..100. `count`: superpixels asked for; SLIC returns somewhat fewer.
    """
    labels = superpixels(lab[..., 0], count)
    by_label = np.argsort(labels, axis=None, kind="stable")
    sizes = np.bincount(labels.ravel())
    members = np.split(by_label, np.cumsum(sizes)[:-1])
    chosen = [rng.choice(pixels) for pixels in members if len(pixels)]
    mask = np.zeros(labels.shape, bool)
    mask.ravel()[chosen] = True
    return SparseColor(mask, lab[..., 1:].copy())


def patch_hints(
    lab: NDArray[np.float32], count: int, rng: np.random.Generator, side: int = PATCH_SIDE_PX
) -> SparseColor:
    """`count` squares of `side` pixels at uniform positions, each in the mean color of what it covers.

    `lab`: (H, W, 3) float32 CIE Lab with H and W at least `side`. Where squares overlap the later one shows.
    """
    height, width = lab.shape[:2]
    hints = SparseColor(np.zeros((height, width), bool), lab[..., 1:].copy())
    for _ in range(count):
        top = rng.integers(height - side + 1)
        left = rng.integers(width - side + 1)
        square = (slice(top, top + side), slice(left, left + side))
        hints.mask[square] = True
        hints.ab[square] = lab[square][..., 1:].mean((0, 1))
    return hints


def stroke_hints(lab: NDArray[np.float32], count: int, rng: np.random.Generator) -> SparseColor:
    """`count` brush strokes, 3 to 7 pixels wide and 20 to 80 long, each painted in the mean color under it.

    A stroke is a smooth random walk that stays inside one segment of the true colors, as a person stays inside one
    object. `lab`: (H, W, 3) float32 CIE Lab. Where strokes overlap the later one shows.
    """
    segments = _slic(lab / 100.0, STROKE_SEGMENTS, channel_axis=2)
    hints = SparseColor(np.zeros(segments.shape, bool), lab[..., 1:].copy())
    for _ in range(count):
        stroke = _stroke(segments, rng)
        if stroke.any():
            hints.mask[stroke] = True
            hints.ab[stroke] = lab[stroke, 1:].mean(0)
    return hints


# Every generator by name: CIE Lab (H, W, 3), how many, and the random numbers' source, to hints.
GENERATORS: Mapping[str, Callable[[NDArray[np.float32], int, np.random.Generator], SparseColor]] = {
    "superpixels": superpixel_hints,
    "patches": patch_hints,
    "strokes": stroke_hints,
}


def _slic(image: NDArray[np.float32], count: int, channel_axis: int | None) -> NDArray[np.int64]:
    from skimage.segmentation import slic  # here because it takes a quarter of a second to import

    labels: NDArray[np.int64] = slic(image, n_segments=count, compactness=0.1, channel_axis=channel_axis, start_label=0)
    return labels


def _stroke(segments: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """One walk from a uniform point; a step that would leave the segment turns about a quarter instead of moving."""
    height, width = segments.shape
    y = float(rng.integers(height))
    x = float(rng.integers(width))
    segment = segments[int(y), int(x)]
    heading = rng.uniform(0, 2 * np.pi)
    canvas = np.zeros((height, width), np.uint8)
    brush_px = int(rng.integers(STROKE_WIDTHS_PX[0], STROKE_WIDTHS_PX[1] + 1))
    steps = int(rng.integers(STROKE_LENGTHS_PX[0], STROKE_LENGTHS_PX[1] + 1))
    for _ in range(steps):
        next_y, next_x = y + np.sin(heading), x + np.cos(heading)
        inside = 0 <= next_y < height and 0 <= next_x < width
        if inside and segments[int(next_y), int(next_x)] == segment:
            cv2.line(canvas, (int(x), int(y)), (int(next_x), int(next_y)), 1, brush_px)
            y, x = next_y, next_x
            heading += rng.normal(0, 0.15)
        else:
            heading += np.pi / 2 + rng.uniform(-0.5, 0.5)
    return canvas.astype(bool) & (segments == segment)
