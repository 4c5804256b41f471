"""Exponentials, softmaxes and logarithms of rows in numba, in a form that the compiler makes vector instructions of."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

_options: Any = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_LOG2_E = np.float32(1.4426950408889634)
# 2^f for |f| <= 1/2 by its Taylor series, relative error below 3e-6.
_C1, _C2, _C3, _C4, _C5 = (np.float32(c) for c in (0.6931472, 0.24022651, 0.05550411, 0.00961813, 0.00133336))
_LEAST = np.float32(-126)
_ROOT_HALF_BITS = np.int32(np.float32(0.5**0.5).view(np.int32))
_LOG_2 = np.float32(0.6931472)
_THIRD, _FIFTH, _SEVENTH, _NINTH = (np.float32(1 / n) for n in (3, 5, 7, 9))


@njit(**_options)
def exponential(row: Any, scale: Any) -> None:
    """Replaces float32 values (n,), at most 80, by their exponentials; scale (n,) int32 is room to work in."""
    factors = scale.view(np.float32)
    for i in range(row.size):
        power = max(row[i] * _LOG2_E, _LEAST)
        whole = np.rint(power)
        f = power - whole
        scale[i] = (np.int32(whole) + np.int32(127)) << np.int32(23)
        row[i] = np.float32(1) + f * (_C1 + f * (_C2 + f * (_C3 + f * (_C4 + f * _C5))))
    for i in range(row.size):
        row[i] *= factors[i]


@njit(**_options)
def softmax(rows: Any, scale: Any) -> None:
    """Replaces rows (4, n) float32 by their softmax over the first axis; scale (n,) int32 is room to work in."""
    a, b, c, d = rows[0], rows[1], rows[2], rows[3]
    for i in range(a.size):
        most = max(max(a[i], b[i]), max(c[i], d[i]))
        a[i] -= most
        b[i] -= most
        c[i] -= most
        d[i] -= most
    for k in range(4):
        exponential(rows[k], scale)
    for i in range(a.size):
        whole = np.float32(1) / (a[i] + b[i] + c[i] + d[i])
        a[i] *= whole
        b[i] *= whole
        c[i] *= whole
        d[i] *= whole


@njit(**_options)
def log_one_plus_root(row: Any, room: Any) -> None:
    """Replaces squares (n,) float32 by log(1 + root), to 1e-6; room (n,) int32 is room to work in."""
    mantissas = room.view(np.float32)
    bits = row.view(np.int32)
    for i in range(row.size):
        row[i] = np.float32(1) + np.sqrt(row[i])
    for i in range(row.size):
        # As 2^k times a mantissa of 0.7 to 1.4, around which the series of the area tangent is short.
        power = (bits[i] - _ROOT_HALF_BITS) >> np.int32(23)
        room[i] = bits[i] - (power << np.int32(23))
        bits[i] = power
    for i in range(row.size):
        t = (mantissas[i] - np.float32(1)) / (mantissas[i] + np.float32(1))
        square = t * t
        series = np.float32(1) + square * (_THIRD + square * (_FIFTH + square * (_SEVENTH + square * _NINTH)))
        row[i] = np.float32(bits[i]) * _LOG_2 + np.float32(2) * t * series
