"""Lets a thread take numbers below 1e-38 (of float64: 2e-308), which are subnormal, for zero.

What a scan carries decays from line to line, so that such numbers are common far from where it starts, and x86
processors compute each of them by a detour of a hundred cycles. Elsewhere they cost nothing and stay.
"""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_WORD = ir.IntType(32)
_HAS_SSE = platform.machine().lower() in ("x86_64", "amd64")
# Of the control word MXCSR (Intel SDM, volume 1, 10.2.3): results that are subnormal become 0, and so do operands.
_FLUSH, _ZERO_OPERANDS = 1 << 15, 1 << 6


def _call(builder: Any, name: str, place: Any) -> None:
    bytes_ = ir.IntType(8).as_pointer()
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [bytes_]), name)
    builder.call(function, [builder.bitcast(place, bytes_)])


@intrinsic
def _read(typingctx: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = cgutils.alloca_once_value(builder, ir.Constant(_WORD, 0))
        if _HAS_SSE:
            _call(builder, "llvm.x86.sse.stmxcsr", place)
        return builder.load(place)

    return types.uint32(), generate


@intrinsic
def _write(typingctx: Any, word: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if _HAS_SSE:
            _call(builder, "llvm.x86.sse.ldmxcsr", cgutils.alloca_once_value(builder, args[0]))
        return context.get_dummy_value()

    return types.void(types.uint32), generate


@njit(cache=True)
def flush():
    """Takes subnormal numbers for zero on this thread from now on; returns what `restore` wants."""
    before = _read()
    _write(types.uint32(before | types.uint32(_FLUSH | _ZERO_OPERANDS)))
    return before


@njit(cache=True)
def restore(before):
    """Ends what `flush` began on this thread."""
    _write(types.uint32(before))
