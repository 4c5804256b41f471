"""Numba code for one line of a scan: normalisation, the step forth, the step back, and lines in and out of strips.

Arrays come as pointers to flat C-contiguous elements, lines are given by the index of their first element, and the
three gates of a line lie a fixed distance (`..._far`) apart. Scratch lines are in state type and have at least `PAD`
finite elements before and after them, so that neighbours can be read without asking where the line ends; what they hold
there never counts, because the gates that point outside are zeroed in registers.

The normalisation is one number: gates are divided by max(sum |g|, least), or kept when `least` is 0.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numba import njit

from kernels.compiled import drop_stale
from kernels.vector import (
    ONE,
    TILE,
    WIDE,
    inverse_above,
    load,
    magnitude,
    prefetch,
    prefetch_to_write,
    store,
    store_past,
    times_sign,
    to_line,
    transpose_tile,
    where_above,
    zero,
    zero_at,
)

drop_stale(Path(__file__).parent)

PAD = 16
STRIP = 64
TABLE = STRIP + 2 * TILE  # a strip with room on both sides for what the one before left
LEAST = {"none": 0.0, "max1": 1.0, "sum": 1e-6}

# No reassociation anywhere, so results do not depend on the number of threads.
options: Any = {"nogil": True, "error_model": "numpy"}
_inline: Any = dict(options, forceinline=True)


@njit(**_inline)
def line_pitch(length):
    """Distance between scratch lines: whole cache lines, padding, and an odd number of both.

    Lines an even number apart would share half of the cache's sets or fewer, and a transpose writes `TILE` at once.
    """
    return ((length + 15) // 16 | 1) * 16 + 2 * PAD


@njit(**_inline)
def _sum(g1, g2, g3):
    return magnitude(g1) + magnitude(g2) + magnitude(g3)


@njit(**_inline)
def _weights(gates, at, far, least, length, i, lanes):
    """Normalised weights of lanes i.., those that point outside the image zero."""
    g1 = load(gates, at + i, lanes)
    g2 = load(gates, at + far + i, lanes)
    g3 = load(gates, at + 2 * far + i, lanes)
    if least > 0.0:
        scale = inverse_above(_sum(g1, g2, g3), least)
        g1, g2, g3 = g1 * scale, g2 * scale, g3 * scale
    return zero_at(g1, -i), g2, zero_at(g3, length - 1 - i)


@njit(**_inline)
def _weights_lanes(gates, at, far, least, out, out_at, out_far, length, i, lanes):
    p1, p2, p3 = _weights(gates, at, far, least, length, i, lanes)
    store(out, out_at + i, p1)
    store(out, out_at + out_far + i, p2)
    store(out, out_at + 2 * out_far + i, p3)


@njit(**options)
def weights_line(gates, at, far, least, out, out_at, out_far, length):
    """Normalised weights of a line, to scratch (or in place)."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        _weights_lanes(gates, at, far, least, out, out_at, out_far, length, i, WIDE)
    for i in range(whole, length):
        _weights_lanes(gates, at, far, least, out, out_at, out_far, length, i, ONE)


@njit(**options)
def copy_line(source, at, target, to, length):
    """A line from one storage type to another."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        store(target, to + i, load(source, at + i, WIDE))
    for i in range(whole, length):
        store(target, to + i, load(source, at + i, ONE))


@njit(**options)
def zero_line(target, to, length):
    """A line of zeros."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        store(target, to + i, zero(load(target, to + i, WIDE)))
    for i in range(whole, length):
        store(target, to + i, zero(load(target, to + i, ONE)))


@njit(**_inline)
def put(array, at, value, past):
    """`store_past` if `past`, else `store`."""
    if past:
        store_past(array, at, value)
    else:
        store(array, at, value)


@njit(**_inline)
def _step_lanes(x, x_at, gates, at, far, least, state, old, new, h, h_at, length, i, lanes, past):
    p1, p2, p3 = _weights(gates, at, far, least, length, i, lanes)
    own = load(x, x_at + i, lanes)
    # In this form a constant passes exactly: every difference is zero.
    value = own + p1 * (load(state, old + i - 1, lanes) - own)
    value = value + p2 * (load(state, old + i, lanes) - own)
    value = value + p3 * (load(state, old + i + 1, lanes) - own)
    store(state, new + i, value)
    put(h, h_at + i, value, past)


@njit(**_inline)
def _bounds(lead, length):
    """Where a line's whole vectors begin and end when `lead` elements precede a cache line of what is written."""
    lead = min(lead, length)
    return lead, lead + (length - lead) // TILE * TILE


@njit(**options)
def step_line(x, x_at, gates, at, far, least, state, old, new, h, h_at, length, gates_ahead, ahead, falling,
              past):
    """One line of the recurrence, to `h` in its storage type and to the state's line `new` unrounded.

    `gates_ahead` and `ahead` (of x and h) lead to a line to come, which is asked for now: hardware that prefetches
    follows so many streams badly, and worse when their lines come in descending order. 0 asks for nothing. `falling`
    goes through the line from its end, so that lines in descending order that lie side by side are one stream. `past`
    lets h go past the cache.
    """
    lead, whole = _bounds(to_line(h, h_at) if past else 0, length)
    for i in range(lead):
        _step_lanes(x, x_at, gates, at, far, least, state, old, new, h, h_at, length, i, ONE, False)
    for forth in range(lead, whole, TILE):
        i = lead + whole - TILE - forth if falling else forth
        if gates_ahead != 0:
            for j in range(3):
                prefetch(gates, at + gates_ahead + j * far + i)
        if ahead != 0:
            prefetch(x, x_at + ahead + i)
            if not past:
                prefetch_to_write(h, h_at + ahead + i)
        _step_lanes(x, x_at, gates, at, far, least, state, old, new, h, h_at, length, i, WIDE, past)
    for i in range(whole, length):
        _step_lanes(x, x_at, gates, at, far, least, state, old, new, h, h_at, length, i, ONE, False)


@njit(**_inline)
def _arriving(top, top_at, q, old, q_far, i, lanes):
    """Gradient of h in lanes i..: from above, and through the three gates of the next line (q = weight * gradient)."""
    g = load(top, top_at + i, lanes) + load(q, old + q_far + i, lanes)
    return g + load(q, old + i + 1, lanes) + load(q, old + 2 * q_far + i - 1, lanes)


@njit(**_inline)
def _adjoint_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, length, i, lanes, past):
    """Input gradient of lanes i.., which is also what passes on to the line before; returns the arriving gradient."""
    g = _arriving(top, top_at, q, old, q_far, i, lanes)
    p1, p2, p3 = _weights(gates, at, far, least, length, i, lanes)
    q1, q2, q3 = p1 * g, p2 * g, p3 * g
    store(q, new + i, q1)
    store(q, new + q_far + i, q2)
    store(q, new + 2 * q_far + i, q3)
    put(gx, gx_at + i, g - q1 - q2 - q3, past)
    return g


@njit(**options)
def adjoint_line(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, length):
    """One line of the transposed scan."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        _adjoint_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, length, i, WIDE, False)
    for i in range(whole, length):
        _adjoint_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, length, i, ONE, False)


@njit(**_inline)
def _through_norm(gates, at, far, least, d1, d2, d3, i, lanes):
    """Gradient of raw gates from that of the weights: d s - sign(g) <d, g> s^2 where the sum divides, s = 1 / sum."""
    if least > 0.0:
        g1 = load(gates, at + i, lanes)
        g2 = load(gates, at + far + i, lanes)
        g3 = load(gates, at + 2 * far + i, lanes)
        total = _sum(g1, g2, g3)
        scale = inverse_above(total, least)
        along = where_above(total, least, (d1 * g1 + d2 * g2 + d3 * g3) * scale * scale)
        d1 = d1 * scale - times_sign(along, g1)
        d2 = d2 * scale - times_sign(along, g2)
        d3 = d3 * scale - times_sign(along, g3)
    return d1, d2, d3


@njit(**_inline)
def _weight_gradient(g, x, x_at, before, before_at, length, i, lanes):
    own = load(x, x_at + i, lanes)
    d1 = g * (load(before, before_at + i - 1, lanes) - own)
    d2 = g * (load(before, before_at + i, lanes) - own)
    d3 = g * (load(before, before_at + i + 1, lanes) - own)
    return zero_at(d1, -i), d2, zero_at(d3, length - 1 - i)


@njit(**_inline)
def _back_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at,
                gg, gg_at, gg_far, length, i, lanes, gx_past, past):
    g = _adjoint_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, length, i, lanes, gx_past)
    d1, d2, d3 = _weight_gradient(g, x, x_at, before, before_at, length, i, lanes)
    d1, d2, d3 = _through_norm(gates, at, far, least, d1, d2, d3, i, lanes)
    put(gg, gg_at + i, d1, past)
    put(gg, gg_at + gg_far + i, d2, past)
    put(gg, gg_at + 2 * gg_far + i, d3, past)


@njit(**options)
def back_line(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at,
              gg, gg_at, gg_far, length, gates_ahead, ahead, falling, h, h_at, gx_past,
              past):
    """One line of the backward scan when the gates serve this channel alone: all gradients in one pass.

    `gates_ahead` (of gates and gg) and `ahead` (of top, x, gx and h, from h_at on) lead to the next line to ask for, as
    in `step_line`; `falling` as there. `past` lets gg go past the cache, whose three lines must then begin alike in a
    cache line, and `gx_past` gx, which must begin as they do.
    """
    lead, whole = _bounds(to_line(gg, gg_at) if past else 0, length)
    for i in range(lead):
        _back_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at,
                    gg, gg_at, gg_far, length, i, ONE, False, False)
    for forth in range(lead, whole, TILE):
        i = lead + whole - TILE - forth if falling else forth
        if gates_ahead != 0:
            for j in range(3):
                prefetch(gates, at + gates_ahead + j * far + i)
                if not past:
                    prefetch_to_write(gg, gg_at + gates_ahead + j * gg_far + i)
        if ahead != 0:
            prefetch(top, top_at + ahead + i)
            prefetch(x, x_at + ahead + i)
            prefetch(h, h_at + ahead + i)
            if not gx_past:
                prefetch_to_write(gx, gx_at + ahead + i)
        _back_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at,
                    gg, gg_at, gg_far, length, i, WIDE, gx_past, past)
    for i in range(whole, length):
        _back_lanes(top, top_at, gates, at, far, least, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at,
                    gg, gg_at, gg_far, length, i, ONE, False, False)


@njit(**_inline)
def _shared_lanes(top, top_at, p, at, far, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at, d, d_at,
                  length, i, lanes):
    g = _adjoint_lanes(top, top_at, p, at, far, 0.0, q, old, new, q_far, gx, gx_at, length, i, lanes, False)
    d1, d2, d3 = _weight_gradient(g, x, x_at, before, before_at, length, i, lanes)
    store(d, d_at + i, load(d, d_at + i, lanes) + d1)
    store(d, d_at + far + i, load(d, d_at + far + i, lanes) + d2)
    store(d, d_at + 2 * far + i, load(d, d_at + 2 * far + i, lanes) + d3)


@njit(**options)
def back_shared_line(top, top_at, p, at, far, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at, d, d_at,
                     length):
    """As `back_line` for one of several channels under weights p: adds its part to d, which is spaced like p."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        _shared_lanes(top, top_at, p, at, far, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at, d, d_at,
                      length, i, WIDE)
    for i in range(whole, length):
        _shared_lanes(top, top_at, p, at, far, q, old, new, q_far, gx, gx_at, x, x_at, before, before_at, d, d_at,
                      length, i, ONE)


@njit(**_inline)
def _gate_lanes(gates, at, far, least, d, d_at, d_far, gg, gg_at, gg_far, i, lanes):
    d1, d2, d3 = load(d, d_at + i, lanes), load(d, d_at + d_far + i, lanes), load(d, d_at + 2 * d_far + i, lanes)
    d1, d2, d3 = _through_norm(gates, at, far, least, d1, d2, d3, i, lanes)
    store(gg, gg_at + i, d1)
    store(gg, gg_at + gg_far + i, d2)
    store(gg, gg_at + 2 * gg_far + i, d3)


@njit(**options)
def gate_gradient_line(gates, at, far, least, d, d_at, d_far, gg, gg_at, gg_far, length):
    """Gradient of raw gates from the summed gradient d of the weights (gg may be d)."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        _gate_lanes(gates, at, far, least, d, d_at, d_far, gg, gg_at, gg_far, i, WIDE)
    for i in range(whole, length):
        _gate_lanes(gates, at, far, least, d, d_at, d_far, gg, gg_at, gg_far, i, ONE)


@njit(**options)
def first_line(top, top_at, q, old, q_far, gx, gx_at, length):
    """The last step back, at the line where the scan began: its input is its hidden state."""
    whole = length // TILE * TILE
    for i in range(0, whole, TILE):
        store(gx, gx_at + i, _arriving(top, top_at, q, old, q_far, i, WIDE))
    for i in range(whole, length):
        store(gx, gx_at + i, _arriving(top, top_at, q, old, q_far, i, ONE))


@njit(**options)
def load_strip(plane, at, rows, columns, first, width, strip, to, pitch):
    """Columns first.. of a plane (rows, columns) to scratch lines `pitch` apart."""
    if rows < TILE or width < TILE:
        for i in range(rows):
            for k in range(width):
                store(strip, to + k * pitch + i, load(plane, at + i * columns + first + k, ONE))
        return
    for n in range(_tiles(rows)):
        i = _tile_start(n, rows)
        for m in range(_tiles(width)):
            k = _tile_start(m, width)
            transpose_tile(plane, at + i * columns + first + k, columns, strip, to + k * pitch + i, pitch)


@njit(**options)
def store_strip(strip, at, pitch, plane, to, rows, columns, first, width):
    """Scratch lines to columns first.. of a plane (rows, columns)."""
    if rows < TILE or width < TILE:
        for i in range(rows):
            for k in range(width):
                store(plane, to + i * columns + first + k, load(strip, at + k * pitch + i, ONE))
        return
    for n in range(_tiles(rows)):
        i = _tile_start(n, rows)
        for m in range(_tiles(width)):
            k = _tile_start(m, width)
            transpose_tile(strip, at + k * pitch + i, pitch, plane, to + i * columns + first + k, columns)


@njit(**options)
def store_strip_past(strip, at, pitch, carry, table, plane, to, rows, columns, first, width, descending):
    """As `store_strip`, past the cache: whole cache lines alone, wherever the rows of a plane begin.

    What a row's cache line still lacks comes with the next strip: `carry` (`TILE` scratch lines) keeps the columns next
    to it, and the strip has room for them on both sides. `table` holds `TILE` rows of a strip so widened.
    """
    copy_line(carry, 0, strip, at - PAD + (width if descending else -TILE) * pitch, TILE * pitch)
    begin = first if descending else max(first - TILE, 0)
    end = min(first + width + TILE, columns) if descending else first + width
    for n in range(_tiles(rows)):
        i = _tile_start(n, rows)
        for k in range(begin, end, TILE):
            transpose_tile(strip, at + (k - first) * pitch + i, pitch, table, k - begin, TABLE)
        for r in range(TILE):
            row = to + (i + r) * columns
            low, high = row + first, row + first + width
            if descending:
                low += to_line(plane, low) if first > 0 else 0
                high = min(high + to_line(plane, high), row + columns)
            else:
                low -= -to_line(plane, low) % TILE if first > 0 else 0
                high -= -to_line(plane, high) % TILE if first + width < columns else 0
            _copy_past(table, r * TABLE + low - row - begin, plane, low, high - low)
    copy_line(strip, at - PAD + (0 if descending else width - TILE) * pitch, carry, 0, TILE * pitch)


@njit(**_inline)
def _copy_past(source, at, target, to, length):
    lead, whole = _bounds(to_line(target, to), length)
    for i in range(lead):
        store(target, to + i, load(source, at + i, ONE))
    for i in range(lead, whole, TILE):
        store_past(target, to + i, load(source, at + i, WIDE))
    for i in range(whole, length):
        store(target, to + i, load(source, at + i, ONE))


@njit(**_inline)
def _tiles(length):
    """Tiles that cover a length."""
    return (length + TILE - 1) // TILE


@njit(**_inline)
def _tile_start(n, length):
    """Where the n-th tile begins; the last ends with the length and may cover again what the one before it did."""
    return min(n * TILE, length - TILE)


@njit(**_inline)
def ask_for_strip(plane, at, rows, columns, first, part, parts, to_write):
    """Prefetches one of `parts` shares of a strip while another is at work; a strip outside the plane is none."""
    if not 0 <= first < columns:
        return
    for i in range(rows * part // parts, rows * (part + 1) // parts):
        here = at + i * columns + first
        for k in range(0, STRIP + TILE, TILE):
            if to_write:
                prefetch_to_write(plane, here + min(k, STRIP - 1))
            else:
                prefetch(plane, here + min(k, STRIP - 1))
