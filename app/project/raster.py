"""Strokes to pixels: the RGBA hint picture that the window shows and the jobs read.

The picture follows the command line's rule for hints: color where alpha > 0, alpha is the strength. One stroke covers
each pixel once however often it passes, and a later stroke lies over an earlier one (`over` of Porter and Duff, 1984).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.project.document import Point, Stroke

# A brush under a feather touch still has a third of its size, so that a stroke never breaks.
LIGHTEST_PRESSURE = 0.35


@dataclass(frozen=True)
class Rect:
    """A block of pixels, half open: x0 <= x < x1 and y0 <= y < y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def is_empty(self) -> bool:
        """Whether no pixel lies in it."""
        return self.x1 <= self.x0 or self.y1 <= self.y0

    @property
    def slices(self) -> tuple[slice, slice]:
        """Row and column slices for an (H, W, ...) array."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def united(self, other: Rect) -> Rect:
        """The smallest block that holds both."""
        if self.is_empty:
            return other
        if other.is_empty:
            return self
        return Rect(
            min(self.x0, other.x0), min(self.y0, other.y0), max(self.x1, other.x1), max(self.y1, other.y1)
        )


EMPTY = Rect(0, 0, 0, 0)


class HintRaster:
    """The hints of one frame, grown stroke by stroke; each growth costs only the pixels it touches.

    `image` is (H, W, 4) uint8 RGBA, not premultiplied. `protected` gives the colors that protect strokes keep: the
    frame itself as (H, W, 3) uint8, or None while no such stroke is there.
    """

    def __init__(self, width: int, height: int, protected: NDArray[np.uint8] | None = None) -> None:
        self.image = np.zeros((height, width, 4), np.uint8)
        self._protected = protected
        self._under = self.image.copy()
        self._coverage = np.zeros((height, width), np.float32)
        self._covered = EMPTY
        self._stroke: Stroke | None = None

    def rest(self) -> None:
        """Takes `image`, changed from outside, as what the next strokes lie over."""
        self._under[:] = self.image

    def begin(self, stroke: Stroke) -> Rect:
        """Draws a whole stroke over what is there; returns the pixels touched."""
        rows, columns = self._covered.slices
        self._under[rows, columns] = self.image[rows, columns]
        self._coverage[rows, columns] = 0
        self._covered = EMPTY
        self._stroke = stroke
        # The first point is a segment of its own here too, so that growing and drawing whole agree to the last bit.
        return self._cover(stroke, (stroke.points[0], *stroke.points))

    def extend(self, stroke: Stroke) -> Rect:
        """Draws the points by which `stroke`, the one begun last, has grown; returns the pixels touched."""
        drawn = self._stroke
        if drawn is None or drawn.id != stroke.id or drawn.points != stroke.points[: len(drawn.points)]:
            raise ValueError("extend() wants the stroke that was begun last, longer than before")
        fresh = stroke.points[max(len(drawn.points) - 1, 0) :]
        self._stroke = stroke
        return self._cover(stroke, fresh)

    def _cover(self, stroke: Stroke, points: Sequence[Point]) -> Rect:
        touched = EMPTY
        for start, end in pairwise(points):
            touched = touched.united(self._cover_segment(stroke, start, end))
        self._covered = self._covered.united(touched)
        if not touched.is_empty:
            self._composite(stroke, touched)
        return touched

    def _cover_segment(self, stroke: Stroke, start: Point, end: Point) -> Rect:
        height, width = self._coverage.shape
        radii = [stroke.radius_px * (LIGHTEST_PRESSURE + (1 - LIGHTEST_PRESSURE) * p[2]) for p in (start, end)]
        reach = max(radii) + 1
        rect = Rect(
            max(int(min(start[0], end[0]) - reach), 0),
            max(int(min(start[1], end[1]) - reach), 0),
            min(int(max(start[0], end[0]) + reach) + 1, width),
            min(int(max(start[1], end[1]) + reach) + 1, height),
        )
        if rect.is_empty:
            return EMPTY
        x = np.arange(rect.x0, rect.x1, dtype=np.float32)[None, :] + np.float32(0.5 - start[0])
        y = np.arange(rect.y0, rect.y1, dtype=np.float32)[:, None] + np.float32(0.5 - start[1])
        dx, dy = end[0] - start[0], end[1] - start[1]
        length2 = dx * dx + dy * dy
        along = np.clip((x * dx + y * dy) / length2, 0, 1) if length2 > 0 else np.zeros((1, 1), np.float32)
        distance = np.hypot(x - along * dx, y - along * dy)
        radius = radii[0] + (radii[1] - radii[0]) * along
        feather = 1 + (1 - stroke.hardness) * radius
        rows, columns = rect.slices
        covered = np.clip((radius + 0.5 - distance) / feather, 0, 1).astype(np.float32)
        np.maximum(self._coverage[rows, columns], covered, out=self._coverage[rows, columns])
        return rect

    def _composite(self, stroke: Stroke, rect: Rect) -> None:
        rows, columns = rect.slices
        under = self._under[rows, columns].astype(np.float32)
        cover = self._coverage[rows, columns][..., None]
        stays = under[..., 3:] / np.float32(255) * (1 - cover)
        out = self.image[rows, columns]
        if stroke.tool == "erase":
            out[..., 3:] = np.rint(stays * 255)
            out[out[..., 3] == 0] = 0
            return
        color = self._kept_colors(rect) if stroke.tool == "protect" else np.asarray(stroke.color, np.float32)
        alpha = cover + stays
        mixed = (color * cover + under[..., :3] * stays) / np.maximum(alpha, np.float32(1e-6))
        out[..., :3] = np.rint(mixed)
        out[..., 3:] = np.rint(alpha * 255)

    def _kept_colors(self, rect: Rect) -> NDArray[np.float32]:
        rows, columns = rect.slices
        if self._protected is None:
            # Without the frame's own colors a protected place stays neutral, which is what a grey source has there.
            return np.full((rect.y1 - rect.y0, rect.x1 - rect.x0, 3), 128, np.float32)
        return self._protected[rows, columns].astype(np.float32)


def rasterize(
    strokes: Sequence[Stroke], width: int, height: int, protected: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """All `strokes` in painting order as an (H, W, 4) uint8 RGBA hint picture."""
    raster = HintRaster(width, height, protected)
    for stroke in strokes:
        raster.begin(stroke)
    return raster.image
