"""What the temporal network does at full size, in three passes over the rows for inference on a CPU.

Pixel by pixel it only weighs and sums, so each pass reads and writes its maps once; as separate tensor operations the
same takes half of the network's time. `propagation.tpn` has them in torch, for training and other devices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from propagation.rows.exponential import softmax

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_inline: Any = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "inline": "always"}
_ONE, _QUARTER = np.float32(1), np.float32(0.25)
_EPSILON = np.float32(1e-6)


@njit(**_options)
def see(maps: Any, scale: Any, shift: Any, out: Any, first: int, last: int) -> None:
    """Half-size rows first <= y < last of what the belief network sees: means of 2x2 pixels, each scaled.

    maps (13, H, W): lightness and clues; scale, shift (13,); out (h, w, 16 or more), of which the first 16 are filled:
    the maps, |lightness - key's|, |lightness - previous|, |key's color - previous|. Pixels outside repeat the border.
    """
    count, height, width = maps.shape
    columns = out.shape[1]
    top, bottom = np.empty((count, 2 * columns), np.float32), np.empty((count, 2 * columns), np.float32)
    for y in range(first, last):
        for c in range(count):
            for row, line in ((2 * y, top), (2 * y + 1, bottom)):
                r = min(row, height - 1)
                for x in range(min(width, 2 * columns)):
                    line[c, x] = maps[c, r, x] * scale[c] + shift[c]
                for x in range(width, 2 * columns):
                    line[c, x] = line[c, width - 1]
            for x in range(columns):
                out[y, x, c] = _QUARTER * (top[c, 2 * x] + top[c, 2 * x + 1] + bottom[c, 2 * x] + bottom[c, 2 * x + 1])
        for x in range(columns):
            by_key = by_previous = by_color = np.float32(0)
            for line in (top, bottom):
                for i in (2 * x, 2 * x + 1):
                    by_key += abs(line[0, i] - line[1, i])
                    by_previous += abs(line[0, i] - line[7, i])
                    by_color += abs(line[2, i] - line[8, i]) + abs(line[3, i] - line[9, i])
            out[y, x, 13], out[y, x, 14], out[y, x, 15] = _QUARTER * by_key, _QUARTER * by_previous, _QUARTER * by_color


@njit(**_inline)
def _around(position: int, size: int) -> Any:
    """Of twice-enlarged pixel `position`: the half-size pixel under it and the next nearest, inside 0 .. size - 1.
    Their weights are 3/4 and 1/4 (bilinear, half-pixel centers)."""
    near = position // 2
    other = near + 1 if position % 2 else near - 1
    return near, min(max(other, 0), size - 1)


@njit(**_options)
def _enlarged_row(source: Any, near: int, other: int, out: Any) -> None:
    """One row (2 w,) of a map (h, w) enlarged twice, between its rows `near` (3/4) and `other` (1/4)."""
    w = source.shape[1]
    major, minor = np.float32(0.75), np.float32(0.25)
    for x in range(w):
        here = major * source[near, x] + minor * source[other, x]
        before = max(x - 1, 0)
        after = min(x + 1, w - 1)
        out[2 * x] = major * here + minor * (major * source[near, before] + minor * source[other, before])
        out[2 * x + 1] = major * here + minor * (major * source[near, after] + minor * source[other, after])


@njit(**_options)
def believe(maps: Any, scale: Any, shift: Any, belief: Any, matched: Any, doubts: Any, resignation: Any, kept: Any,
            hints: Any, first: int, last: int) -> None:
    """Half-size rows first <= y < last, two of the full size each, of what is believed.

    maps, scale, shift as `see` has them; belief (4, h, w): corrections of key, matched, previous and none; matched (3,
    h, w): lightness and color that matching found; doubts (3, 3): each candidate's weights of lightness, round trip and
    border; resignation: doubt of none. Writes kept (3, H, W): the believed color times its belief, and 1 - belief; and
    hints (3, h, w): means of the believed color times its squared belief, and of that square.
    """
    height, width = maps.shape[1:]
    h, w = belief.shape[1:]
    rows, room = np.empty((4, 2 * w), np.float32), np.empty(2 * w, np.int32)
    found, raised = np.empty((3, 2 * w), np.float32), np.empty(2 * w, np.float32)
    seen = np.empty((13, 2 * w), np.float32)
    for y in range(first, last):
        hints[:, y] = 0
        for row in (2 * y, 2 * y + 1):
            near, other = _around(row, h)
            r = min(row, height - 1)
            for c in range(13):
                for x in range(min(width, 2 * w)):
                    seen[c, x] = maps[c, r, x] * scale[c] + shift[c]
                for x in range(width, 2 * w):
                    seen[c, x] = seen[c, width - 1]
            for c in range(3):
                _enlarged_row(matched[c], near, other, found[c])
            for k in range(4):
                _enlarged_row(belief[k], near, other, raised)
                if k < 3:
                    light = seen[1] if k == 0 else (found[0] if k == 1 else seen[7])
                    trip, inside = (seen[10], seen[11]) if k == 2 else (seen[5], seen[6])
                    for x in range(2 * w):
                        doubt = (
                            doubts[k, 0] * abs(seen[0, x] - light[x])
                            + doubts[k, 1] * trip[x]
                            + doubts[k, 2] * (_ONE - inside[x])
                        )
                        rows[k, x] = raised[x] - doubt
                else:
                    for x in range(2 * w):
                        rows[k, x] = raised[x] - resignation
            softmax(rows, room)
            for x in range(2 * w):
                sure = _ONE - rows[3, x]
                part = sure / (sure + _EPSILON)
                a = (rows[0, x] * seen[2, x] + rows[1, x] * found[1, x] + rows[2, x] * seen[8, x]) * part
                b = (rows[0, x] * seen[3, x] + rows[1, x] * found[2, x] + rows[2, x] * seen[9, x]) * part
                if row < height and x < width:
                    kept[0, row, x], kept[1, row, x], kept[2, row, x] = a, b, rows[3, x]
                hints[0, y, x // 2] += _QUARTER * a * sure
                hints[1, y, x // 2] += _QUARTER * b * sure
                hints[2, y, x // 2] += _QUARTER * sure * sure


@njit(**_options)
def settle(kept: Any, carried: Any, scale: Any, out: Any, first: int, last: int) -> None:
    """Full-size rows first <= y < last of scale * (kept color + (1 - belief) * carried color), (H, W, 2); kept (3, H,
    W) as `believe` leaves it, carried (2, h, w) at half size."""
    width = kept.shape[2]
    raised = np.empty((2, 2 * carried.shape[2]), np.float32)
    for y in range(first, last):
        near, other = _around(y, carried.shape[1])
        for c in range(2):
            _enlarged_row(carried[c], near, other, raised[c])
            for x in range(width):
                out[y, x, c] = scale * (kept[c, y, x] + kept[2, y, x] * raised[c, x])
