"""Numba kernels that merge four scans by weights, and take the merged gradient apart again.

Scans are (units, channels, rows, columns), weights (units, 4, rows, columns), all flat; storage as in `kernels.vector`.
Work is counted in rows of units: first <= unit * rows + row < last.
"""

from __future__ import annotations

from numba import njit

from kernels.cpu_lines import options
from kernels.vector import ONE, TILE, WIDE, load, pointer, store


@njit(**dict(options, forceinline=True))
def _merge_lanes(h0, h1, h2, h3, at, weights, w_at, area, out, i, lanes):
    total = load(h0, at + i, lanes) * load(weights, w_at + i, lanes)
    total = total + load(h1, at + i, lanes) * load(weights, w_at + area + i, lanes)
    total = total + load(h2, at + i, lanes) * load(weights, w_at + 2 * area + i, lanes)
    total = total + load(h3, at + i, lanes) * load(weights, w_at + 3 * area + i, lanes)
    store(out, at + i, total)


@njit(**dict(options, cache=True))
def merge(h0, h1, h2, h3, weights, out, channels, columns, rows, first, last):
    """out = sum over d of weights[d] * h_d."""
    h0, h1, h2, h3 = pointer(h0), pointer(h1), pointer(h2), pointer(h3)
    weights, out = pointer(weights), pointer(out)
    area = rows * columns
    whole = columns // TILE * TILE
    for line in range(first, last):
        u, row = line // rows, line % rows
        w_at = 4 * u * area + row * columns
        for r in range(channels):
            at = (u * channels + r) * area + row * columns
            for i in range(0, whole, TILE):
                _merge_lanes(h0, h1, h2, h3, at, weights, w_at, area, out, i, WIDE)
            for i in range(whole, columns):
                _merge_lanes(h0, h1, h2, h3, at, weights, w_at, area, out, i, ONE)


@njit(**dict(options, forceinline=True))
def _split_lanes(top, h, weights, w_at, part, gw, at, step, channels, i, lanes):
    weight = load(weights, w_at + i, lanes)
    value = load(top, at + i, lanes)
    store(part, at + i, value * weight)
    total = value * load(h, at + i, lanes)
    for r in range(1, channels):
        here = at + r * step + i
        value = load(top, here, lanes)
        store(part, here, value * weight)
        total = total + value * load(h, here, lanes)
    store(gw, w_at + i, total)


@njit(**options)
def _split_line(top, h, weights, w_at, part, gw, at, step, channels, length):
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        _split_lanes(top, h, weights, w_at, part, gw, at, step, channels, i, WIDE)
    for i in range(whole, length):
        _split_lanes(top, h, weights, w_at, part, gw, at, step, channels, i, ONE)


@njit(**dict(options, cache=True))
def split(top, h0, h1, h2, h3, weights, part0, part1, part2, part3, gw, channels, columns, rows, first, last):
    """part_d = top * weights[d]; gw[d] = sum over channels of top * h_d."""
    top, h0, h1, h2, h3 = pointer(top), pointer(h0), pointer(h1), pointer(h2), pointer(h3)
    part0, part1, part2, part3 = pointer(part0), pointer(part1), pointer(part2), pointer(part3)
    weights, gw = pointer(weights), pointer(gw)
    area = rows * columns
    for line in range(first, last):
        u, row = line // rows, line % rows
        w_at, at = 4 * u * area + row * columns, u * channels * area + row * columns
        _split_line(top, h0, weights, w_at, part0, gw, at, area, channels, columns)
        _split_line(top, h1, weights, w_at + area, part1, gw, at, area, channels, columns)
        _split_line(top, h2, weights, w_at + 2 * area, part2, gw, at, area, channels, columns)
        _split_line(top, h3, weights, w_at + 3 * area, part3, gw, at, area, channels, columns)
