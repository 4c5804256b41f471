"""Local matching in one pass over the rows: every offset's weight is used while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}


@njit(**_options)
def match_rows(features: Any, values: Any, nearness: Any, out: Any, first: int, last: int) -> None:
    """Rows first <= n < last, all pictures' rows one after another, of what `propagation.matching.match` returns.

    features (B, H, W, 2 F): wanted and offered; values (B, H, W, C), their borders replicated here; nearness ((2 r +
    1)^2,), out (B, C, H, W), all float32. The rows around are kept in planes, each fetched once.
    """
    h, w = features.shape[1:3]
    count, channels = features.shape[3] // 2, values.shape[3]
    reach = int(np.sqrt(nearness.size))
    radius = reach // 2
    planes = count + count % 2  # features are taken in pairs, which is less to read and write; the odd one's is zero
    wanted = np.zeros((planes, w), np.float32)
    around = np.zeros((reach, planes + channels, w + 2 * radius), np.float32)
    distance, total = np.empty(w, np.float32), np.empty(w, np.float32)
    for n in range(first, last):
        b, y = n // h, n % h
        begins = n == first or y == 0
        for row in range(y - radius if begins else y + radius, y + radius + 1):
            _fetch(features, values, b, min(max(row, 0), h - 1), radius, around[row % reach])
        for c in range(count):
            for x in range(w):
                wanted[c, x] = features[b, y, x, c]
        total[:] = 0
        out[b, :, y] = 0
        for k in range(reach * reach):
            there, dx = around[(y + k // reach - radius) % reach], k % reach
            distance[:] = 1
            for c in range(0, count, 2):
                _differ(wanted[c], wanted[c + 1], there[c, dx : dx + w], there[c + 1, dx : dx + w], distance)
            for x in range(w):
                squared = distance[x] * distance[x]
                distance[x] = nearness[k] / (squared * squared)
                total[x] += distance[x]
            for c in range(channels):
                _add(distance, there[planes + c, dx : dx + w], out[b, c, y])
        for c in range(channels):
            for x in range(w):
                out[b, c, y, x] /= total[x]


@njit(**_options)
def _differ(one: Any, two: Any, other_one: Any, other_two: Any, out: Any) -> None:
    for x in range(out.size):
        first, second = one[x] - other_one[x], two[x] - other_two[x]
        out[x] += first * first + second * second


@njit(**_options)
def _add(weights: Any, values: Any, out: Any) -> None:
    for x in range(out.size):
        out[x] += weights[x] * values[x]


@njit(**_options)
def _fetch(features: Any, values: Any, b: int, y: int, radius: int, out: Any) -> None:
    """A row's offered features and values in the first and last planes of (.., W + 2 radius), the border replicated."""
    count, w, values_at = features.shape[3] // 2, features.shape[2], out.shape[0] - values.shape[3]
    for x in range(w):
        for c in range(count):
            out[c, x + radius] = features[b, y, x, count + c]
        for c in range(values.shape[3]):
            out[values_at + c, x + radius] = values[b, y, x, c]
    for c in range(out.shape[0]):
        out[c, :radius], out[c, w + radius :] = out[c, radius], out[c, w + radius - 1]
