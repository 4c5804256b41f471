"""The CUDA backend: kernels/cuda_*.cu on torch tensors, compiled at first use by NVRTC through CuPy.

All directions of a call run in one launch. Storage is float32, float16 or bfloat16 with float32 state; float64 is
served by a simple kernel, for verification. Outputs come from torch's allocator, results do not depend on timing (no
atomics), and offsets between planes are 64-bit; a single plane has fewer than 2^31 pixels.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels import cuda_plan as plan
from kernels.errors import ShapeError

Ways = Sequence[tuple[bool, bool]]

STORAGE = {torch.float32: "Float", torch.float64: "Double", torch.float16: "Half", torch.bfloat16: "Bfloat"}
_NORMS = {"none": 0, "max1": 1, "sum": 2}
_AT_ONCE = 4  # directions of a launch

# The structs of the .cu files, field by field.
WAY = np.dtype([("images", "u8", 3), ("gates", "u8"), ("out", "u8"), ("gates_out", "u8"), ("horizontal", "i4"),
                ("reverse", "i4")], align=True)
CALL = np.dtype([("ways", WAY, _AT_ONCE), ("state", "u8"),
                 *((name, "i4") for name in ("way_count", "units", "channels", "chunks", "height", "width", "norm",
                                             "scanned", "image_tiled", "gates_tiled", "tile_bits", "item_bytes"))],
                align=True)
MERGE = np.dtype([("scans", "u8", 4), ("weights", "u8"), ("top", "u8"), ("out", "u8"), ("parts", "u8", 4),
                  ("area", "i8"), ("channels", "i4"), ("unit_blocks", "i4")], align=True)
GATHER = np.dtype([("parts", "u8", _AT_ONCE), ("out", "u8", _AT_ONCE), ("size", "i8"), ("chunks", "i4")], align=True)


@cache
def unavailable() -> str | None:
    """Why this backend cannot run here, or None. Loads CuPy only where torch has found a device."""
    if torch.version.cuda is None:
        return "this torch was built without CUDA"
    if not torch.cuda.is_available():
        return "torch finds no usable NVIDIA driver or device"
    major = torch.version.cuda.split(".")[0]
    if importlib.util.find_spec("cupy") is None:
        return f"CuPy is not installed; it comes with pip install 'huecast[cuda{major}]'"
    try:
        import cupy

        cupy.cuda.nvrtc.getVersion()
        found = cupy.cuda.runtime.runtimeGetVersion() // 1000
    except Exception as error:  # an installation can be broken in many ways, and each has an exception of its own
        return f"CuPy does not work here: {error}"
    return None if str(found) == major else f"CuPy is built for CUDA {found}, torch for CUDA {major}"


def forward(x: Tensor, gates: Sequence[Tensor], ways: Ways, norm: str, scanned: bool) -> list[Tensor]:
    """h (B, C, H, W) of every way (horizontal, reverse) with its gates; x and gates contiguous."""
    hs = [torch.empty_like(x) for _ in gates]
    _scan("FORWARD", [[x]] * len(hs), gates, hs, None, ways, norm, scanned)
    return hs


def forward_merged(x: Tensor, gates: Sequence[Tensor], ways: Ways, norm: str, scanned: bool,
                   weights: Tensor) -> Tensor:
    """`merge` of `forward` when nobody will ask for the scans themselves; torch's allocator keeps their memory.

    Where the GPU has no room for the scans of all planes, those of one half of the planes after the other.
    """
    try:
        return merge(forward(x, gates, ways, norm, scanned), weights)
    except torch.OutOfMemoryError:
        axis, halves = _halves([x, weights, *gates])
        if not halves:
            raise
    # Outside of the handler, whose traceback keeps the scans that were made.
    return torch.cat([forward_merged(x, gates, ways, norm, scanned, weights) for x, weights, *gates in halves], axis)


def backward(tops: Sequence[Tensor], x: Tensor, gates: Sequence[Tensor], hs: Sequence[Tensor], ways: Ways, norm: str,
             scanned: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Of every way, the gradients to x and to the raw gates."""
    gxs, ggs = [torch.empty_like(x) for _ in gates], [torch.empty_like(g) for g in gates]
    images = [[top, x, h] for top, h in zip(tops, hs, strict=True)]
    _scan("BACKWARD", images, gates, gxs, ggs, ways, norm, scanned)
    return gxs, ggs


def adjoint(tops: Sequence[Tensor], gates: Sequence[Tensor], ways: Ways, norm: str, scanned: bool) -> list[Tensor]:
    """Of every way, the transpose applied to its top: the gradient to x, which needs neither x nor h."""
    outs = [torch.empty_like(top) for top in tops]
    _scan("ADJOINT", [[top] for top in tops], gates, outs, None, ways, norm, scanned)
    return outs


def merge(hs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Sum over the four scans of weight times h; weights (B, S, 4, H, W), channel c reads set c // (C / S)."""
    out = torch.empty_like(hs[0])
    _merge("MERGE", hs, weights, None, out, [])
    return out


def split(top: Tensor, hs: Sequence[Tensor], weights: Tensor) -> tuple[list[Tensor], Tensor]:
    """Gradients of `merge` to the four scans and to the weights."""
    tops, gw = [torch.empty_like(h) for h in hs], torch.empty_like(weights)
    _merge("SPLIT", hs, weights, top, gw, tops)
    return tops, gw


def _halves(tensors: Sequence[Tensor]) -> tuple[int, list[list[Tensor]]]:
    """Tensors whose first two axes are pictures and sets of planes, cut into halves; and the axis they are cut along.

    Counts divide one another; a tensor with one set serves both halves. A single plane has no halves.
    """
    axis = 0 if tensors[0].shape[0] > 1 else 1
    count = math.gcd(*(t.shape[axis] for t in tensors if t.shape[axis] > 1))
    bounds = (0, count // 2, count) if count > 1 else ()

    def part(t: Tensor, low: int, high: int) -> Tensor:
        size = t.shape[axis]
        return t if size == 1 else t.narrow(axis, size * low // count, size * (high - low) // count)

    return axis, [[part(t, low, high) for t in tensors] for low, high in zip(bounds, bounds[1:], strict=False)]


def _device(tensor: Tensor) -> Any:
    """What launches kernels where the tensor is."""
    from kernels.cuda_device import device

    return device(tensor.device.index)


def _scan(operation: str, images: Sequence[Sequence[Tensor]], gates: Sequence[Tensor], outs: Sequence[Tensor],
          gates_outs: Sequence[Tensor] | None, ways: Ways, norm: str, scanned: bool) -> None:
    """One launch for every four directions, and one more where gate gradients come in parts."""
    for first in range(0, len(gates), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        some = None if gates_outs is None else gates_outs[part]
        _scan_some(operation, images[part], gates[part], outs[part], some, ways[part], norm, scanned)


def _scan_some(operation: str, images: Sequence[Sequence[Tensor]], gates: Sequence[Tensor], outs: Sequence[Tensor],
               gates_outs: Sequence[Tensor] | None, ways: Ways, norm: str, scanned: bool) -> None:
    x, g = images[0][0], gates[0]
    device, storage = _device(x), STORAGE[x.dtype]
    height, width = x.shape[2:]
    if height * width >= 2**31:
        raise ShapeError(f"the CUDA backend scans planes of fewer than 2^31 pixels, not {height} x {width}")
    units = g.shape[0] * g.shape[1]
    flat = [horizontal for horizontal, _ in ways]
    size = plan.Size(units, x.shape[1] // g.shape[1], height, width, len(ways), any(flat), not all(flat), scanned)
    layout = plan.lay_out(storage, operation, size, device.processors, device.shared_limit)
    state = torch.float64 if storage == "Double" else torch.float32

    call = np.zeros(1, CALL)
    parts: list[Tensor] = []
    for i, (horizontal, reverse) in enumerate(ways):
        way = call["ways"][0, i]
        way["images"][:len(images[i])] = [image.data_ptr() for image in images[i]]
        way["gates"], way["out"] = gates[i].data_ptr(), outs[i].data_ptr()
        way["horizontal"], way["reverse"] = horizontal, reverse
        if gates_outs is not None:
            target = gates_outs[i]
            if layout.chunks > 1:
                target = torch.empty((layout.chunks, *g.shape), dtype=state, device=g.device)
                parts.append(target)
            way["gates_out"] = target.data_ptr()
    # Kept in a variable until the launch is queued: torch hands freed memory to the same stream's later work only.
    kept = torch.empty(layout.state_values, dtype=state, device=x.device)
    values = {"state": kept.data_ptr(), "way_count": len(ways), "units": units, "channels": size.channels,
              "chunks": layout.chunks, "height": height, "width": width, "norm": _NORMS[norm], "scanned": scanned,
              "image_tiled": layout.image_tiled, "gates_tiled": layout.gates_tiled, "tile_bits": layout.tile_bits,
              "item_bytes": layout.item_bytes}
    for name, value in values.items():
        call[name] = value
    variant = layout.variant
    device.launch(variant.name, variant.source, (layout.blocks,), layout.threads, layout.shared_bytes, call)
    if parts and gates_outs is not None:
        _gather(device, storage, parts, gates_outs)


def _gather(device: Any, storage: str, parts: Sequence[Tensor], outs: Sequence[Tensor]) -> None:
    """Sums the chunks' parts of gate gradients."""
    call = np.zeros(1, GATHER)
    call["parts"][0, :len(parts)] = [part.data_ptr() for part in parts]
    call["out"][0, :len(outs)] = [out.data_ptr() for out in outs]
    call["size"], call["chunks"] = outs[0].numel(), parts[0].shape[0]
    blocks = -(-outs[0].numel() // (plan.PIXELS * plan.PIXEL_THREADS))
    _launch_pixels(device, "GATHER", storage, (blocks, len(parts)), call)


def _merge(kind: str, hs: Sequence[Tensor], weights: Tensor, top: Tensor | None, out: Tensor,
           parts: Sequence[Tensor]) -> None:
    area = hs[0].shape[2] * hs[0].shape[3]
    call = np.zeros(1, MERGE)
    call["scans"][0] = [h.data_ptr() for h in hs]
    call["weights"], call["out"], call["area"] = weights.data_ptr(), out.data_ptr(), area
    call["channels"] = hs[0].shape[1] // weights.shape[1]
    if top is not None:
        call["top"], call["parts"][0] = top.data_ptr(), [part.data_ptr() for part in parts]
    blocks = -(-area // (plan.PIXELS * plan.PIXEL_THREADS))
    call["unit_blocks"] = blocks
    grid = (weights.shape[0] * weights.shape[1] * blocks,)
    _launch_pixels(_device(out), kind, STORAGE[out.dtype], grid, call)


def _launch_pixels(device: Any, kind: str, storage: str, grid: tuple[int, ...], call: NDArray[Any]) -> None:
    name = f"{kind.lower()}_{storage.lower()}"
    device.launch(name, plan.pixel_source(kind, storage), grid, plan.PIXEL_THREADS, 0, call)
