"""The CPU backend: numba kernels spread over the threads of `kernels.threads`."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernels.threads import get_threads, run_all, run_parts

# numpy has no bfloat16 and numba no float16 arithmetic: 16-bit types travel as bits (see `kernels.vector`).
_BITS = {torch.float16: torch.int16, torch.bfloat16: torch.uint16}
_NUMPY: dict[torch.dtype, Any] = {
    torch.float64: np.float64,
    torch.float32: np.float32,
    torch.int16: np.int16,
    torch.uint16: np.uint16,
}

LINE_BYTES = 64  # as in `kernels.vector`, which needs numba
_PAST_BYTES = 8 * 2**20

# Fresh pages cost a third of a merged scan at interactive sizes, so one workspace a dtype is kept.
_SPARE_BYTES = 64 * 2**20
_spare: dict[torch.dtype, Tensor] = {}
_lock = threading.Lock()


def unavailable() -> str | None:
    """Why this backend cannot run here, or None."""
    try:
        import kernels.cpu_planes  # noqa: F401
    except ImportError as error:
        return f"numba is not installed ({error})"
    return None


def _flat(tensor: Tensor) -> Any:
    """The elements of a contiguous tensor as a flat numpy array, sharing memory."""
    tensor = tensor.detach()
    return tensor.view(_BITS.get(tensor.dtype, tensor.dtype)).numpy().reshape(-1)


def empty_like(tensor: Tensor) -> Tensor:
    """As `torch.empty_like`, from numpy's allocator.

    It asks Linux for huge pages where an array is large. The first touch of 200 MB of small pages takes as long as the
    scan that fills them. The first element begins a cache line.
    """
    bits = _BITS.get(tensor.dtype, tensor.dtype)
    size = tensor.numel() * tensor.element_size()
    room = np.empty(size + LINE_BYTES, np.uint8)
    start = -room.ctypes.data % LINE_BYTES
    array = room[start : start + size].view(_NUMPY[bits]).reshape(tuple(tensor.shape))
    return torch.from_numpy(array).view(tensor.dtype)


def _past(out: Tensor) -> bool:
    """Whether an output of a scan goes past the cache: where it would not stay there anyway (see `store_past`)."""
    return out.dtype == torch.float32 and out.nbytes >= _PAST_BYTES and out.data_ptr() % LINE_BYTES == 0


def _shape(x: Tensor, gates: Tensor) -> tuple[Any, ...]:
    """What the kernels take after the arrays: state type, channels of a unit, rows, columns."""
    kind = np.empty(0, np.float64 if x.dtype == torch.float64 else np.float32)
    return kind, x.shape[1] // gates.shape[1], x.shape[2], x.shape[3]


def _parts(count: int) -> list[tuple[int, int]]:
    """Ranges that cover 0..count, one a thread."""
    parts = min(count, get_threads())
    return [(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


def _shares(units: int, channels: int, directions: int) -> list[tuple[int, int, int, int]]:
    """Ranges of units and of their channels for one of several directions that run side by side."""
    if units == 1 and directions == 1:
        return [(0, 1, *part) for part in _parts(channels)]
    return [(*part, 0, channels) for part in _parts(units)]


def forward(x: Tensor, gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str,
            scanned: bool) -> list[Tensor]:
    """h (B, C, H, W) of every way (horizontal, reverse) with its gates; x and gates contiguous."""
    hs = [empty_like(x) for _ in gates]
    _scan_into(hs, x, gates, ways, norm, scanned)
    return hs


def forward_merged(x: Tensor, gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str, scanned: bool,
                   weights: Tensor) -> Tensor:
    """`merge` of `forward` when nobody will ask for the scans themselves: they stay in memory that is used again."""
    size = len(gates) * x.numel()
    with _lock:
        space = _spare.pop(x.dtype, None)
    if space is None or space.numel() < size:
        space = torch.empty(size, dtype=x.dtype)
    hs = space[:size].view(len(gates), *x.shape).unbind(0)
    _scan_into(hs, x, gates, ways, norm, scanned)
    out = merge(hs, weights)
    if space.nbytes <= _SPARE_BYTES:
        with _lock:
            _spare[x.dtype] = space
    return out


def _scan_into(hs: Sequence[Tensor], x: Tensor, gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str,
               scanned: bool) -> None:
    from kernels import cpu_lines, cpu_planes

    calls = []
    for h, g, (horizontal, reverse) in zip(hs, gates, ways, strict=True):
        shape = _shape(x, g)
        arguments = (_flat(x), _flat(g), _flat(h), *shape, reverse, cpu_lines.LEAST[norm], _past(h))
        for share in _shares(g.shape[0] * g.shape[1], shape[1], len(gates)):
            if horizontal:
                calls.append((cpu_planes.forward_horizontal, (*arguments, scanned, *share)))
            else:
                calls.append((cpu_planes.forward_vertical, (*arguments, *share)))
    run_all(calls, x.numel() * len(hs))


def backward(tops: Sequence[Tensor], x: Tensor, gates: Sequence[Tensor], hs: Sequence[Tensor],
             ways: Sequence[tuple[bool, bool]], norm: str, scanned: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Of every way, the gradients to x and to the raw gates."""
    from kernels import cpu_lines, cpu_planes

    gxs, ggs, calls = [], [], []
    for top, g, h, (horizontal, reverse) in zip(tops, gates, hs, ways, strict=True):
        gx, gg = empty_like(x), empty_like(g)
        arguments = (_flat(top), _flat(x), _flat(g), _flat(h), _flat(gx), _flat(gg), *_shape(x, g), reverse,
                     cpu_lines.LEAST[norm], _past(gx) and _past(gg))
        for part in _parts(g.shape[0] * g.shape[1]):
            if horizontal:
                calls.append((cpu_planes.backward_horizontal, (*arguments, scanned, *part)))
            else:
                calls.append((cpu_planes.backward_vertical, (*arguments, *part)))
        gxs.append(gx)
        ggs.append(gg)
    run_all(calls, x.numel() * len(gxs))
    return gxs, ggs


def adjoint(tops: Sequence[Tensor], gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str,
            scanned: bool) -> list[Tensor]:
    """Of every way, the transpose applied to its top: the gradient to x, which needs neither x nor h."""
    from kernels import cpu_lines, cpu_planes

    outs, calls = [], []
    for top, g, (horizontal, reverse) in zip(tops, gates, ways, strict=True):
        out = empty_like(top)
        shape = _shape(top, g)
        arguments = (_flat(top), _flat(g), _flat(out), *shape, reverse, cpu_lines.LEAST[norm])
        for share in _shares(g.shape[0] * g.shape[1], shape[1], len(gates)):
            if horizontal:
                calls.append((cpu_planes.adjoint_horizontal, (*arguments, scanned, *share)))
            else:
                calls.append((cpu_planes.adjoint_vertical, (*arguments, *share)))
        outs.append(out)
    run_all(calls, sum(out.numel() for out in outs))
    return outs


def merge(hs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Sum over the four scans of weight times h; weights (B, S, 4, H, W), channel c reads set c // (C / S)."""
    from kernels import cpu_merge

    out = empty_like(hs[0])
    arguments = (*map(_flat, hs), _flat(weights), _flat(out), *_merge_shape(out, weights))
    run_parts(cpu_merge.merge, arguments, weights.shape[0] * weights.shape[1] * out.shape[2], out.numel())
    return out


def split(top: Tensor, hs: Sequence[Tensor], weights: Tensor) -> tuple[list[Tensor], Tensor]:
    """Gradients of `merge` to the four scans and to the weights."""
    from kernels import cpu_merge

    tops, gw = [empty_like(h) for h in hs], empty_like(weights)
    arguments = (_flat(top), *map(_flat, hs), _flat(weights), *map(_flat, tops), _flat(gw), *_merge_shape(top, weights))
    run_parts(cpu_merge.split, arguments, weights.shape[0] * weights.shape[1] * top.shape[2], top.numel())
    return tops, gw


def _merge_shape(h: Tensor, weights: Tensor) -> tuple[int, int, int]:
    """Channels of a set of merge weights, columns, rows."""
    return h.shape[1] // weights.shape[1], h.shape[3], h.shape[2]
