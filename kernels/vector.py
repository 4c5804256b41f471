"""Short vectors inside numba: loads and stores that convert storage to state, arithmetic, and a transpose in registers.

numba lets LLVM find vector loops; with five to nine streams in one loop LLVM gives up, because it would have to prove
that no two of them overlap. Here a `Lanes` value is one LLVM vector, written by hand, so a loop body is vector code on
any machine (LLVM splits what the registers cannot hold).

Storage and state. float32 arrays load as float32 lanes and float64 as float64. 16-bit storage travels as integer bits,
since numpy has no bfloat16 and numba no float16 arithmetic: int16 holds IEEE half floats, uint16 holds bfloat16; both
load as float32 lanes and are stored rounded to nearest, ties to even.

A number of lanes is given by a tuple's length (`WIDE`, `ONE`), the only integer that survives in a numba type. Memory
is given by `pointer`, not as an array: numba counts an array's references by atomic instructions, at times in the inner
loop, and there two threads at work on one array wait for each other. Indices count elements; no bounds are checked.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

WIDE = (0,) * 16
ONE = (0,)
TILE = len(WIDE)
LINE_BYTES = 64  # of a cache line; elsewhere than on x86 and ARM this costs speed alone

_FLAGS = ("contract", "nsz")  # a * b + c may become one rounding; nothing may be reordered


class Lanes(types.Type):
    """A vector of `count` floats of numba type `element`."""

    def __init__(self, element: Any, count: int) -> None:
        self.element, self.count = element, count
        super().__init__(name=f"Lanes({element}, {count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(kind))


def _vector(kind: Lanes) -> Any:
    return ir.VectorType(ir.DoubleType() if kind.element == types.float64 else ir.FloatType(), kind.count)


def state_type(storage: Any) -> Any:
    """The numba float type in which values of a storage type are computed."""
    return types.float64 if storage == types.float64 else types.float32


def _splat(value: Any, count: int) -> Any:
    """A constant with the same integer in every lane."""
    return ir.Constant(ir.VectorType(value[0], count), [value[1]] * count)


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """Address of a C-contiguous array's elements. It keeps nothing alive: see `keep`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def aligned(typingctx: Any, array: Any) -> Any:
    """As `pointer`, of the first element that begins a cache line."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        word = ir.IntType(64)
        up = builder.add(builder.ptrtoint(data, word), ir.Constant(word, LINE_BYTES - 1))
        return builder.inttoptr(builder.and_(up, ir.Constant(word, -LINE_BYTES)), data.type)

    return types.CPointer(array.dtype)(array), generate


@intrinsic
def beyond(typingctx: Any, start: Any, count: Any) -> Any:
    """The pointer `count` elements further on."""
    return start(start, types.intp), lambda context, builder, sig, args: builder.gep(args[0], [args[1]])


@intrinsic
def keep(typingctx: Any, array: Any) -> Any:
    """Uses an array, and so keeps it alive up to here."""
    return types.void(array), lambda context, builder, sig, args: context.get_dummy_value()


def _position(context: Any, builder: Any, kind: Any, start: Any, index: Any, count: int) -> tuple[Any, int]:
    """Pointer to `count` elements from `index` on, and the alignment it is sure to have."""
    element = context.get_data_type(kind.dtype)
    place = builder.bitcast(builder.gep(start, [index]), ir.VectorType(element, count).as_pointer())
    return place, context.get_abi_sizeof(element)


def _load(context: Any, builder: Any, kind: Any, array: Any, index: Any, count: int) -> Any:
    """IR that loads `count` elements as state."""
    place, alignment = _position(context, builder, kind, array, index, count)
    value = builder.load(place)
    value.align = alignment
    floats = ir.VectorType(ir.FloatType(), count)
    if kind.dtype == types.int16:
        return builder.fpext(builder.bitcast(value, ir.VectorType(ir.HalfType(), count)), floats)
    if kind.dtype == types.uint16:
        word = ir.IntType(32)
        bits = builder.shl(builder.zext(value, ir.VectorType(word, count)), _splat((word, 16), count))
        return builder.bitcast(bits, floats)
    return value


def _store(context: Any, builder: Any, kind: Any, array: Any, index: Any, value: Any) -> None:
    """IR that stores a vector of state in an array's storage type."""
    count = value.type.count
    place, alignment = _position(context, builder, kind, array, index, count)
    if kind.dtype == types.int16:
        half = builder.fptrunc(value, ir.VectorType(ir.HalfType(), count))
        value = builder.bitcast(half, ir.VectorType(ir.IntType(16), count))
    elif kind.dtype == types.uint16:
        value = _to_bfloat16(builder, value, count)
    store = builder.store(value, place)
    store.align = alignment


def _to_bfloat16(builder: Any, value: Any, count: int) -> Any:
    """The upper half of a float32, rounded to nearest even; NaN stays NaN."""
    word = ir.IntType(32)
    bits = builder.bitcast(value, ir.VectorType(word, count))
    odd = builder.and_(builder.lshr(bits, _splat((word, 16), count)), _splat((word, 1), count))
    rounded = builder.add(bits, builder.add(odd, _splat((word, 0x7FFF), count)))
    nan = builder.fcmp_unordered("uno", value, value)
    rounded = builder.select(nan, _splat((word, 0x7FC00000), count), rounded)
    return builder.trunc(builder.lshr(rounded, _splat((word, 16), count)), ir.VectorType(ir.IntType(16), count))


@intrinsic
def load(typingctx: Any, array: Any, index: Any, lanes: Any) -> Any:
    """Lanes of state from array[index:]."""
    kind = Lanes(state_type(array.dtype), lanes.count)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _load(context, builder, sig.args[0], args[0], args[1], kind.count)

    return kind(array, types.intp, lanes), generate


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """array[index:] = value, in the array's storage type."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        _store(context, builder, sig.args[0], args[0], args[1], args[2])
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def store_past(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """As `store`, but `TILE` lanes of float32 go past the cache; they must fill a cache line.

    An ordinary store first reads the line that it is about to overwrite, and later evicts another.
    """

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if sig.args[0].dtype != types.float32 or args[2].type.count != TILE:
            _store(context, builder, sig.args[0], args[0], args[1], args[2])
            return context.get_dummy_value()
        place, _ = _position(context, builder, sig.args[0], args[0], args[1], TILE)
        instruction = builder.store(args[2], place)
        instruction.align = LINE_BYTES
        instruction.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def to_line(typingctx: Any, array: Any, index: Any) -> Any:
    """Elements from array[index] to where the next cache line begins."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place, size = _position(context, builder, sig.args[0], args[0], args[1], 1)
        word = ir.IntType(64)
        missing = builder.and_(builder.neg(builder.ptrtoint(place, word)), ir.Constant(word, LINE_BYTES - 1))
        return builder.udiv(missing, ir.Constant(word, size))

    return types.intp(array, types.intp), generate


@intrinsic
def settle(typingctx: Any) -> Any:
    """Waits for stores past the cache, which no other barrier orders."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


def _arithmetic(function: Any, instruction: str) -> None:
    """Gives an operator of Python to two Lanes of one kind."""

    @intrinsic
    def apply(typingctx: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return getattr(builder, instruction)(args[0], args[1], flags=_FLAGS)

        return a(a, b), generate

    @overload(function, strict=False)
    def on_lanes(a: Any, b: Any) -> Any:
        if isinstance(a, Lanes) and a == b:
            return lambda a, b: apply(a, b)  # type: ignore[call-arg]
        return None


for _function, _instruction in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _arithmetic(_function, _instruction)


@intrinsic
def magnitude(typingctx: Any, value: Any) -> Any:
    """|value|."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(args[0].type, [args[0].type]), _overloaded("llvm.fabs", sig.args[0])
        )
        return builder.call(function, args)

    return value(value), generate


def _overloaded(name: str, kind: Lanes) -> str:
    return f"{name}.v{kind.count}f{kind.element.bitwidth}"


@intrinsic
def inverse_above(typingctx: Any, value: Any, least: Any) -> Any:
    """1 / max(value, least); `least` is a scalar float64, positive."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        floor = _spread(builder, args[1], args[0].type)
        larger = builder.select(builder.fcmp_ordered(">", args[0], floor), args[0], floor)
        return builder.fdiv(ir.Constant(args[0].type, [1.0] * args[0].type.count), larger)

    return value(value, types.float64), generate


@intrinsic
def where_above(typingctx: Any, value: Any, least: Any, chosen: Any) -> Any:
    """`chosen` in the lanes where value >= least (a scalar float64), else 0."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        floor = _spread(builder, args[1], args[0].type)
        return builder.select(builder.fcmp_ordered(">=", args[0], floor), args[2], _zeros(args[2].type))

    return chosen(value, types.float64, chosen), generate


@intrinsic
def times_sign(typingctx: Any, value: Any, of: Any) -> Any:
    """value * sign(of), with sign(0) = 0."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = _zeros(args[0].type)
        negative = builder.select(builder.fcmp_ordered("<", args[1], zero), builder.fsub(zero, args[0]), zero)
        return builder.select(builder.fcmp_ordered(">", args[1], zero), args[0], negative)

    return value(value, of), generate


@intrinsic
def zero_at(typingctx: Any, value: Any, lane: Any) -> Any:
    """value with its lane number `lane` set to zero; any other number changes nothing."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = args[0].type.count
        numbers = ir.Constant(ir.VectorType(ir.IntType(32), count), list(range(count)))
        wanted = _spread(builder, builder.trunc(args[1], ir.IntType(32)), numbers.type)
        return builder.select(builder.icmp_signed("==", numbers, wanted), _zeros(args[0].type), args[0])

    return value(value, types.intp), generate


@intrinsic
def zero(typingctx: Any, like: Any) -> Any:
    """Zeros of the kind of `like`."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _zeros(args[0].type)

    return like(like), generate


def _zeros(kind: Any) -> Any:
    return ir.Constant(kind, [0.0] * kind.count)


def _spread(builder: Any, scalar: Any, kind: Any) -> Any:
    """A scalar in every lane, narrowed to the lanes' float type if need be."""
    if scalar.type == ir.DoubleType() and kind.element == ir.FloatType():
        scalar = builder.fptrunc(scalar, kind.element)
    word = ir.IntType(32)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), scalar, ir.Constant(word, 0))
    return builder.shuffle_vector(first, first, _splat((word, 0), kind.count))


def _asking(write: int) -> Any:
    """Generates a request for the cache line that holds array[index], to be read (0) or written (1)."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        word = ir.IntType(32)
        place, _ = _position(context, builder, sig.args[0], args[0], args[1], 1)
        byte = builder.bitcast(place, ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [byte.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [byte, word(write), word(2), word(1)])
        return context.get_dummy_value()

    return generate


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Asks for the cache line that holds array[index]; an address outside the array does no harm."""
    return types.void(array, types.intp), _asking(0)


@intrinsic
def prefetch_to_write(typingctx: Any, array: Any, index: Any) -> Any:
    """As `prefetch`, for a cache line that is about to be written."""
    return types.void(array, types.intp), _asking(1)


@intrinsic
def transpose_tile(
    typingctx: Any, source: Any, source_at: Any, source_pitch: Any, target: Any, target_at: Any, target_pitch: Any
) -> Any:
    """target[j, i] = source[i, j] for a `TILE` x `TILE` tile, converted from storage to storage on the way.

    A butterfly: `TILE` vector loads, log2(TILE) rounds of two-input shuffles, `TILE` vector stores.
    """
    signature = types.void(source, types.intp, types.intp, target, types.intp, types.intp)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def row(at: Any, pitch: Any, index: int) -> Any:
            return builder.add(at, builder.mul(pitch, ir.Constant(pitch.type, index)))

        rows = [_load(context, builder, sig.args[0], args[0], row(args[1], args[2], i), TILE) for i in range(TILE)]
        span = 1
        while span < TILE:
            rows = _exchange(builder, rows, span)
            span *= 2
        for i in range(TILE):
            _store(context, builder, sig.args[3], args[3], row(args[4], args[5], i), rows[i])
        return context.get_dummy_value()

    return signature, generate


def _exchange(builder: Any, rows: list[Any], span: int) -> list[Any]:
    """One round of the butterfly: swap the off-diagonal blocks of size `span` between row i and i + span."""
    kind = ir.VectorType(ir.IntType(32), TILE)
    lower = [lane if lane // span % 2 == 0 else lane - span + TILE for lane in range(TILE)]
    upper = [lane + span if lane // span % 2 == 0 else lane + TILE for lane in range(TILE)]
    out = list(rows)
    for i in range(TILE):
        if i // span % 2 == 0:
            out[i] = builder.shuffle_vector(rows[i], rows[i + span], ir.Constant(kind, lower))
            out[i + span] = builder.shuffle_vector(rows[i], rows[i + span], ir.Constant(kind, upper))
    return out
