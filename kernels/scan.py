"""Three-way linear scans: the contract that every backend keeps.

One direction carries each line of an image into the next:

    h_t[i] = (1 - p1 - p2 - p3) x_t[i] + p1 h_{t-1}[i-1] + p2 h_{t-1}[i] + p3 h_{t-1}[i+1],    h_0 = x_0

with propagation weights p that belong to the destination pixel (Liu et al., NeurIPS 2017). Raw gates go in; the
normalisation is part of the operator. A gate that points outside the image counts in the normaliser but is zero in the
scan and in 1 - sum p, so constants pass through exactly whatever the gates.

Layouts. x is (B, C, H, W). Gates are (B, G, 3, H, W) with G dividing C: G = C gives each channel its own gates, G = 1
shares one set, in between channel c reads group c // (C / G). Gate order is i-1, i, i+1 along the line. With
layout="scanned" the gates of a horizontal direction are (B, G, 3, W, H) instead, the order in which the scan reads
them: on a CPU twice as fast, so networks that know emit them so. Tensors that are not contiguous are copied once; no
other copies are made. float32 and float64 everywhere.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from kernels import registry
from kernels.errors import ShapeError

Direction = Literal["left_to_right", "right_to_left", "top_to_bottom", "bottom_to_top"]
Norm = Literal["max1", "sum", "none"]
Layout = Literal["image", "scanned"]
Merge = Literal["max", "sum", "stack"]

DIRECTIONS: tuple[Direction, ...] = ("left_to_right", "right_to_left", "top_to_bottom", "bottom_to_top")


def line_scan(x: Tensor, gates: Tensor, direction: Direction, *, norm: Norm = "max1", layout: Layout = "image",
              backend: str | None = None) -> Tensor:
    """Scans x (B, C, H, W) in one direction; returns h of the same shape, differentiable in x and gates.

    Raises ShapeError when shapes, dtypes or devices do not fit, BackendError when a backend named cannot run.
    """
    horizontal, reverse = _check(x, gates, direction, norm, layout)
    result: Tensor = _LineScan.apply(x, gates, horizontal, reverse, norm, layout == "scanned", backend)
    return result


def line_scan_adjoint(u: Tensor, gates: Tensor, direction: Direction, *, norm: Norm = "max1",
                      layout: Layout = "image", backend: str | None = None) -> Tensor:
    """The exact transpose of `line_scan` for these gates: <line_scan(x), u> = <x, line_scan_adjoint(u)>.

    Shapes as `line_scan`. Not differentiable in the gates.
    """
    horizontal, reverse = _check(u, gates, direction, norm, layout)
    chosen = registry.pick(u.device.type, backend)
    with torch.no_grad():
        out: Tensor = chosen.adjoint(u.contiguous(), gates.contiguous(), horizontal, reverse, norm, layout == "scanned")
    return out


def scan4(x: Tensor, gates: tuple[Tensor, Tensor, Tensor, Tensor], *, merge: Merge = "max", norm: Norm = "max1",
          layout: Layout = "image", backend: str | None = None) -> Tensor:
    """Scans x (B, C, H, W) in the four `DIRECTIONS` with their four gate tensors and merges.

    merge "max" (as published; the gradient goes to the arg-max) and "sum" give (B, C, H, W), "stack" gives
    (B, 4, C, H, W). Errors as `line_scan`.
    """
    if len(gates) != len(DIRECTIONS):
        raise ShapeError(f"scan4 needs {len(DIRECTIONS)} gate tensors in the order {', '.join(DIRECTIONS)}, not {len(gates)}")
    if merge not in ("max", "sum", "stack"):
        raise ShapeError(f"merge must be max, sum or stack, not {merge!r}")
    scans = [line_scan(x, g, d, norm=norm, layout=layout, backend=backend) for g, d in zip(gates, DIRECTIONS, strict=True)]
    stacked = torch.stack(scans, 1)
    if merge == "stack":
        return stacked
    return stacked.amax(1) if merge == "max" else stacked.sum(1)


def scan4_adjoint(u: Tensor, gates: tuple[Tensor, Tensor, Tensor, Tensor], *, merge: Literal["sum", "stack"] = "sum",
                  norm: Norm = "max1", layout: Layout = "image", backend: str | None = None) -> Tensor:
    """The exact transpose of `scan4` for merge "sum" (u: (B, C, H, W)) or "stack" (u: (B, 4, C, H, W)).

    The result is (B, C, H, W). The maximum is not linear and has no transpose.
    """
    if merge not in ("sum", "stack"):
        raise ShapeError(f"only sum and stack have a transpose, not {merge!r}")
    parts = [u[:, i] if merge == "stack" else u for i in range(len(DIRECTIONS))]
    scans = [line_scan_adjoint(p, g, d, norm=norm, layout=layout, backend=backend)
             for p, g, d in zip(parts, gates, DIRECTIONS, strict=True)]
    return torch.stack(scans).sum(0)


def _check(x: Tensor, gates: Tensor, direction: str, norm: str, layout: str) -> tuple[bool, bool]:
    """Validates a call; returns (horizontal, reverse)."""
    if direction not in DIRECTIONS:
        raise ShapeError(f"direction must be one of {', '.join(DIRECTIONS)}, not {direction!r}")
    if norm not in ("max1", "sum", "none") or layout not in ("image", "scanned"):
        raise ShapeError(f"unknown norm {norm!r} or layout {layout!r}")
    if x.ndim != 4 or gates.ndim != 5 or gates.shape[2] != 3 or 0 in x.shape:
        raise ShapeError(f"x must be (B, C, H, W) and gates (B, G, 3, H, W), not {tuple(x.shape)} and {tuple(gates.shape)}")
    horizontal = direction in ("left_to_right", "right_to_left")
    height, width = x.shape[2:]
    lines = (width, height) if horizontal and layout == "scanned" else (height, width)
    if gates.shape[0] != x.shape[0] or tuple(gates.shape[3:]) != lines or x.shape[1] % gates.shape[1]:
        raise ShapeError(f"gates {tuple(gates.shape)} do not fit x {tuple(x.shape)} scanned {direction} in layout {layout}")
    if x.dtype != gates.dtype or x.device != gates.device:
        raise ShapeError(f"x is {x.dtype} on {x.device}, gates are {gates.dtype} on {gates.device}")
    if x.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"scans take float32 or float64, not {x.dtype}")
    return horizontal, direction in ("right_to_left", "bottom_to_top")


class _LineScan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gates: Tensor, horizontal: bool, reverse: bool, norm: str, scanned: bool,
                backend: str | None) -> Tensor:
        chosen = registry.pick(x.device.type, backend)
        x, gates = x.contiguous(), gates.contiguous()
        h: Tensor = chosen.forward(x, gates, horizontal, reverse, norm, scanned)
        ctx.save_for_backward(x, gates, h)
        ctx.call = (chosen, horizontal, reverse, norm, scanned)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, top: Tensor) -> tuple[Tensor | None, ...]:
        x, gates, h = ctx.saved_tensors
        chosen, *arguments = ctx.call
        if not ctx.needs_input_grad[1]:
            return chosen.adjoint(top.contiguous(), gates, *arguments), None, None, None, None, None, None
        gx, gg = chosen.backward(top.contiguous(), x, gates, h, *arguments)
        return gx, gg, None, None, None, None, None
