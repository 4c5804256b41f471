"""Chroma from work size to full size, guided by the full-resolution lightness: joint bilateral upsampling (Kopf et
al. 2007)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.threads import run_parts

Floats = NDArray[np.float32]

# L* difference at which a neighbour's weight is halved: above grain, below the edges that colour follows.
_TOLERANCE = 4.0


def lift_chroma(ab: Floats, lightness: Floats, full: Floats) -> Floats:
    """ab (h, w, C) with its lightness (h, w), both at work size, to (H, W, C) under the lightness `full` (H, W).

    Every value is a weighted mean of the 3 x 3 nearest ones; those whose L* is near the pixel's own count most, so that
    colour ends where the full-resolution picture has its edge. At equal sizes the input comes back unchanged.
    """
    if ab.shape[:2] == full.shape:
        return ab
    out = np.empty((*full.shape, ab.shape[2]), np.float32)
    arguments = tuple(np.ascontiguousarray(x, np.float32) for x in (ab, lightness, full))
    run_parts(_lift_rows, (*arguments, out), full.shape[0], full.size)
    return out


_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}


@njit(**_options)
def _lift_rows(ab: Any, lightness: Any, full: Any, out: Any, first: int, last: int) -> None:
    h, w, channels = ab.shape
    height, width = full.shape
    total = np.empty(channels, np.float32)
    for y in range(first, last):
        sy = (y + np.float32(0.5)) * h / height - np.float32(0.5)
        cy = min(max(int(np.floor(sy + np.float32(0.5))), 0), h - 1)
        for x in range(width):
            sx = (x + np.float32(0.5)) * w / width - np.float32(0.5)
            cx = min(max(int(np.floor(sx + np.float32(0.5))), 0), w - 1)
            own = full[y, x]
            total[:] = 0
            weights = np.float32(1e-12)
            for j in range(max(cy - 1, 0), min(cy + 2, h)):
                near = max(np.float32(0), np.float32(1.5) - abs(sy - j))
                for i in range(max(cx - 1, 0), min(cx + 2, w)):
                    difference = (own - lightness[j, i]) / np.float32(_TOLERANCE)
                    weight = (
                        near * max(np.float32(0), np.float32(1.5) - abs(sx - i)) / (1 + difference * difference) ** 2
                    )
                    weights += weight
                    for c in range(channels):
                        total[c] += weight * ab[j, i, c]
            for c in range(channels):
                out[y, x, c] = total[c] / weights
