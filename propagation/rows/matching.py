"""Local matching in one pass over the rows: every offset's weight is used while it is in the cache."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}


@njit(**_options)
def match_rows(wanted: Any, offered: Any, values: Any, nearness: Any, out: Any, first: int, last: int) -> None:
    """Rows first <= n < last, all pictures' rows one after another, of what `propagation.matching.match` returns.

    wanted (B, F, H, W), offered (B, F, H + 2 r, W + 2 r), values (B, C, H + 2 r, W + 2 r), nearness ((2 r + 1)^2,), out
    (B, C, H, W), all float32.
    """
    h, w = wanted.shape[2:]
    features, channels = wanted.shape[1], values.shape[1]
    reach = offered.shape[3] - w + 1
    distance, total = np.empty(w, np.float32), np.empty(w, np.float32)
    for n in range(first, last):
        b, y = n // h, n % h
        total[:] = 0
        out[b, :, y] = 0
        for k in range(reach * reach):
            dy, dx = k // reach, k % reach
            distance[:] = 1
            for c in range(features):
                for x in range(w):
                    difference = wanted[b, c, y, x] - offered[b, c, y + dy, x + dx]
                    distance[x] += difference * difference
            for x in range(w):
                squared = distance[x] * distance[x]
                distance[x] = nearness[k] / (squared * squared)
                total[x] += distance[x]
            for c in range(channels):
                for x in range(w):
                    out[b, c, y, x] += distance[x] * values[b, c, y + dy, x + dx]
        for c in range(channels):
            for x in range(w):
                out[b, c, y, x] /= total[x]
