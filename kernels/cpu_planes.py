"""Numba kernels for whole planes: forward, backward and adjoint scans along either axis, normalisation fused.

A unit is one set of gates and the `channels` planes under it: x, h and their gradients are (units, channels, rows,
columns), gates (units, 3, rows, columns), all flat. Vertical scans read image rows as lines. Horizontal scans take
strips of `STRIP` columns, transposed in registers into scratch that stays in the cache; their gates lie in the order of
the scan, (units, 3, columns, rows), and are read in place ("scanned"), or in image order and are transposed as well.

Kernels take flat arrays and go on with their pointers; scratch of all kinds lies in one array, `room`, that they keep.

16-bit storage is computed in float32 and rounded once, when stored: the state that a scan carries is never rounded, nor
is the gradient that it carries back. `kind` is an empty array of the state's type. Every function works on units
first <= u < last, releases the GIL and allocates its own scratch: calls may run at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from kernels.cpu_lines import (
    PAD,
    STRIP,
    TABLE,
    adjoint_line,
    ask_for_strip,
    back_line,
    back_shared_line,
    copy_line,
    first_line,
    gate_gradient_line,
    line_pitch,
    load_strip,
    options,
    step_line,
    store_strip,
    store_strip_past,
    weights_line,
    zero_line,
)
from kernels.vector import TILE, aligned, beyond, keep, pointer, settle

_kernel: Any = dict(options, cache=True)
_inline: Any = dict(options, forceinline=True)


@njit(**_inline)
def _strip_at(n, count, columns, descending):
    """First column and width of the n-th of `count` strips in the order of work, and the first column of the next."""
    column = (count - 1 - n if descending else n) * STRIP
    return column, min(STRIP, columns - column), column - STRIP if descending else column + STRIP


@njit(**_inline)
def _new_and_old(t, r, pitch):
    """Scratch lines that line t of channel r writes and reads; each channel has two, taken by turns."""
    return (2 * r + t % 2) * pitch + PAD, (2 * r + (t + 1) % 2) * pitch + PAD


@njit(**_kernel)
def forward_vertical(x, gates, h, kind, channels, rows, columns, reverse, least, past, first, last, low, high):
    """Top to bottom, or bottom to top if `reverse`; channels low <= r < high of the units."""
    x, gates, h = pointer(x), pointer(gates), pointer(h)
    area, pitch = rows * columns, line_pitch(columns)
    room = np.zeros((3 + 2 * channels) * pitch + TILE, kind.dtype)
    p = aligned(room)
    state = beyond(p, 3 * pitch)
    ahead = -2 * columns if reverse else 2 * columns  # a line is soon done: the one after the next
    for u in range(first, last):
        for step in range(rows):
            t = rows - 1 - step if reverse else step
            g_at = 3 * u * area + t * columns
            if channels > 1 and step > 0:
                weights_line(gates, g_at, area, least, p, PAD, pitch, columns)
            for r in range(low, high):
                at = (u * channels + r) * area + t * columns
                new, old = _new_and_old(t, r, pitch)
                if step == 0:
                    copy_line(x, at, state, new, columns)
                    copy_line(x, at, h, at, columns)
                elif channels > 1:
                    step_line(x, at, p, PAD, pitch, 0.0, state, old, new, h, at, columns, 0, ahead, reverse, past)
                else:
                    step_line(x, at, gates, g_at, area, least, state, old, new, h, at, columns, ahead, ahead,
                              reverse, past)
    keep(room)
    settle()


@njit(**_kernel)
def forward_horizontal(x, gates, h, kind, channels, rows, columns, reverse, least, past, scanned, first, last, low,
                       high):
    """Left to right, or right to left if `reverse`; channels low <= r < high of the units."""
    x, gates, h = pointer(x), pointer(gates), pointer(h)
    area, pitch = rows * columns, line_pitch(rows)
    far = STRIP * pitch
    in_place = scanned and channels == 1
    ahead = -2 * rows if reverse else 2 * rows  # as in `forward_vertical`
    wide = TILE * pitch
    past = past and rows >= TILE
    room = np.zeros((channels + 2) * (wide + 2 * pitch) + (1 if in_place else 4) * far + TILE * (TABLE + 1), kind.dtype)
    state = aligned(room)
    carry = beyond(state, 2 * channels * pitch)
    table = beyond(carry, channels * wide)
    strip = beyond(table, TILE * TABLE + wide)
    p = beyond(strip, far + wide)
    count = (columns + STRIP - 1) // STRIP
    for u in range(first, last):
        for n in range(count):
            column, width, following = _strip_at(n, count, columns, reverse)
            g_at = 3 * u * area + column * rows
            if not in_place:
                _strip_weights(gates, g_at, 3 * u * area, scanned, rows, columns, column, width, least, p, pitch, far)
            for r in range(low, high):
                at = (u * channels + r) * area
                load_strip(x, at, rows, columns, column, width, strip, PAD, pitch)
                for step in range(width):
                    k = width - 1 - step if reverse else step
                    here = k * pitch + PAD
                    new, old = _new_and_old(column + k, r, pitch)
                    ask_for_strip(x, at, rows, columns, following, step, width, False)
                    if r == low and not scanned:
                        _ask_for_gates(gates, 3 * u * area, rows, columns, following, step, width)
                    if not past:
                        ask_for_strip(h, at, rows, columns, column, step, width, True)
                    if n == 0 and step == 0:
                        copy_line(strip, here, state, new, rows)
                    elif in_place:
                        step_line(strip, here, gates, g_at + k * rows, area, least, state, old, new, strip, here, rows,
                                  ahead, 0, reverse, False)
                    else:
                        step_line(strip, here, p, here, far, 0.0, state, old, new, strip, here, rows, 0, 0, False,
                                  False)
                if past:
                    store_strip_past(strip, PAD, pitch, beyond(carry, r * wide), table, h, at, rows, columns, column,
                                     width, reverse)
                else:
                    store_strip(strip, PAD, pitch, h, at, rows, columns, column, width)
    keep(room)
    settle()


@njit(**options)
def _strip_weights(gates, g_at, plane_at, scanned, rows, columns, column, width, least, p, pitch, far):
    """Normalised weights of a strip, in scratch lines `pitch` apart and gates `far` apart."""
    area = rows * columns
    if not scanned:
        _load_gates(gates, plane_at, rows, columns, column, width, p, pitch, far)
    for k in range(width):
        here = k * pitch + PAD
        if scanned:
            weights_line(gates, g_at + k * rows, area, least, p, here, far, rows)
        else:
            weights_line(p, here, far, least, p, here, far, rows)


@njit(**options)
def _load_gates(gates, plane_at, rows, columns, column, width, strip, pitch, far):
    """A strip of all three planes of gates in image order, to scratch."""
    for j in range(3):
        load_strip(gates, plane_at + j * rows * columns, rows, columns, column, width, strip, j * far + PAD, pitch)


@njit(**_inline)
def _ask_for_gates(gates, plane_at, rows, columns, first, part, parts):
    """`ask_for_strip` of all three planes of gates in image order."""
    for j in range(3):
        ask_for_strip(gates, plane_at + j * rows * columns, rows, columns, first, part, parts, False)


@njit(**_kernel)
def backward_vertical(top, x, gates, h, gx, gg, kind, channels, rows, columns, reverse, least, past, first, last):
    """Gradients to x and raw gates of `forward_vertical`."""
    top, x, gates, h, gx, gg = pointer(top), pointer(x), pointer(gates), pointer(h), pointer(gx), pointer(gg)
    area, pitch = rows * columns, line_pitch(columns)
    past = past and area % TILE == 0
    room = np.zeros((7 + 6 * channels) * pitch + TILE, kind.dtype)
    p = aligned(room)
    d = beyond(p, 3 * pitch)
    before = beyond(d, 3 * pitch)
    q = beyond(before, pitch)
    shared = channels > 1
    ahead = columns if reverse else -columns
    for u in range(first, last):
        zero_line(q, 0, 6 * channels * pitch)
        for step in range(rows):
            t = step if reverse else rows - 1 - step
            start = step == rows - 1
            g_at = 3 * u * area + t * columns
            if start:
                for j in range(3):
                    zero_line(gg, g_at + j * area, columns)
            elif shared:
                weights_line(gates, g_at, area, least, p, PAD, pitch, columns)
                zero_line(d, 0, 3 * pitch)
            for r in range(channels):
                at = (u * channels + r) * area + t * columns
                new, old = _new_and_old(t, r, 3 * pitch)
                if start:
                    first_line(top, at, q, old, pitch, gx, at, columns)
                    continue
                copy_line(h, at + ahead, before, PAD, columns)
                if shared:
                    back_shared_line(top, at, p, PAD, pitch, q, old, new, pitch, gx, at, x, at, before, PAD, d, PAD,
                                     columns)
                else:
                    back_line(top, at, gates, g_at, area, least, q, old, new, pitch, gx, at, x, at, before, PAD,
                              gg, g_at, area, columns, ahead, ahead, False, h, at + ahead, past, past)
            if shared and not start:
                gate_gradient_line(gates, g_at, area, least, d, PAD, pitch, gg, g_at, area, columns)
    keep(room)
    settle()


@njit(**_kernel)
def backward_horizontal(top, x, gates, h, gx, gg, kind, channels, rows, columns, reverse, least, past, scanned, first,
                        last):
    """Gradients to x and raw gates of `forward_horizontal`; gg has the gates' layout."""
    top, x, gates, h, gx, gg = pointer(top), pointer(x), pointer(gates), pointer(h), pointer(gx), pointer(gg)
    area, pitch = rows * columns, line_pitch(rows)
    far, wide, apart = STRIP * pitch, TILE * pitch, TABLE * pitch
    alone = channels == 1  # then all gradients come in one pass
    strips_past, past = past and rows >= TILE, past and area % TILE == 0
    ahead = 2 * rows if reverse else -2 * rows  # as in `forward_vertical`
    gate_strips = 3 if alone else 6 if scanned or least == 0.0 else 9
    size = (channels + 3) * wide + (6 * channels + 1) * pitch + 2 * far + (1 + gate_strips) * apart
    room = np.zeros(size + TILE * (TABLE + 1), kind.dtype)
    q = aligned(room)
    carry = beyond(q, 6 * channels * pitch)
    table = beyond(carry, (channels + 3) * wide)
    hs = beyond(table, TILE * TABLE)
    xs = beyond(hs, far + pitch)  # one line more: the hidden line that the strip's first step read
    tops = beyond(xs, far + wide)
    p = beyond(tops, apart)
    d = p if alone else beyond(p, 3 * apart)
    raw = beyond(d, 3 * apart)
    count = (columns + STRIP - 1) // STRIP
    for u in range(first, last):
        zero_line(q, 0, 6 * channels * pitch)
        for n in range(count):
            column, width, following = _strip_at(n, count, columns, not reverse)
            outside = column + width if reverse else column - 1
            plane_at = 3 * u * area
            g_at = plane_at + column * rows
            if not alone:
                _strip_weights(gates, g_at, plane_at, scanned, rows, columns, column, width, least, p, pitch, apart)
                zero_line(d, 0, 3 * apart - 2 * wide)
            elif not scanned:
                _load_gates(gates, plane_at, rows, columns, column, width, p, pitch, apart)
            for r in range(channels):
                at = (u * channels + r) * area
                load_strip(top, at, rows, columns, column, width, tops, PAD, pitch)
                load_strip(x, at, rows, columns, column, width, xs, PAD, pitch)
                load_strip(h, at, rows, columns, column, width, hs, PAD, pitch)
                if 0 <= outside < columns:
                    load_strip(h, at, rows, columns, outside, 1, hs, far + PAD, pitch)
                for step in range(width):
                    k = step if reverse else width - 1 - step
                    here, line = k * pitch + PAD, g_at + k * rows
                    new, old = _new_and_old(column + k, r, 3 * pitch)
                    before = far + PAD if step == width - 1 else here + pitch if reverse else here - pitch
                    ask_for_strip(top, at, rows, columns, following, step, width, False)
                    ask_for_strip(x, at, rows, columns, following, step, width, False)
                    ask_for_strip(h, at, rows, columns, following, step, width, False)
                    if not strips_past:
                        ask_for_strip(gx, at, rows, columns, column, step, width, True)
                    if r == 0 and not scanned:
                        _ask_for_gates(gates, plane_at, rows, columns, following, step, width)
                    if n == count - 1 and step == width - 1:
                        first_line(tops, here, q, old, pitch, tops, here, rows)
                        for j in range(3):
                            if alone and scanned:
                                zero_line(gg, line + j * area, rows)
                            elif alone:
                                zero_line(p, here + j * apart, rows)
                    elif not alone:
                        back_shared_line(tops, here, p, here, apart, q, old, new, pitch, tops, here, xs, here, hs,
                                         before, d, here, rows)
                    elif scanned:
                        back_line(tops, here, gates, line, area, least, q, old, new, pitch, tops, here, xs, here, hs,
                                  before, gg, line, area, rows, ahead, 0, not reverse, hs, 0, False, past)
                    else:
                        back_line(tops, here, p, here, apart, least, q, old, new, pitch, tops, here, xs, here, hs,
                                  before, p, here, apart, rows, 0, 0, False, hs, 0, False, False)
                if strips_past:
                    store_strip_past(tops, PAD, pitch, beyond(carry, r * wide), table, gx, at, rows, columns, column,
                                     width, not reverse)
                else:
                    store_strip(tops, PAD, pitch, gx, at, rows, columns, column, width)
            if not alone:
                _raw_gradient(gates, gg, g_at, plane_at, scanned, rows, columns, column, width, least, raw, d, pitch,
                              apart)
            for j in range(0 if scanned else 3):
                if strips_past:
                    store_strip_past(beyond(d, j * apart), PAD, pitch, beyond(carry, (channels + j) * wide), table, gg,
                                     plane_at + j * area, rows, columns, column, width, not reverse)
                else:
                    store_strip(d, j * apart + PAD, pitch, gg, plane_at + j * area, rows, columns, column, width)
    keep(room)
    settle()


@njit(**options)
def _raw_gradient(gates, gg, g_at, plane_at, scanned, rows, columns, column, width, least, raw, d, pitch, far):
    """A strip's summed gradient of the weights to that of raw gates: to gg in the order of the scan, else in d."""
    area = rows * columns
    if scanned:
        for k in range(width):
            line = g_at + k * rows
            gate_gradient_line(gates, line, area, least, d, k * pitch + PAD, far, gg, line, area, rows)
    elif least > 0.0:
        _load_gates(gates, plane_at, rows, columns, column, width, raw, pitch, far)
        for k in range(width):
            here = k * pitch + PAD
            gate_gradient_line(raw, here, far, least, d, here, far, d, here, far, rows)


@njit(**_kernel)
def adjoint_vertical(top, gates, out, kind, channels, rows, columns, reverse, least, first, last, low, high):
    """The transpose of `forward_vertical` for these gates."""
    top, gates, out = pointer(top), pointer(gates), pointer(out)
    area, pitch = rows * columns, line_pitch(columns)
    room = np.zeros(6 * channels * pitch + TILE, kind.dtype)
    q = aligned(room)
    for u in range(first, last):
        zero_line(q, 0, 6 * channels * pitch)
        for step in range(rows):
            t = step if reverse else rows - 1 - step
            g_at = 3 * u * area + t * columns
            for r in range(low, high):
                at = (u * channels + r) * area + t * columns
                new, old = _new_and_old(t, r, 3 * pitch)
                if step == rows - 1:
                    first_line(top, at, q, old, pitch, out, at, columns)
                else:
                    adjoint_line(top, at, gates, g_at, area, least, q, old, new, pitch, out, at, columns)
    keep(room)


@njit(**_kernel)
def adjoint_horizontal(top, gates, out, kind, channels, rows, columns, reverse, least, scanned, first, last, low, high):
    """The transpose of `forward_horizontal` for these gates."""
    top, gates, out = pointer(top), pointer(gates), pointer(out)
    area, pitch = rows * columns, line_pitch(rows)
    far = STRIP * pitch
    room = np.zeros(6 * channels * pitch + (1 if scanned else 4) * far + TILE, kind.dtype)
    q = aligned(room)
    strip = beyond(q, 6 * channels * pitch)
    p = beyond(strip, far)
    count = (columns + STRIP - 1) // STRIP
    for u in range(first, last):
        zero_line(q, 0, 6 * channels * pitch)
        for n in range(count):
            column, width, following = _strip_at(n, count, columns, not reverse)
            g_at = 3 * u * area + column * rows
            if not scanned:
                _strip_weights(gates, g_at, 3 * u * area, False, rows, columns, column, width, least, p, pitch, far)
            for r in range(low, high):
                at = (u * channels + r) * area
                load_strip(top, at, rows, columns, column, width, strip, PAD, pitch)
                for step in range(width):
                    k = step if reverse else width - 1 - step
                    here = k * pitch + PAD
                    new, old = _new_and_old(column + k, r, 3 * pitch)
                    ask_for_strip(top, at, rows, columns, following, step, width, False)
                    ask_for_strip(out, at, rows, columns, column, step, width, True)
                    if n == count - 1 and step == width - 1:
                        first_line(strip, here, q, old, pitch, strip, here, rows)
                    elif scanned:
                        adjoint_line(strip, here, gates, g_at + k * rows, area, least, q, old, new, pitch, strip, here,
                                     rows)
                    else:
                        adjoint_line(strip, here, p, here, far, 0.0, q, old, new, pitch, strip, here, rows)
                store_strip(strip, PAD, pitch, out, at, rows, columns, column, width)
    keep(room)
