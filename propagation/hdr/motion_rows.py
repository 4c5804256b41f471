"""What `propagation.hdr.motion` does pixel by pixel, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def departures(flow: Any, sure: Any, model: Any, cell: int, out: Any, first: int, last: int) -> None:
    """Rows of `out` (h, w, 3): over every `cell` x `cell` pixels the mean of sure * (flow - model), and of sure.

    `model` (3, 2) float32: what x, y (each -1 to 1) and 1 contribute to the motion.
    """
    height, width = sure.shape
    for v in range(first, last):
        bottom = min((v + 1) * cell, height)
        for u in range(out.shape[1]):
            right = min((u + 1) * cell, width)
            across = down = weight = np.float32(0)
            for j in range(v * cell, bottom):
                y = np.float32(2 * j) / np.float32(height) - np.float32(1)
                for i in range(u * cell, right):
                    x = np.float32(2 * i) / np.float32(width) - np.float32(1)
                    s = sure[j, i]
                    across += s * (flow[j, i, 0] - (x * model[0, 0] + y * model[1, 0] + model[2, 0]))
                    down += s * (flow[j, i, 1] - (x * model[0, 1] + y * model[1, 1] + model[2, 1]))
                    weight += s
            count = np.float32((bottom - v * cell) * (right - u * cell))
            out[v, u, 0], out[v, u, 1], out[v, u, 2] = across / count, down / count, weight / count


@njit(nogil=True, cache=True, error_model="numpy")
def followed(flow: Any, sure: Any, model: Any, near: Any, out: Any, first: int, last: int) -> None:
    """Rows of `out` (H, W, 2): flow where sure, else the model plus `near` (H, W, 2), its departure nearby."""
    height, width = sure.shape
    for j in range(first, last):
        y = np.float32(2 * j) / np.float32(height) - np.float32(1)
        for i in range(width):
            x = np.float32(2 * i) / np.float32(width) - np.float32(1)
            s = sure[j, i]
            for c in range(2):
                guess = x * model[0, c] + y * model[1, c] + model[2, c] + near[j, i, c]
                out[j, i, c] = guess + (flow[j, i, c] - guess) * s


@njit(nogil=True, cache=True, error_model="numpy")
def normal_equations(flow: Any, sure: Any, model: Any, change: Any, step: int, scale_px: float) -> Any:
    """((3, 3), (3, 2)) of the weighted least squares of flow - model on every `step`th pixel, each weighed down by how
    far it departs from `change` already (in `scale_px`)."""
    height, width = sure.shape
    left, right = np.zeros((3, 3)), np.zeros((3, 2))
    at = np.ones(3)
    moved = np.zeros(2)
    for j in range(step // 2, height, step):
        at[1] = 2 * j / height - 1
        for i in range(step // 2, width, step):
            weight = float(sure[j, i])
            if weight < 1e-6:
                continue
            at[0] = 2 * i / width - 1
            apart = 0.0
            for c in range(2):
                moved[c] = flow[j, i, c] - (at[0] * model[0, c] + at[1] * model[1, c] + model[2, c])
                miss = moved[c] - (at[0] * change[0, c] + at[1] * change[1, c] + change[2, c])
                apart += miss * miss
            weight /= 1 + apart / (scale_px * scale_px)
            for a in range(3):
                for b in range(3):
                    left[a, b] += weight * at[a] * at[b]
                for c in range(2):
                    right[a, c] += weight * at[a] * moved[c]
    return left, right
