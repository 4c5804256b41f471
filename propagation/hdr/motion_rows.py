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
def normal_equations(flow: Any, sure: Any, model: Any, change: Any, spacing: Any, scale_px: float) -> Any:
    """((3, 3), (3, 2)) of the weighted least squares of `flow` (h, w, 2) - model on a grid of pixels believed by `sure`
    (h, w), each weighed down by how far it departs from `change` already (in `scale_px`).

    `spacing`: by how much y and x (each -1 to 1) grow from line to line and pixel to pixel, and the first line's y.
    """
    # One by one: sums that lie in arrays are stored and read back at every pixel.
    xx = xy = xs = yy = ys = ss = xu = yu = su = xv = yv = sv = 0.0
    for j in range(sure.shape[0]):
        y = spacing[0] * j + spacing[2]
        for i in range(sure.shape[1]):
            weight = float(sure[j, i])
            if weight < 1e-6:
                continue
            x = spacing[1] * i - 1
            u = flow[j, i, 0] - (x * model[0, 0] + y * model[1, 0] + model[2, 0])
            v = flow[j, i, 1] - (x * model[0, 1] + y * model[1, 1] + model[2, 1])
            miss_u = u - (x * change[0, 0] + y * change[1, 0] + change[2, 0])
            miss_v = v - (x * change[0, 1] + y * change[1, 1] + change[2, 1])
            weight /= 1 + (miss_u * miss_u + miss_v * miss_v) / (scale_px * scale_px)
            by_x, by_y = weight * x, weight * y
            xx, xy, xs, yy, ys, ss = xx + by_x * x, xy + by_x * y, xs + by_x, yy + by_y * y, ys + by_y, ss + weight
            xu, yu, su = xu + by_x * u, yu + by_y * u, su + weight * u
            xv, yv, sv = xv + by_x * v, yv + by_y * v, sv + weight * v
    left = np.array([[xx, xy, xs], [xy, yy, ys], [xs, ys, ss]])
    return left, np.array([[xu, xv], [yu, yv], [su, sv]])


@njit(nogil=True, cache=True)
def inside(offsets: Any, out: Any, first: int, last: int) -> None:
    """Rows of `out` (H, W): 1 where a pixel's offset (H, W, 2) leads into the frame, within half a pixel, else 0."""
    height, width = out.shape
    for j in range(first, last):
        for i in range(width):
            x, y = i + offsets[j, i, 0], j + offsets[j, i, 1]
            across = x >= -0.5 and x <= width - 0.5
            out[j, i] = np.float32(across and y >= -0.5 and y <= height - 0.5)


@njit(nogil=True, cache=True)
def show(log_light: Any, columns: Any, scale: Any, offset: Any, out: Any, first: int, last: int) -> None:
    """Rows of `out` (H, W), the luma that a camera shows of light (H, W, 3): sums of its `columns`, one a channel, at
    log_light * scale + offset."""
    top = np.float32(columns.shape[0] - 1)
    for y in range(first, last):
        for x in range(out.shape[1]):
            luma = np.float32(0.5)
            for c in range(3):
                place = min(max(log_light[y, x, c] * scale + offset, np.float32(0)), top)
                luma += columns[int(place), c]
            out[y, x] = np.uint8(min(luma, np.float32(255)))
