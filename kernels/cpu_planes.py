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
    weights_line,
    zero_line,
)
from kernels.vector import TILE, aligned, beyond, keep, pointer

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
def forward_vertical(x, gates, h, kind, channels, rows, columns, reverse, least, first, last, low, high):
    """Top to bottom, or bottom to top if `reverse`; channels low <= r < high of the units."""
    x, gates, h = pointer(x), pointer(gates), pointer(h)
    area, pitch = rows * columns, line_pitch(columns)
    room = np.zeros((3 + 2 * channels) * pitch + TILE, kind.dtype)
    p = aligned(room)
    state = beyond(p, 3 * pitch)
    ahead = -columns if reverse else columns
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
                    step_line(x, at, p, PAD, pitch, 0.0, state, old, new, h, at, columns, 0, ahead)
                else:
                    step_line(x, at, gates, g_at, area, least, state, old, new, h, at, columns, ahead, ahead)
    keep(room)


@njit(**_kernel)
def forward_horizontal(x, gates, h, kind, channels, rows, columns, reverse, least, scanned, first, last, low, high):
    """Left to right, or right to left if `reverse`; channels low <= r < high of the units."""
    x, gates, h = pointer(x), pointer(gates), pointer(h)
    area, pitch = rows * columns, line_pitch(rows)
    far = STRIP * pitch
    in_place = scanned and channels == 1
    ahead = -2 * rows if reverse else 2 * rows  # a line is soon done: the one after the next
    room = np.zeros(2 * channels * pitch + (1 if in_place else 4) * far + TILE, kind.dtype)
    state = aligned(room)
    strip = beyond(state, 2 * channels * pitch)
    p = beyond(strip, far)
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
                    ask_for_strip(h, at, rows, columns, column, step, width, True)
                    if n == 0 and step == 0:
                        copy_line(strip, here, state, new, rows)
                    elif in_place:
                        step_line(strip, here, gates, g_at + k * rows, area, least, state, old, new, strip, here, rows,
                                  ahead, 0)
                    else:
                        step_line(strip, here, p, here, far, 0.0, state, old, new, strip, here, rows, 0, 0)
                store_strip(strip, PAD, pitch, h, at, rows, columns, column, width)
    keep(room)


@njit(**options)
def _strip_weights(gates, g_at, plane_at, scanned, rows, columns, column, width, least, p, pitch, far):
    """Normalised weights of a strip, in scratch lines `pitch` apart and gates `far` apart."""
    area = rows * columns
    if not scanned:
        for j in range(3):
            load_strip(gates, plane_at + j * area, rows, columns, column, width, p, j * far + PAD, pitch)
    for k in range(width):
        here = k * pitch + PAD
        if scanned:
            weights_line(gates, g_at + k * rows, area, least, p, here, far, rows)
        else:
            weights_line(p, here, far, least, p, here, far, rows)


@njit(**_kernel)
def backward_vertical(top, x, gates, h, gx, gg, kind, channels, rows, columns, reverse, least, first, last):
    """Gradients to x and raw gates of `forward_vertical`."""
    top, x, gates, h, gx, gg = pointer(top), pointer(x), pointer(gates), pointer(h), pointer(gx), pointer(gg)
    area, pitch = rows * columns, line_pitch(columns)
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
                              gg, g_at, area, columns, ahead, ahead, h, at + ahead)
            if shared and not start:
                gate_gradient_line(gates, g_at, area, least, d, PAD, pitch, gg, g_at, area, columns)
    keep(room)


@njit(**_kernel)
def backward_horizontal(top, x, gates, h, gx, gg, kind, channels, rows, columns, reverse, least, scanned, first, last):
    """Gradients to x and raw gates of `forward_horizontal`; gg has the gates' layout."""
    top, x, gates, h, gx, gg = pointer(top), pointer(x), pointer(gates), pointer(h), pointer(gx), pointer(gg)
    area, pitch = rows * columns, line_pitch(rows)
    far = STRIP * pitch
    in_place = scanned and channels == 1
    ahead = rows if reverse else -rows
    strips = 3 if in_place else 9 if scanned or least == 0.0 else 12
    room = np.zeros((6 * channels + 1) * pitch + strips * far + TILE, kind.dtype)
    q = aligned(room)
    hs = beyond(q, 6 * channels * pitch)
    tops = beyond(hs, far + pitch)  # one line more: the hidden line that the strip's first step read
    xs = beyond(tops, far)
    p = beyond(xs, far)
    d = beyond(p, 3 * far)
    raw = beyond(d, 3 * far)
    count = (columns + STRIP - 1) // STRIP
    for u in range(first, last):
        zero_line(q, 0, 6 * channels * pitch)
        for n in range(count):
            column, width, following = _strip_at(n, count, columns, not reverse)
            outside = column + width if reverse else column - 1
            g_at = 3 * u * area + column * rows
            if not in_place:
                _strip_weights(gates, g_at, 3 * u * area, scanned, rows, columns, column, width, least, p, pitch, far)
                zero_line(d, 0, 3 * far)
            for r in range(channels):
                at = (u * channels + r) * area
                load_strip(top, at, rows, columns, column, width, tops, PAD, pitch)
                load_strip(x, at, rows, columns, column, width, xs, PAD, pitch)
                load_strip(h, at, rows, columns, column, width, hs, PAD, pitch)
                if 0 <= outside < columns:
                    load_strip(h, at, rows, columns, outside, 1, hs, far + PAD, pitch)
                for step in range(width):
                    k = step if reverse else width - 1 - step
                    here = k * pitch + PAD
                    new, old = _new_and_old(column + k, r, 3 * pitch)
                    before = far + PAD if step == width - 1 else here + pitch if reverse else here - pitch
                    ask_for_strip(top, at, rows, columns, following, step, width, False)
                    ask_for_strip(x, at, rows, columns, following, step, width, False)
                    ask_for_strip(h, at, rows, columns, following, step, width, False)
                    ask_for_strip(gx, at, rows, columns, column, step, width, True)
                    if n == count - 1 and step == width - 1:
                        first_line(tops, here, q, old, pitch, tops, here, rows)
                        if in_place:
                            for j in range(3):
                                zero_line(gg, g_at + k * rows + j * area, rows)
                    elif in_place:
                        back_line(tops, here, gates, g_at + k * rows, area, least, q, old, new, pitch, tops, here,
                                  xs, here, hs, before, gg, g_at + k * rows, area, rows, ahead, 0, hs, 0)
                    else:
                        back_shared_line(tops, here, p, here, far, q, old, new, pitch, tops, here, xs, here, hs, before,
                                         d, here, rows)
                store_strip(tops, PAD, pitch, gx, at, rows, columns, column, width)
            if not in_place:
                _store_gate_gradient(gates, gg, g_at, 3 * u * area, scanned, rows, columns, column, width, least, raw,
                                     d, pitch, far)
    keep(room)


@njit(**options)
def _store_gate_gradient(gates, gg, g_at, plane_at, scanned, rows, columns, column, width, least, raw, d, pitch, far):
    """A strip's summed gradient of the weights to the gradient of raw gates, in the gates' layout."""
    area = rows * columns
    if scanned:
        for k in range(width):
            line = g_at + k * rows
            gate_gradient_line(gates, line, area, least, d, k * pitch + PAD, far, gg, line, area, rows)
        return
    if least > 0.0:
        for j in range(3):
            load_strip(gates, plane_at + j * area, rows, columns, column, width, raw, j * far + PAD, pitch)
        for k in range(width):
            here = k * pitch + PAD
            gate_gradient_line(raw, here, far, least, d, here, far, d, here, far, rows)
    for j in range(3):
        store_strip(d, j * far + PAD, pitch, gg, plane_at + j * area, rows, columns, column, width)


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
