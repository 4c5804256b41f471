"""Numba loops that only move memory: what a scan that did no arithmetic would cost, thread for thread."""

from __future__ import annotations

from numba import njit

from kernels.cpu_lines import options
from kernels.vector import TILE, WIDE, load, pointer, store


@njit(**dict(options, cache=True))
def read4_write1(a, b, c, d, out, first, last):
    """One output of four inputs, as a forward scan; parts count `TILE` elements."""
    a, b, c, d, out = pointer(a), pointer(b), pointer(c), pointer(d), pointer(out)
    for i in range(first * TILE, last * TILE, TILE):
        store(out, i, load(a, i, WIDE) + load(b, i, WIDE) + load(c, i, WIDE) + load(d, i, WIDE))


@njit(**dict(options, cache=True))
def read6_write4(a, b, c, d, e, f, out0, out1, out2, out3, first, last):
    """Four outputs of six inputs, as a backward scan; parts count `TILE` elements."""
    a, b, c, d, e, f = pointer(a), pointer(b), pointer(c), pointer(d), pointer(e), pointer(f)
    out0, out1, out2, out3 = pointer(out0), pointer(out1), pointer(out2), pointer(out3)
    for i in range(first * TILE, last * TILE, TILE):
        left = load(a, i, WIDE) + load(b, i, WIDE) + load(c, i, WIDE)
        right = load(d, i, WIDE) + load(e, i, WIDE) + load(f, i, WIDE)
        store(out0, i, left)
        store(out1, i, right)
        store(out2, i, left + right)
        store(out3, i, left - right)
