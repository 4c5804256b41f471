"""Two intrinsics that numba lacks: an 8 x 8 float transpose in registers, as portable LLVM vector code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

TILE = 8


@intrinsic
def transpose_tile(typingctx: Any, source: Any, source_offset: Any, source_pitch: Any, target: Any,
                   target_offset: Any, target_pitch: Any) -> Any:
    """target[j, i] = source[i, j] for an 8 x 8 tile; offsets and pitches count elements of C-contiguous arrays.

    Eight vector loads, three rounds of eight two-input shuffles, eight vector stores; no bounds are checked.
    """
    signature = types.void(source, source_offset, source_pitch, target, target_offset, target_pitch)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = context.get_data_type(sig.args[0].dtype)
        alignment = context.get_abi_sizeof(element)
        vector = ir.VectorType(element, TILE)
        source_data = context.make_array(sig.args[0])(context, builder, args[0]).data
        target_data = context.make_array(sig.args[3])(context, builder, args[3]).data

        def row(data: Any, offset: Any, pitch: Any, index: int) -> Any:
            position = builder.add(offset, builder.mul(pitch, ir.Constant(pitch.type, index)))
            return builder.bitcast(builder.gep(data, [position]), vector.as_pointer())

        rows = []
        for index in range(TILE):
            load = builder.load(row(source_data, args[1], args[2], index))
            load.align = alignment
            rows.append(load)
        for span in (1, 2, 4):
            rows = _exchange(builder, rows, span)
        for index in range(TILE):
            store = builder.store(rows[index], row(target_data, args[4], args[5], index))
            store.align = alignment
        return context.get_dummy_value()

    return signature, generate


def _exchange(builder: Any, rows: list[Any], span: int) -> list[Any]:
    """One round of the butterfly transpose: swap the off-diagonal blocks of size `span` between row i and i + span."""
    lanes = ir.VectorType(ir.IntType(32), TILE)

    def mask(upper: bool) -> Any:
        picks = []
        for lane in range(TILE):
            block = lane // span % 2
            if upper:
                picks.append(lane + span if block == 0 else lane + TILE)
            else:
                picks.append(lane if block == 0 else lane - span + TILE)
        return ir.Constant(lanes, picks)

    out = list(rows)
    for i in range(TILE):
        if i // span % 2 == 0:
            out[i] = builder.shuffle_vector(rows[i], rows[i + span], mask(False))
            out[i + span] = builder.shuffle_vector(rows[i], rows[i + span], mask(True))
    return out
