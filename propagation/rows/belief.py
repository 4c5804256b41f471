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
def see(lightness: Any, clues: Any, scale: Any, shift: Any, out: Any, first: int, last: int) -> None:
    """Half-size rows first <= y < last of what the belief network sees: means of 2x2 pixels, each scaled.

    lightness (H, W), clues (12, H, W); scale, shift (13,), lightness first; out (h, w, 16 or more), of which the first
    16 are filled: all of these, |lightness - key's|, |lightness - previous|, |key's color - previous|. Pixels outside
    repeat the border.
    """
    count = clues.shape[0] + 1
    height, width = lightness.shape
    columns = out.shape[1]
    # Beside the maps, the three differences; averaged before they are turned to the layout of `out`.
    seen = np.empty((count + 3, 2 * columns), np.float32)
    mean = np.empty((count + 3, columns), np.float32)
    for y in range(first, last):
        mean[:] = 0
        for row in (2 * y, 2 * y + 1):
            r = min(row, height - 1)
            for c in range(count):
                source = lightness[r] if c == 0 else clues[c - 1, r]
                for x in range(min(width, 2 * columns)):
                    seen[c, x] = source[x] * scale[c] + shift[c]
                for x in range(width, 2 * columns):
                    seen[c, x] = seen[c, width - 1]
            for x in range(2 * columns):
                seen[count, x] = abs(seen[0, x] - seen[1, x])
                seen[count + 1, x] = abs(seen[0, x] - seen[7, x])
                seen[count + 2, x] = abs(seen[2, x] - seen[8, x]) + abs(seen[3, x] - seen[9, x])
            for c in range(count + 3):
                _add_pairs(seen[c], mean[c])
        for x in range(columns):
            for c in range(16):
                out[y, x, c] = mean[c, x]


@njit(**_options)
def _add_pairs(row: Any, out: Any) -> None:
    """Adds a quarter of each two neighbours of a row (2 w,) to (w,)."""
    for x in range(out.size):
        out[x] += _QUARTER * (row[2 * x] + row[2 * x + 1])


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
def believe(lightness: Any, clues: Any, scale: Any, shift: Any, belief: Any, matched: Any, doubts: Any,
            resignation: Any, kept: Any, hints: Any, first: int, last: int) -> None:
    """Half-size rows first <= y < last, two of the full size each, of what is believed.

    lightness, clues, scale, shift as `see` has them; belief (4, h, w): corrections of key, matched, previous and none;
    matched (3, h, w): lightness and color that matching found; doubts (3, 3): each candidate's weights of lightness,
    round trip and border; resignation: doubt of none. Writes kept (3, H, W): the believed color times its belief, and 1
    - belief; and hints (3, h, w): means of the believed color times its squared belief, and of that square.
    """
    height, width = lightness.shape
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
                source = lightness[r] if c == 0 else clues[c - 1, r]
                for x in range(min(width, 2 * w)):
                    seen[c, x] = source[x] * scale[c] + shift[c]
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
            # The believed color times its belief, and times its square: in loops that touch few rows each.
            for k in range(2):
                for x in range(2 * w):
                    sure = _ONE - rows[3, x]
                    color = rows[0, x] * seen[2 + k, x] + rows[1, x] * found[1 + k, x] + rows[2, x] * seen[8 + k, x]
                    raised[x] = color * sure / (sure + _EPSILON)
                if row < height:
                    kept[k, row] = raised[:width]
                for x in range(2 * w):
                    raised[x] *= _ONE - rows[3, x]
                _add_pairs(raised, hints[k, y])
            if row < height:
                kept[2, row] = rows[3, :width]
            for x in range(2 * w):
                raised[x] = (_ONE - rows[3, x]) ** 2
            _add_pairs(raised, hints[2, y])


@njit(**_options)
def settle(kept: Any, carried: Any, share: Any, scale: Any, out: Any, first: int, last: int) -> None:
    """Full-size rows first <= y < last of scale * (share of the kept color + the rest of carried color), (H, W, 2);
    kept (3, H, W) as `believe` leaves it, carried (2, h, w) at half size."""
    width = kept.shape[2]
    raised = np.empty((2, 2 * carried.shape[2]), np.float32)
    for y in range(first, last):
        near, other = _around(y, carried.shape[1])
        for c in range(2):
            _enlarged_row(carried[c], near, other, raised[c])
            for x in range(width):
                rest = _ONE - share * (_ONE - kept[2, y, x])
                out[y, x, c] = scale * (share * kept[c, y, x] + rest * raised[c, x])
