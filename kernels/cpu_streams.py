"""Numba loops that only move memory: what a scan that did no arithmetic would cost, thread for thread.

With `past`, outputs that begin in a cache line go past the cache.
"""

from __future__ import annotations

from numba import njit

from kernels.cpu_lines import options, put
from kernels.vector import TILE, WIDE, load, pointer, settle


@njit(**dict(options, cache=True))
def read4_write1(a, b, c, d, out, past, first, last):
    """One output of four inputs, as a forward scan; parts count `TILE` elements."""
    a, b, c, d, out = pointer(a), pointer(b), pointer(c), pointer(d), pointer(out)
    for i in range(first * TILE, last * TILE, TILE):
        put(out, i, load(a, i, WIDE) + load(b, i, WIDE) + load(c, i, WIDE) + load(d, i, WIDE), past)
    settle()


@njit(**dict(options, cache=True))
def read6_write4(a, b, c, d, e, f, out0, out1, out2, out3, past, first, last):
    """Four outputs of six inputs, as a backward scan; parts count `TILE` elements."""
    a, b, c, d, e, f = pointer(a), pointer(b), pointer(c), pointer(d), pointer(e), pointer(f)
    out0, out1, out2, out3 = pointer(out0), pointer(out1), pointer(out2), pointer(out3)
    for i in range(first * TILE, last * TILE, TILE):
        left = load(a, i, WIDE) + load(b, i, WIDE) + load(c, i, WIDE)
        right = load(d, i, WIDE) + load(e, i, WIDE) + load(f, i, WIDE)
        put(out0, i, left, past)
        put(out1, i, right, past)
        put(out2, i, left + right, past)
        put(out3, i, left - right, past)
    settle()
