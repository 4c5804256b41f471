"""Scans as published implementations do them: one launch for every column, one thread a row, state in global memory.

The yardstick beside which the one-launch kernels are measured; the same operator without normalisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.cuda import STORAGE

THREADS = 256

STRUCT = """
struct Column {
    const void* x; const void* gates; const void* h_in; const void* top;
    void* h; void* gx; void* gg;
    const void* later; void* passed;  // BACKWARD: the gradient of the later line and of this one, (planes, length)
    long long area;
    int planes, length, row_stride, step_stride, line, came, next;  // lines of the picture; -1: there is none
};
"""
FORWARD = """
KERNEL(column_forward, 256, Column) {
    using Stored = STORAGE::Stored;
    const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)call.planes * call.length) return;
    const int i = at % call.length;
    const long long plane = at / call.length;
    const Stored* x = (const Stored*)call.x + plane * call.area;
    const Stored* gates = (const Stored*)call.gates + plane * 3 * call.area + (long long)call.line * call.length + i;
    const Stored* h_in = (const Stored*)call.h_in + plane * call.area + (long long)call.came * call.step_stride;
    const long long own = (long long)call.line * call.step_stride + (long long)i * call.row_stride;
    const float value = STORAGE::open(x[own]);
    float h = value;
    for (int k = 0; k < 3 && call.came >= 0; ++k) {
        const int j = i + k - 1;
        if (j < 0 || j >= call.length) continue;
        h += STORAGE::open(gates[k * call.area]) * (STORAGE::open(h_in[(long long)j * call.row_stride]) - value);
    }
    ((Stored*)call.h)[plane * call.area + own] = STORAGE::close(h);
}
"""
BACKWARD = """
KERNEL(column_backward, 256, Column) {
    using Stored = STORAGE::Stored;
    const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= (long long)call.planes * call.length) return;
    const int i = at % call.length;
    const long long plane = at / call.length;
    const Stored* gates = (const Stored*)call.gates + plane * 3 * call.area;
    const long long own = plane * call.area + (long long)call.line * call.step_stride + (long long)i * call.row_stride;
    float gradient = STORAGE::open(((const Stored*)call.top)[own]);
    const float* later = (const float*)call.later + plane * call.length;
    for (int k = 0; k < 3 && call.next >= 0; ++k) {
        const int j = i - (k - 1);  // the row of the later line whose gate k points here
        if (j < 0 || j >= call.length) continue;
        gradient += STORAGE::open(gates[k * call.area + (long long)call.next * call.length + j]) * later[j];
    }
    ((float*)call.passed)[at] = gradient;
    const float x = STORAGE::open(((const Stored*)call.x)[own]);
    const Stored* h = (const Stored*)call.h_in + plane * call.area + (long long)call.came * call.step_stride;
    float sum = 0;
    for (int k = 0; k < 3; ++k) {
        const int j = i + k - 1;
        const long long gate = k * call.area + (long long)call.line * call.length + i;
        float d = 0;
        if (call.came >= 0 && j >= 0 && j < call.length) {
            sum += STORAGE::open(gates[gate]);
            d = gradient * (STORAGE::open(h[(long long)j * call.row_stride]) - x);
        }
        ((Stored*)call.gg)[plane * 3 * call.area + gate] = STORAGE::close(d);
    }
    ((Stored*)call.gx)[own] = STORAGE::close(gradient - sum * gradient);
}
"""
COLUMN = np.dtype([*((name, "u8") for name in ("x", "gates", "h_in", "top", "h", "gx", "gg", "later", "passed")),
                   ("area", "i8"), *((name, "i4") for name in ("planes", "length", "row_stride", "step_stride", "line",
                                                               "came", "next"))], align=True)


def source(kind: str, dtype: torch.dtype) -> str:
    """What is added to the text of the kernels."""
    return STRUCT + (FORWARD if kind == "forward" else BACKWARD).replace("STORAGE", STORAGE[dtype]).replace(
        "KERNEL(column", f"KERNEL({STORAGE[dtype].lower()}_column")


def scan(device: Any, x: Tensor, gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]]) -> list[Tensor]:
    """h of every way; gates of their own for every channel, in the order of the scan."""
    hs = []
    for g, (horizontal, reverse) in zip(gates, ways, strict=True):
        h = torch.empty_like(x)
        call = _call(x, g, horizontal)
        call["h"] = call["h_in"] = h.data_ptr()
        lines = _lines(x, horizontal, reverse)
        for t, line in enumerate(lines):
            call["line"], call["came"] = line, lines[t - 1] if t else -1
            _launch(device, "forward", x, call)
        hs.append(h)
    return hs


def scan_back(device: Any, tops: Sequence[Tensor], x: Tensor, gates: Sequence[Tensor], hs: Sequence[Tensor],
              ways: Sequence[tuple[bool, bool]]) -> tuple[list[Tensor], list[Tensor]]:
    """Gradients of every way."""
    gxs, ggs = [torch.empty_like(x) for _ in gates], [torch.empty_like(g) for g in gates]
    for i, (horizontal, reverse) in enumerate(ways):
        lines = _lines(x, horizontal, reverse)
        call = _call(x, gates[i], horizontal)
        state = torch.empty(2, x.shape[0] * x.shape[1], int(call["length"][0]), device=x.device)
        call["top"], call["h_in"] = tops[i].data_ptr(), hs[i].data_ptr()
        call["gx"], call["gg"] = gxs[i].data_ptr(), ggs[i].data_ptr()
        for t in range(len(lines) - 1, -1, -1):
            call["line"], call["came"] = lines[t], lines[t - 1] if t else -1
            call["next"] = lines[t + 1] if t + 1 < len(lines) else -1
            call["passed"], call["later"] = state[t % 2].data_ptr(), state[(t + 1) % 2].data_ptr()
            _launch(device, "backward", x, call)
    return gxs, ggs


def _lines(x: Tensor, horizontal: bool, reverse: bool) -> list[int]:
    count = x.shape[3 if horizontal else 2]
    return list(range(count - 1, -1, -1) if reverse else range(count))


def _call(x: Tensor, g: Tensor, horizontal: bool) -> NDArray[Any]:
    height, width = x.shape[2:]
    call = np.zeros(1, COLUMN)
    call["x"], call["gates"], call["area"] = x.data_ptr(), g.data_ptr(), height * width
    call["planes"], call["length"] = x.shape[0] * x.shape[1], height if horizontal else width
    call["row_stride"], call["step_stride"] = (width, 1) if horizontal else (1, width)
    return call


def _launch(device: Any, kind: str, x: Tensor, call: NDArray[Any]) -> None:
    blocks = -(-int(call["planes"][0]) * int(call["length"][0]) // THREADS)
    name = f"{STORAGE[x.dtype].lower()}_column_{kind}"
    device.launch(name, source(kind, x.dtype), (blocks,), THREADS, 0, call)
