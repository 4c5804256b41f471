"""The tracker's arithmetic in few passes over the pixels: compose motion, anchor it in the key frame, sample.

Sampling is bilinear at exact positions, the border replicated. numba, because the same in separate remaps and sums
takes three times as long as the motion estimation whose result it only moves about.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_inline: Any = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "inline": "always"}
_ONE = np.float32(1)


@njit(**_inline)
def _corner(position: Any, size: int) -> Any:
    """Lower index and fraction of a coordinate, moved inside the picture; the upper index is at most size - 1."""
    inside = min(max(position, np.float32(0)), np.float32(size - 1))
    lower = min(int(inside), max(size - 2, 0))
    return lower, inside - np.float32(lower)


@njit(**_inline)
def _read(picture: Any, channel: int, y: int, x: int, fy: Any, fx: Any) -> Any:
    below, right = min(y + 1, picture.shape[0] - 1), min(x + 1, picture.shape[1] - 1)
    upper = picture[y, x, channel] + fx * (picture[y, right, channel] - picture[y, x, channel])
    lower = picture[below, x, channel] + fx * (picture[below, right, channel] - picture[below, x, channel])
    return upper + fy * (lower - upper)


@njit(**_options)
def compose(back: Any, forth: Any, tracks: Any, step: Any, composed: Any, guess: Any, first: int, last: int) -> None:
    """Rows first <= y < last of one step: what `alignment.Step` tells of it, before the tracks are anchored.

    back, forth (H, W, 2): motion to and from the previous frame; tracks, composed (H, W, 5): before and after; guess
    (H, W, 2): motion from here into the key frame, never out of it.
    """
    h, w = back.shape[:2]
    half = np.float32(0.5)
    for y in range(first, last):
        for x in range(w):
            px, py = np.float32(x) + back[y, x, 0], np.float32(y) + back[y, x, 1]
            i, fy = _corner(py, h)
            j, fx = _corner(px, w)
            dx = back[y, x, 0] + _read(forth, 0, i, j, fy, fx)
            dy = back[y, x, 1] + _read(forth, 1, i, j, fy, fx)
            returned = np.log1p(np.sqrt(dx * dx + dy * dy))
            stays = px >= -half and py >= -half and px <= np.float32(w) - half and py <= np.float32(h) - half
            inside = _ONE if stays else np.float32(0)
            step[y, x, 0], step[y, x, 1], step[y, x, 2], step[y, x, 3] = px, py, returned, inside
            kx, ky = _read(tracks, 0, i, j, fy, fx), _read(tracks, 1, i, j, fy, fx)
            composed[y, x, 0], composed[y, x, 1] = kx, ky
            composed[y, x, 2] = max(_read(tracks, 2, i, j, fy, fx), returned)
            composed[y, x, 3] = _read(tracks, 3, i, j, fy, fx) * inside
            guess[y, x, 0] = min(max(kx, np.float32(0)), np.float32(w - 1)) - np.float32(x)
            guess[y, x, 1] = min(max(ky, np.float32(0)), np.float32(h - 1)) - np.float32(y)


@njit(**_options)
def compare(lightness: Any, key: Any, guess: Any, direct: Any, out: Any, first: int, last: int) -> None:
    """|L* here - L* of the key frame| (H, W, 2) where two motions (H, W, 2) lead in it; key (H, W, C + 1), L* first."""
    h, w = lightness.shape
    for y in range(first, last):
        for x in range(w):
            i, fy = _corner(np.float32(y) + guess[y, x, 1], h)
            j, fx = _corner(np.float32(x) + guess[y, x, 0], w)
            out[y, x, 0] = abs(lightness[y, x] - _read(key, 0, i, j, fy, fx))
            i, fy = _corner(np.float32(y) + direct[y, x, 1], h)
            j, fx = _corner(np.float32(x) + direct[y, x, 0], w)
            out[y, x, 1] = abs(lightness[y, x] - _read(key, 0, i, j, fy, fx))


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
    half = np.float32(0.5)
    for y in range(first, last):
        for x in range(w):
            a = share[y, x]
            px, py = np.float32(x) + direct[y, x, 0], np.float32(y) + direct[y, x, 1]
            dx, dy = px - tracks[y, x, 0], py - tracks[y, x, 1]
            tracks[y, x, 0] += a * dx
            tracks[y, x, 1] += a * dy
            tracks[y, x, 2] *= _ONE - a
            if px >= -half and py >= -half and px <= np.float32(w) - half and py <= np.float32(h) - half:
                tracks[y, x, 3] = max(tracks[y, x, 3], a)
            tracks[y, x, 4] = np.log1p(np.sqrt(dx * dx + dy * dy))


@njit(**_options)
def sample(step: Any, tracks: Any, previous: Any, key: Any, clues: Any, first: int, last: int) -> None:
    """Rows first <= y < last of the clues (8 + 2 C, H, W), see `alignment.CLUES`.

    step, tracks: as `alignment.Step` has them; previous (H, W, C + 2): its L*, property and error; key (H, W, C + 1):
    its L* and property.
    """
    h, w = step.shape[:2]
    channels = key.shape[2] - 1
    mine = channels + 4  # the first clue of the previous frame, after those of the key frame
    for y in range(first, last):
        for x in range(w):
            i, fy = _corner(step[y, x, 1], h)
            j, fx = _corner(step[y, x, 0], w)
            for c in range(channels + 1):
                clues[mine + c, y, x] = _read(previous, c, i, j, fy, fx)
            clues[mine + channels + 1, y, x] = step[y, x, 2]
            clues[mine + channels + 2, y, x] = step[y, x, 3]
            clues[mine + channels + 3, y, x] = _read(previous, channels + 1, i, j, fy, fx)
            i, fy = _corner(tracks[y, x, 1], h)
            j, fx = _corner(tracks[y, x, 0], w)
            for c in range(channels + 1):
                clues[c, y, x] = _read(key, c, i, j, fy, fx)
            clues[channels + 1, y, x] = tracks[y, x, 4]
            clues[channels + 2, y, x] = tracks[y, x, 2]
            clues[channels + 3, y, x] = tracks[y, x, 3]
