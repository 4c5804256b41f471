"""The tracker's arithmetic in few passes over the pixels: compose motion, anchor it in the key frame, sample.

Sampling is bilinear at exact positions, the border replicated. numba, because the same in separate remaps and sums
takes three times as long as the motion estimation whose result it only moves about.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from propagation.rows.exponential import log_one_plus_root

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_row_options: Any = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_inline: Any = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "inline": "always"}
_ONE = np.float32(1)


@njit(**_row_options)
def _find(xs: Any, ys: Any, h: Any, w: Any, pixels: Any, weights: Any) -> None:
    """Of a row of positions (n,) in a picture: the number of the pixel above and left of each, moved inside, (n,) and
    the weights (4, n) of it, its right neighbour, and the two below. Unsigned numbers, because numba asks of every
    signed index whether it counts from the end."""
    for n in range(xs.size):
        x = min(max(xs[n], np.float32(0)), np.float32(w - 1))
        y = min(max(ys[n], np.float32(0)), np.float32(h - 1))
        j, i = min(np.int32(x), max(w - np.int32(2), np.int32(0))), min(np.int32(y), max(h - np.int32(2), np.int32(0)))
        right, lower = x - np.float32(j), y - np.float32(i)
        left, upper = _ONE - right, _ONE - lower
        pixels[n] = i * w + j
        weights[0, n], weights[1, n] = upper * left, upper * right
        weights[2, n], weights[3, n] = lower * left, lower * right


@njit(**_row_options)
def _read(picture: Any, channels: Any, channel: Any, size: Any, pixels: Any, weights: Any, out: Any) -> None:
    """Row (n,) of a channel at what `_find` has found in a flat picture of `channels` and size (h, w)."""
    right = channels if size[1] > 1 else np.uint32(0)
    below = channels * np.uint32(size[1]) if size[0] > 1 else np.uint32(0)
    for n in range(out.size):
        at = pixels[n] * channels + channel
        upper = weights[0, n] * picture[at] + weights[1, n] * picture[at + right]
        out[n] = upper + (weights[2, n] * picture[at + below] + weights[3, n] * picture[at + below + right])


@njit(**_inline)
def _is_inside(x: Any, y: Any, h: int, w: int) -> Any:
    half = np.float32(0.5)
    return x >= -half and y >= -half and x <= np.float32(w) - half and y <= np.float32(h) - half


@njit(**_options)
def compose(back: Any, forth: Any, tracks: Any, step: Any, composed: Any, guess: Any, first: int, last: int) -> None:
    """Rows first <= y < last of one step: what `alignment.Step` tells of it, before the tracks are anchored.

    back, forth (H, W, 2): motion to and from the previous frame; tracks, composed (H, W, 5): before and after; guess
    (H, W, 2): motion from here into the key frame, never out of it.
    """
    size = h, w = np.int32(back.shape[0]), np.int32(back.shape[1])
    there, before = forth.reshape(-1), tracks.reshape(-1)
    two, five = np.uint32(2), np.uint32(5)
    pixels, weights, room = np.empty(w, np.uint32), np.empty((4, w), np.float32), np.empty(w, np.int32)
    px, py, dx, dy = np.empty(w, np.float32), np.empty(w, np.float32), np.empty(w, np.float32), np.empty(w, np.float32)
    old = np.empty((4, w), np.float32)
    for y in range(first, last):
        for x in range(w):
            px[x], py[x] = np.float32(x) + back[y, x, 0], np.float32(y) + back[y, x, 1]
        _find(px, py, h, w, pixels, weights)
        _read(there, two, np.uint32(0), size, pixels, weights, dx)
        _read(there, two, np.uint32(1), size, pixels, weights, dy)
        for c in range(4):
            _read(before, five, np.uint32(c), size, pixels, weights, old[c])
        for x in range(w):
            dx[x] = (back[y, x, 0] + dx[x]) ** 2 + (back[y, x, 1] + dy[x]) ** 2
        log_one_plus_root(dx, room)
        for x in range(w):
            inside = _ONE if _is_inside(px[x], py[x], h, w) else np.float32(0)
            step[y, x, 0], step[y, x, 1], step[y, x, 2], step[y, x, 3] = px[x], py[x], dx[x], inside
            composed[y, x, 0], composed[y, x, 1], composed[y, x, 2] = old[0, x], old[1, x], max(old[2, x], dx[x])
            composed[y, x, 3] = old[3, x] * inside
            guess[y, x, 0] = min(max(old[0, x], np.float32(0)), np.float32(w - 1)) - np.float32(x)
            guess[y, x, 1] = min(max(old[1, x], np.float32(0)), np.float32(h - 1)) - np.float32(y)


@njit(**_options)
def compare(lightness: Any, key: Any, guess: Any, direct: Any, out: Any, first: int, last: int) -> None:
    """|L* here - L* of the key frame| (H, W, 2) where two motions (H, W, 2) lead in it; key (H, W), L*."""
    size = h, w = np.int32(lightness.shape[0]), np.int32(lightness.shape[1])
    there = key.reshape(-1)
    pixels, weights, found = np.empty(w, np.uint32), np.empty((4, w), np.float32), np.empty(w, np.float32)
    px, py = np.empty(w, np.float32), np.empty(w, np.float32)
    for y in range(first, last):
        for k in range(2):
            motion = guess if k == 0 else direct
            for x in range(w):
                px[x], py[x] = np.float32(x) + motion[y, x, 0], np.float32(y) + motion[y, x, 1]
            _find(px, py, h, w, pixels, weights)
            _read(there, np.uint32(1), np.uint32(0), size, pixels, weights, found)
            for x in range(w):
                out[y, x, k] = abs(lightness[y, x] - found[x])


@njit(**_options)
def choose(
    guess: Any, direct: Any, differences: Any, share: Any, furthest: Any, out: Any, first: int, last: int
) -> None:
    """1 where the direct motion is no further than `furthest` pixels from the guess and its difference is less than
    `share` of the guess's, else 0."""
    w = out.shape[1]
    for y in range(first, last):
        for x in range(w):
            dx, dy = direct[y, x, 0] - guess[y, x, 0], direct[y, x, 1] - guess[y, x, 1]
            near = dx * dx + dy * dy < furthest * furthest
            better = differences[y, x, 1] < share * differences[y, x, 0]
            out[y, x] = _ONE if near and better else np.float32(0)


@njit(**_options)
def anchor(direct: Any, share: Any, tracks: Any, first: int, last: int) -> None:
    """Moves tracks (H, W, 5) by share (H, W), 0 to 1, to where the direct motion leads, and forgets as much of what was
    held against them; the last channel becomes how far apart the two were."""
    h, w = share.shape
    apart, room = np.empty(w, np.float32), np.empty(w, np.int32)
    for y in range(first, last):
        for x in range(w):
            a = share[y, x]
            px, py = np.float32(x) + direct[y, x, 0], np.float32(y) + direct[y, x, 1]
            dx, dy = px - tracks[y, x, 0], py - tracks[y, x, 1]
            tracks[y, x, 0] += a * dx
            tracks[y, x, 1] += a * dy
            tracks[y, x, 2] *= _ONE - a
            if _is_inside(px, py, h, w):
                tracks[y, x, 3] = max(tracks[y, x, 3], a)
            apart[x] = dx * dx + dy * dy
        log_one_plus_root(apart, room)
        for x in range(w):
            tracks[y, x, 4] = apart[x]


@njit(**_options)
def sample(
    step: Any, tracks: Any, lightness: Any, values: Any, error: Any, key: Any, clues: Any, first: int, last: int
) -> None:
    """Rows first <= y < last of the clues (8 + 2 C, H, W), see `alignment.CLUES`.

    step, tracks: as `alignment.Step` has them; lightness (H, W), values (H, W, C), error (H, W) of the previous frame;
    key (H, W, C + 1): its L* and property.
    """
    size = h, w = np.int32(step.shape[0]), np.int32(step.shape[1])
    channels = np.uint32(key.shape[2] - 1)
    light_before, before, error_before = lightness.reshape(-1), values.reshape(-1), error.reshape(-1)
    there = key.reshape(-1)
    zero, one = np.uint32(0), np.uint32(1)
    mine = channels + 4  # the first clue of the previous frame, after those of the key frame
    pixels, weights = np.empty(w, np.uint32), np.empty((4, w), np.float32)
    for y in range(first, last):
        _find(step[y, :, 0], step[y, :, 1], h, w, pixels, weights)
        _read(light_before, one, zero, size, pixels, weights, clues[mine, y])
        for c in range(channels):
            _read(before, channels, np.uint32(c), size, pixels, weights, clues[mine + 1 + c, y])
        _read(error_before, one, zero, size, pixels, weights, clues[mine + channels + 3, y])
        _find(tracks[y, :, 0], tracks[y, :, 1], h, w, pixels, weights)
        for c in range(channels + 1):
            _read(there, channels + one, np.uint32(c), size, pixels, weights, clues[c, y])
        for x in range(w):
            clues[mine + channels + 1, y, x], clues[mine + channels + 2, y, x] = step[y, x, 2], step[y, x, 3]
            clues[channels + 1, y, x] = tracks[y, x, 4]
            clues[channels + 2, y, x], clues[channels + 3, y, x] = tracks[y, x, 2], tracks[y, x, 3]
