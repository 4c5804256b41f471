"""What lies between the scans and the convolutions of `propagation.spn`, in one pass over the rows each.

Each function computes rows first <= n < last, all pictures' rows one after another, of what its namesake there spells
out in whole tensors: a stroke must not pay for writing and reading every step of that. Arrays are float32; B pictures
of h x w pixels, padded to H x W; S gate sets, `heads` of the lookup, C channels of the property.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from propagation.spn import AB_SCALE, LARGEST_CHANGE, TINY

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}

_TINY, _UNIT, _MOST = np.float32(TINY), np.float32(AB_SCALE), np.float32(LARGEST_CHANGE)
_LOG_SHARE = np.float32(1 / 8)


@njit(**_options)
def _enlarge_row(source: Any, y: int, blend: Any, out: Any) -> None:
    """Row y of a picture (h, w) at twice its size, bilinear: (2 w,). `blend`: scratch, (w + 2,)."""
    h, w = source.shape
    near = y // 2
    above, below = source[near], source[min(max(near - 1 + 2 * (y % 2), 0), h - 1)]
    most, least = np.float32(0.75), np.float32(0.25)
    for x in range(w):
        blend[x + 1] = most * above[x] + least * below[x]
    blend[0], blend[w + 1] = blend[1], blend[w]
    for x in range(w):
        out[2 * x] = most * blend[x + 1] + least * blend[x]
        out[2 * x + 1] = most * blend[x + 1] + least * blend[x + 2]


@njit(**_options)
def _decay(x: Any) -> Any:
    """e^x for x <= 0, to 2e-4 of itself down to e^-80, and that below: sums and products, which a processor computes
    many at a time, of the series of e^(x / 128). Small results count, where trust is small all around."""
    x = max(x, np.float32(-80)) * np.float32(1 / 128)
    y = np.float32(1 / 5040)
    y = y * x + np.float32(1 / 720)
    y = y * x + np.float32(1 / 120)
    y = y * x + np.float32(1 / 24)
    y = y * x + np.float32(1 / 6)
    y = y * x + np.float32(1 / 2)
    y = y * x + np.float32(1)
    y = y * x + np.float32(1)
    for _ in range(7):
        y = y * y
    return y


@njit(**_options)
def hint_rows(values: Any, strength: Any, hints: Any, first: int, last: int) -> None:
    """values (B, C, h, w), strength (B, 1, h, w) -> hints (B, C + 1, H, W): (values / AB_SCALE * strength, strength), 0
    beyond the picture; rows are those of the padded size."""
    channels, h, w = values.shape[1:]
    for n in range(first, last):
        b, y = n // hints.shape[2], n % hints.shape[2]
        hints[b, :, y] = 0
        if y < h:
            for x in range(w):
                s = strength[b, 0, y, x]
                if s != 0:
                    hints[b, channels, y, x] = s
                    for c in range(channels):
                        hints[b, c, y, x] = values[b, c, y, x] / _UNIT * s


@njit(**_options)
def halve_rows(spread: Any, half: Any, first: int, last: int) -> None:
    """spread (B, K, H, W) -> half (B, S K, H/2, W/2): means of 2x2 pixels, the same for each gate set; rows are those
    of the half size."""
    quarter, count = np.float32(0.25), spread.shape[1]
    for n in range(first, last):
        b, row = n // half.shape[2], n % half.shape[2]
        for c in range(count):
            above, below = spread[b, c, 2 * row], spread[b, c, 2 * row + 1]
            for x in range(half.shape[3]):
                half[b, c, row, x] = quarter * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1])
            for again in range(c + count, half.shape[1], count):
                half[b, again, row] = half[b, c, row]


@njit(**_options)
def gather_rows(values: Any, strength: Any, half: Any, marks: Any, first: int, last: int) -> None:
    """Hints at half and quarter size; rows are those of the quarter size.

    values (B, C, h, w), strength (B, 1, h, w) -> marks (B, C + 1, H/4, W/4): means of (values / AB_SCALE * strength,
    strength); half (B, S (C + 1), H/2, W/2): the same for each gate set.
    """
    channels, h, w = values.shape[1:]
    quarter = np.float32(0.25)
    for n in range(first, last):
        b, row = n // marks.shape[2], n % marks.shape[2]
        half[b, :, 2 * row : 2 * row + 2] = 0
        for y in range(4 * row, min(4 * row + 4, h)):
            for x in range(w):
                s = strength[b, 0, y, x]
                if s != 0:
                    half[b, channels, y // 2, x // 2] += quarter * s
                    for c in range(channels):
                        half[b, c, y // 2, x // 2] += quarter * (values[b, c, y, x] / _UNIT * s)
        for c in range(channels + 1):
            above, below = half[b, c, 2 * row], half[b, c, 2 * row + 1]
            for x in range(marks.shape[3]):
                marks[b, c, row, x] = quarter * (above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1])
            for again in range(c + channels + 1, half.shape[1], channels + 1):
                half[b, again, 2 * row], half[b, again, 2 * row + 1] = above, below


@njit(**_options)
def clue_rows(carried: Any, amounts: Any, found: Any, marks: Any, out: Any, first: int, last: int) -> None:
    """What the correction is told, rows of the quarter size.

    carried (B, S (C + 1), H/2, W/2), amounts (B, S, H/2, W/2): log10 of what arrives; found (B, heads (C + 1), H/4,
    W/4): values and log10 of how much; marks as `gather_rows` leaves them -> out (B, clues, H/4, W/4).
    """
    sets, channels = amounts.shape[1], marks.shape[1] - 1
    heads = found.shape[1] // (channels + 1)
    width = marks.shape[3]
    quarter = np.float32(0.25)
    inverse = np.empty((2, 2 * width), np.float32)
    for n in range(first, last):
        b, row = n // marks.shape[2], n % marks.shape[2]
        at = 0
        for s in range(sets):
            for k in range(2):
                amount = carried[b, s * (channels + 1) + channels, 2 * row + k]
                for x in range(2 * width):
                    inverse[k, x] = quarter / max(amount[x], _TINY)
            for c in range(channels):
                plane = carried[b, s * (channels + 1) + c]
                above, below = plane[2 * row], plane[2 * row + 1]
                line = out[b, at, row]
                for x in range(width):
                    line[x] = above[2 * x] * inverse[0, 2 * x] + above[2 * x + 1] * inverse[0, 2 * x + 1]
                for x in range(width):
                    line[x] += below[2 * x] * inverse[1, 2 * x] + below[2 * x + 1] * inverse[1, 2 * x + 1]
                at += 1
        for s in range(sets):
            above, below = amounts[b, s, 2 * row], amounts[b, s, 2 * row + 1]
            line = out[b, at, row]
            for x in range(width):
                total = above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1]
                line[x] = quarter * _LOG_SHARE * total
            at += 1
        for k in range(heads):
            for c in range(channels):
                out[b, at, row] = found[b, k * (channels + 1) + c, row]
                at += 1
        for k in range(heads):
            out[b, at, row] = found[b, k * (channels + 1) + channels, row] * _LOG_SHARE
            at += 1
        for c in range(channels):
            out[b, at, row] = marks[b, c, row] / (marks[b, channels, row] + np.float32(1e-3))
            at += 1
        out[b, at, row] = np.sqrt(marks[b, channels, row])


@njit(**_options)
def blend_rows(carried: Any, found: Any, mended: Any, out: Any, first: int, last: int) -> None:
    """Opinions mixed and mended; rows are those of the half size.

    carried, found as in `clue_rows`; mended (B, S + heads + C + 2, H/4, W/4): shares, change, and two
    doubts -> out (B, C + 2, H/2, W/2): draft and doubts.
    """
    channels = out.shape[1] - 2
    sets, heads = carried.shape[1] // (channels + 1), found.shape[1] // (channels + 1)
    opinions, width = sets + heads, out.shape[3]
    share = np.empty((opinions, width), np.float32)
    largest, total, line = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.float32)
    blend = np.empty(width // 2 + 2, np.float32)
    for n in range(first, last):
        b, y = n // out.shape[2], n % out.shape[2]
        for k in range(opinions):
            _enlarge_row(mended[b, k], y, blend, share[k])
            for x in range(width):
                largest[x] = share[k, x] if k == 0 else max(largest[x], share[k, x])
        total[:] = 0
        for k in range(opinions):
            for x in range(width):
                share[k, x] = _decay(share[k, x] - largest[x])
                total[x] += share[k, x]
        for k in range(opinions):
            for x in range(width):
                share[k, x] /= total[x]
        for k in range(sets):
            amount = carried[b, k * (channels + 1) + channels, y]
            for x in range(width):
                share[k, x] /= max(amount[x], _TINY)
        for c in range(channels):
            draft = out[b, c, y]
            _enlarge_row(mended[b, opinions + c], y, blend, draft)
            for x in range(width):
                draft[x] = min(max(draft[x], -_MOST), _MOST)
            for k in range(sets):
                weighted = carried[b, k * (channels + 1) + c, y]
                for x in range(width):
                    draft[x] += share[k, x] * weighted[x]
            for k in range(heads):
                _enlarge_row(found[b, k * (channels + 1) + c], y, blend, line)
                for x in range(width):
                    draft[x] += share[sets + k, x] * line[x]
        for k in range(2):
            _enlarge_row(mended[b, opinions + channels + k], y, blend, out[b, channels + k, y])


@njit(**_options)
def weigh_rows(
    blended: Any, edges: Any, values: Any, strength: Any, weighted: Any, error: Any, first: int, last: int
) -> None:
    """The last pass's input; rows are those of the padded picture.

    blended (B, C + 2, H/2, W/2): draft, trust and expected error; edges (B, 1, H, W); values, strength as in
    `gather_rows` -> weighted (B, C + 1, H, W) and error (B, 1, h, w).
    """
    channels, h, w = values.shape[1:]
    width = edges.shape[3]
    sure, line = np.zeros(width, np.float32), np.empty(width, np.float32)
    blend = np.empty(width // 2 + 2, np.float32)
    one = np.float32(1)
    for n in range(first, last):
        b, y = n // edges.shape[2], n % edges.shape[2]
        hinted = False
        if y < h:
            _enlarge_row(blended[b, channels + 1], y, blend, line)
            error[b, 0, y] = line[:w] * _UNIT
            sure[:w] = strength[b, 0, y]
            hinted = sure.max() > 0
        trust, edge = weighted[b, channels, y], edges[b, 0, y]
        _enlarge_row(blended[b, channels], y, blend, trust)
        for x in range(width):
            logit = trust[x] + edge[x]
            rest = _decay(-abs(logit))
            trust[x] = (one if logit >= 0 else rest) / (one + rest)
        if hinted:
            for x in range(width):
                trust[x] = trust[x] * (one - sure[x]) + sure[x]
        for c in range(channels):
            draft = weighted[b, c, y]
            _enlarge_row(blended[b, c], y, blend, draft)
            if hinted:
                for x in range(w):
                    if sure[x] > 0:
                        draft[x] += (values[b, c, y, x] / _UNIT - draft[x]) * sure[x]
            for x in range(width):
                draft[x] *= trust[x]


@njit(**_options)
def settle_rows(settled: Any, amount: Any, strength: Any, values: Any, reach: Any, first: int, last: int) -> None:
    """What comes out; rows are those of the picture.

    settled (B, C + 1, H, W) from the last pass, amount (B, 1, H/2, W/2): mean log10 of what arrives, strength (B, 1, h,
    w) -> values (B, h, w, C), reach (B, 1, h, w).
    """
    _, h, w, channels = values.shape
    line, blend = np.empty(settled.shape[3], np.float32), np.empty(settled.shape[3] // 2 + 2, np.float32)
    for n in range(first, last):
        b, y = n // h, n % h
        _enlarge_row(amount[b, 0], y, blend, line)
        for x in range(w):
            reach[b, 0, y, x] = line[x] if strength[b, 0, y, x] == 0 else np.float32(0)
        weight = settled[b, channels, y]
        for x in range(w):
            line[x] = _UNIT / max(weight[x], _TINY)
        for c in range(channels):
            for x in range(w):
                values[b, y, x, c] = settled[b, c, y, x] * line[x]
