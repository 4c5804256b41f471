"""The tracker's arithmetic in one pass over the pixels: compose motion, sample, compare round trips.

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
def follow(from_key: Any, forth: Any, out: Any, first: int, last: int) -> None:
    """Where the key frame's pixels (H, W, 2) have got to, moved on by forth (H, W, 2), in rows first <= y < last."""
    h, w = from_key.shape[:2]
    for y in range(first, last):
        for x in range(w):
            i, fy = _corner(from_key[y, x, 1], h)
            j, fx = _corner(from_key[y, x, 0], w)
            out[y, x, 0] = from_key[y, x, 0] + _read(forth, 0, i, j, fy, fx)
            out[y, x, 1] = from_key[y, x, 1] + _read(forth, 1, i, j, fy, fx)


@njit(**_options)
def step(back: Any, forth: Any, previous: Any, tracks: Any, from_key: Any, key: Any, clues: Any, new_tracks: Any,
         first: int, last: int) -> None:
    """Rows first <= y < last of the clues (8 + 2 C, H, W) and of the new tracks.

    back, forth (H, W, 2): motion to and from the previous frame, previous (H, W, C + 2): its L*, property and error;
    tracks (H, W, 4): position in the key frame, worst round trip so far, still inside; from_key as `follow` leaves it;
    key (H, W, C + 1): its L* and property.
    """
    h, w = back.shape[:2]
    channels = key.shape[2] - 1
    for y in range(first, last):
        for x in range(w):
            px, py = np.float32(x) + back[y, x, 0], np.float32(y) + back[y, x, 1]
            i, fy = _corner(py, h)
            j, fx = _corner(px, w)
            dx = back[y, x, 0] + _read(forth, 0, i, j, fy, fx)
            dy = back[y, x, 1] + _read(forth, 1, i, j, fy, fx)
            returned = np.log1p(np.sqrt(dx * dx + dy * dy))
            half = np.float32(0.5)
            stays = px >= -half and py >= -half and px <= np.float32(w) - half and py <= np.float32(h) - half
            inside = _ONE if stays else np.float32(0)
            mine = channels + 4  # the first clue of the previous frame, after those of the key frame
            for c in range(channels + 1):
                clues[mine + c, y, x] = _read(previous, c, i, j, fy, fx)
            clues[mine + channels + 1, y, x] = returned
            clues[mine + channels + 2, y, x] = inside
            clues[mine + channels + 3, y, x] = _read(previous, channels + 1, i, j, fy, fx)
            kx, ky = _read(tracks, 0, i, j, fy, fx), _read(tracks, 1, i, j, fy, fx)
            worst = max(_read(tracks, 2, i, j, fy, fx), returned)
            seen = _read(tracks, 3, i, j, fy, fx) * inside
            new_tracks[y, x, 0], new_tracks[y, x, 1], new_tracks[y, x, 2], new_tracks[y, x, 3] = kx, ky, worst, seen
            i, fy = _corner(ky, h)
            j, fx = _corner(kx, w)
            for c in range(channels + 1):
                clues[c, y, x] = _read(key, c, i, j, fy, fx)
            dx = _read(from_key, 0, i, j, fy, fx) - np.float32(x)
            dy = _read(from_key, 1, i, j, fy, fx) - np.float32(y)
            clues[channels + 1, y, x] = np.log1p(np.sqrt(dx * dx + dy * dy))
            clues[channels + 2, y, x] = worst
            clues[channels + 3, y, x] = seen
