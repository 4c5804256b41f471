"""Numba kernels for whole planes: three-way scans along either axis, forward and backward, normalisation fused.

Shapes: x, h and their gradients are (U, R, H, W), gates (U, 3, ...), where a unit u is one set of gates and R the number
of channels that share it. Vertical scans read image rows as lines. Horizontal scans read strips of `STRIP` columns,
transposed in registers into cache-resident scratch, so that every inner loop runs over contiguous memory. Horizontal
gates are (U, 3, W, H) ("scanned", read in place) or (U, 3, H, W) ("image", transposed strip by strip).

Every function works on units first <= u < last, releases the GIL and allocates its own scratch: calls may run at once.
State and sums are kept in the arrays' dtype (float32 or float64).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kernels.vector import TILE, transpose_tile

STRIP = 32
NORM_CODES = {"none": 0, "max1": 1, "sum": 2}

# Contraction to fused multiply-adds and no care for signed zeros; no reassociation, so results do not depend on
# vector width or thread count. Division by zero cannot occur (the normaliser is clamped).
_options: Any = dict(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"}, error_model="numpy")
_inline: Any = dict(_options, cache=False)


@njit(**_inline)
def _weights(g1, g2, g3, norm, p1, p2, p3):
    """Normalised weights of one line, with the gates that point outside the image set to zero."""
    n = g1.shape[0]
    one = g1.dtype.type(1)
    if norm == 0:
        for i in range(n):
            p1[i] = g1[i]
            p2[i] = g2[i]
            p3[i] = g3[i]
    else:
        least = one if norm == 1 else g1.dtype.type(1e-6)
        for i in range(n):
            total = abs(g1[i]) + abs(g2[i]) + abs(g3[i])
            scale = one / max(total, least)
            p1[i] = g1[i] * scale
            p2[i] = g2[i] * scale
            p3[i] = g3[i] * scale
    p1[0] = 0
    p3[n - 1] = 0


@njit(**_inline)
def _step(x, p1, p2, p3, previous, h):
    """One line of the recurrence, in the form that keeps constants exactly: x + sum p (neighbour - x)."""
    n = x.shape[0]
    if n == 1:
        h[0] = x[0] + p2[0] * (previous[0] - x[0])
        return
    h[0] = x[0] + p2[0] * (previous[0] - x[0]) + p3[0] * (previous[1] - x[0])
    for i in range(1, n - 1):
        h[i] = x[i] + p1[i] * (previous[i - 1] - x[i]) + p2[i] * (previous[i] - x[i]) + p3[i] * (previous[i + 1] - x[i])
    i = n - 1
    h[i] = x[i] + p1[i] * (previous[i - 1] - x[i]) + p2[i] * (previous[i] - x[i])


@njit(**_inline)
def _copy(source, target):
    for i in range(source.shape[0]):
        target[i] = source[i]


@njit(**_inline)
def _load_strip(plane, column, width, strip):
    """strip[k, i] = plane[i, column + k] for k < width."""
    rows, pitch = plane.shape
    lines = strip.shape[1]
    full_rows = rows // TILE * TILE
    full_columns = width // TILE * TILE
    for i in range(0, full_rows, TILE):
        for k in range(0, full_columns, TILE):
            transpose_tile(plane, i * pitch + column + k, pitch, strip, k * lines + i, lines)
    for i in range(rows):
        for k in range(full_columns if i < full_rows else 0, width):
            strip[k, i] = plane[i, column + k]


@njit(**_inline)
def _store_strip(strip, plane, column, width):
    """plane[i, column + k] = strip[k, i] for k < width."""
    rows, pitch = plane.shape
    lines = strip.shape[1]
    full_rows = rows // TILE * TILE
    full_columns = width // TILE * TILE
    for i in range(0, full_rows, TILE):
        for k in range(0, full_columns, TILE):
            transpose_tile(strip, k * lines + i, lines, plane, i * pitch + column + k, pitch)
    for i in range(rows):
        for k in range(full_columns if i < full_rows else 0, width):
            plane[i, column + k] = strip[k, i]


@njit(**_options)
def forward_vertical(x, gates, h, reverse, norm, first, last):
    """Top to bottom (or bottom to top); gates (U, 3, H, W)."""
    channels, rows, columns = x.shape[1:]
    p = np.empty((3, columns), x.dtype)
    for u in range(first, last):
        for step in range(rows):
            t = rows - 1 - step if reverse else step
            if step == 0:
                for r in range(channels):
                    _copy(x[u, r, t], h[u, r, t])
                continue
            s = t + 1 if reverse else t - 1
            _weights(gates[u, 0, t], gates[u, 1, t], gates[u, 2, t], norm, p[0], p[1], p[2])
            for r in range(channels):
                _step(x[u, r, t], p[0], p[1], p[2], h[u, r, s], h[u, r, t])


@njit(**_options)
def forward_horizontal(x, gates, h, reverse, norm, scanned, first, last):
    """Left to right (or right to left); gates (U, 3, W, H) if `scanned`, else (U, 3, H, W)."""
    channels, rows, columns = x.shape[1:]
    p = np.empty((3, rows), x.dtype)
    xs = np.empty((channels, STRIP, rows), x.dtype)
    hs = np.empty((channels, STRIP, rows), x.dtype)
    carry = np.empty((channels, rows), x.dtype)
    gs = np.empty((1, 1, 1) if scanned else (3, STRIP, rows), x.dtype)
    strips = (columns + STRIP - 1) // STRIP
    for u in range(first, last):
        for n in range(strips):
            column = (strips - 1 - n if reverse else n) * STRIP
            width = min(STRIP, columns - column)
            for r in range(channels):
                _load_strip(x[u, r], column, width, xs[r])
            if not scanned:
                for j in range(3):
                    _load_strip(gates[u, j], column, width, gs[j])
            for step in range(width):
                k = width - 1 - step if reverse else step
                if n == 0 and step == 0:
                    for r in range(channels):
                        _copy(xs[r, k], hs[r, k])
                    continue
                if scanned:
                    t = column + k
                    _weights(gates[u, 0, t], gates[u, 1, t], gates[u, 2, t], norm, p[0], p[1], p[2])
                else:
                    _weights(gs[0, k], gs[1, k], gs[2, k], norm, p[0], p[1], p[2])
                for r in range(channels):
                    if step == 0:
                        _step(xs[r, k], p[0], p[1], p[2], carry[r], hs[r, k])
                    else:
                        _step(xs[r, k], p[0], p[1], p[2], hs[r, k + 1 if reverse else k - 1], hs[r, k])
            for r in range(channels):
                _copy(hs[r, 0 if reverse else width - 1], carry[r])
                _store_strip(hs[r], h[u, r], column, width)


@njit(**_inline)
def _gather(top, q1, q2, q3, g):
    """Gradient that reaches a line: from above, and from the next line's three gates (q = p * gradient there)."""
    n = top.shape[0]
    if n == 1:
        g[0] = top[0] + q2[0]
        return
    g[0] = top[0] + q1[1] + q2[0]
    for i in range(1, n - 1):
        g[i] = top[i] + q1[i + 1] + q2[i] + q3[i - 1]
    g[n - 1] = top[n - 1] + q2[n - 1] + q3[n - 2]


@njit(**_inline)
def _input_gradient(g, p1, p2, p3, gx, q1, q2, q3):
    n = g.shape[0]
    for i in range(n):
        gx[i] = (g.dtype.type(1) - p1[i] - p2[i] - p3[i]) * g[i]
    for i in range(n):
        q1[i] = p1[i] * g[i]
    for i in range(n):
        q2[i] = p2[i] * g[i]
    for i in range(n):
        q3[i] = p3[i] * g[i]


@njit(**_inline)
def _weight_gradient(g, x, previous, d1, d2, d3):
    """Adds one channel's gradient of the normalised weights; out-of-image weights keep zero."""
    n = g.shape[0]
    for i in range(1, n):
        d1[i] += g[i] * (previous[i - 1] - x[i])
    for i in range(n):
        d2[i] += g[i] * (previous[i] - x[i])
    for i in range(n - 1):
        d3[i] += g[i] * (previous[i + 1] - x[i])


@njit(**_inline)
def _gate_gradient(g1, g2, g3, norm, d1, d2, d3, along, o1, o2, o3):
    """Gradient through the normalisation: d/max(total, least) - sign(g) <d, p> / total where total is the divisor."""
    n = g1.shape[0]
    if norm == 0:
        _copy(d1, o1)
        _copy(d2, o2)
        _copy(d3, o3)
        return
    one = g1.dtype.type(1)
    zero = g1.dtype.type(0)
    least = one if norm == 1 else g1.dtype.type(1e-6)
    for i in range(n):
        total = abs(g1[i]) + abs(g2[i]) + abs(g3[i])
        scale = one / max(total, least)
        dot = (d1[i] * g1[i] + d2[i] * g2[i] + d3[i] * g3[i]) * scale * scale
        along[i] = dot if total >= least else zero
    for i in range(n):
        scale = one / max(abs(g1[i]) + abs(g2[i]) + abs(g3[i]), least)
        o1[i] = d1[i] * scale - (along[i] if g1[i] > 0 else (-along[i] if g1[i] < 0 else zero))
    for i in range(n):
        scale = one / max(abs(g1[i]) + abs(g2[i]) + abs(g3[i]), least)
        o2[i] = d2[i] * scale - (along[i] if g2[i] > 0 else (-along[i] if g2[i] < 0 else zero))
    for i in range(n):
        scale = one / max(abs(g1[i]) + abs(g2[i]) + abs(g3[i]), least)
        o3[i] = d3[i] * scale - (along[i] if g3[i] > 0 else (-along[i] if g3[i] < 0 else zero))


@njit(**_options)
def backward_vertical(top, x, gates, h, gx, gg, reverse, norm, first, last):
    """Gradients to x and raw gates; with an empty `gg` only gx is written (then h and x are not read): the adjoint."""
    channels, rows, columns = top.shape[1:]
    p = np.empty((3, columns), top.dtype)
    d = np.empty((4, columns), top.dtype)
    q = np.zeros((channels, 3, columns), top.dtype)
    g = np.empty(columns, top.dtype)
    wants_gates = gg.size > 0
    for u in range(first, last):
        q[:] = 0
        for step in range(rows):
            t = step if reverse else rows - 1 - step
            s = t + 1 if reverse else t - 1
            start = step == rows - 1
            if start:
                p[:] = 0
            else:
                _weights(gates[u, 0, t], gates[u, 1, t], gates[u, 2, t], norm, p[0], p[1], p[2])
            d[:] = 0
            for r in range(channels):
                _gather(top[u, r, t], q[r, 0], q[r, 1], q[r, 2], g)
                _input_gradient(g, p[0], p[1], p[2], gx[u, r, t], q[r, 0], q[r, 1], q[r, 2])
                if wants_gates and not start:
                    _weight_gradient(g, x[u, r, t], h[u, r, s], d[0], d[1], d[2])
            if wants_gates:
                _gate_gradient(gates[u, 0, t], gates[u, 1, t], gates[u, 2, t], norm, d[0], d[1], d[2], d[3],
                               gg[u, 0, t], gg[u, 1, t], gg[u, 2, t])


@njit(**_options)
def backward_horizontal(top, x, gates, h, gx, gg, reverse, norm, scanned, first, last):
    """As `backward_vertical` for horizontal scans; gg has the gates' layout."""
    channels, rows, columns = top.shape[1:]
    p = np.empty((3, rows), top.dtype)
    d = np.empty((4, rows), top.dtype)
    q = np.zeros((channels, 3, rows), top.dtype)
    g = np.empty(rows, top.dtype)
    ts = np.empty((channels, STRIP, rows), top.dtype)
    os = np.empty((channels, STRIP, rows), top.dtype)
    wants_gates = gg.size > 0
    xs = np.empty((channels, STRIP, rows) if wants_gates else (1, 1, 1), top.dtype)
    hs = np.empty((channels, STRIP + 1, rows) if wants_gates else (1, 1, 1), top.dtype)
    gs = np.empty((1, 1, 1) if scanned else (3, STRIP, rows), top.dtype)
    ggs = np.empty((1, 1, 1) if scanned or not wants_gates else (3, STRIP, rows), top.dtype)
    strips = (columns + STRIP - 1) // STRIP
    for u in range(first, last):
        q[:] = 0
        for n in range(strips):
            column = (n if reverse else strips - 1 - n) * STRIP
            width = min(STRIP, columns - column)
            # The line before the strip (in scan order) is loaded with it: its h feeds the strip's first gate gradient.
            shift = 0 if reverse or column == 0 else 1
            extra = 1 if reverse and column + width < columns else 0
            for r in range(channels):
                _load_strip(top[u, r], column, width, ts[r])
                if wants_gates:
                    _load_strip(x[u, r], column, width, xs[r])
                    _load_strip(h[u, r], column - shift, width + shift + extra, hs[r])
            if not scanned:
                for j in range(3):
                    _load_strip(gates[u, j], column, width, gs[j])
            for step in range(width):
                k = step if reverse else width - 1 - step
                t = column + k
                start = n == strips - 1 and step == width - 1
                if start:
                    p[:] = 0
                elif scanned:
                    _weights(gates[u, 0, t], gates[u, 1, t], gates[u, 2, t], norm, p[0], p[1], p[2])
                else:
                    _weights(gs[0, k], gs[1, k], gs[2, k], norm, p[0], p[1], p[2])
                d[:] = 0
                for r in range(channels):
                    _gather(ts[r, k], q[r, 0], q[r, 1], q[r, 2], g)
                    _input_gradient(g, p[0], p[1], p[2], os[r, k], q[r, 0], q[r, 1], q[r, 2])
                    if wants_gates and not start:
                        _weight_gradient(g, xs[r, k], hs[r, k + 1 if reverse else k + shift - 1], d[0], d[1], d[2])
                if wants_gates:
                    if scanned:
                        _gate_gradient(gates[u, 0, t], gates[u, 1, t], gates[u, 2, t], norm, d[0], d[1], d[2], d[3],
                                       gg[u, 0, t], gg[u, 1, t], gg[u, 2, t])
                    else:
                        _gate_gradient(gs[0, k], gs[1, k], gs[2, k], norm, d[0], d[1], d[2], d[3],
                                       ggs[0, k], ggs[1, k], ggs[2, k])
            for r in range(channels):
                _store_strip(os[r], gx[u, r], column, width)
            if wants_gates and not scanned:
                for j in range(3):
                    _store_strip(ggs[j], gg[u, j], column, width)
