"""Three-way linear scans: the contract that every backend keeps.

One direction carries each line of an image into the next:

    h_t[i] = (1 - p1 - p2 - p3) x_t[i] + p1 h_{t-1}[i-1] + p2 h_{t-1}[i] + p3 h_{t-1}[i+1],    h_0 = x_0

with propagation weights p that belong to the destination pixel (Liu et al., NeurIPS 2017). Raw gates go in; the
normalisation is part of the operator: "max1" divides by max(1, sum |g|), "sum" by sum |g|, "none" takes gates as they
are. A gate that points outside the image counts in the normaliser but is zero in the scan and in 1 - sum p, so
constants pass through whatever the gates.

Layouts. x is (B, C, H, W). Gates are (B, G, 3, H, W) with G dividing C: G = C gives each channel its own gates, G = 1
shares one set, in between channel c reads group c // (C / G). Gate order is i-1, i, i+1 along the line. With
layout="scanned" the gates of a horizontal direction are (B, G, 3, W, H) instead, the order in which the scan reads
them: on a CPU up to twice as fast, so networks that know emit them so. Tensors that are not contiguous are copied
once; no other copies are made.

Storage is float32, float64, float16 or bfloat16, the same for all tensors of a call; 16-bit types are computed in
float32, and what the scan carries from line to line is never rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
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
# Direction -> (horizontal, reverse), as backends take it.
_WAYS = {"left_to_right": (True, False), "right_to_left": (True, True),
         "top_to_bottom": (False, False), "bottom_to_top": (False, True)}
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def line_scan(x: Tensor, gates: Tensor, direction: Direction, *, norm: Norm = "max1", layout: Layout = "image",
              backend: str | None = None) -> Tensor:
    """Scans x (B, C, H, W) in one direction; returns h of the same shape, differentiable in x and gates.

    Raises ShapeError when shapes, dtypes or devices do not fit, BackendError when a backend named cannot run.
    """
    _check(x, gates, direction, norm, layout)
    chosen = registry.pick(x.device.type, backend)
    result: Tensor = _Scans.apply(x, chosen, (_WAYS[direction],), norm, layout == "scanned", gates)[0]
    return result


def line_scan_adjoint(u: Tensor, gates: Tensor, direction: Direction, *, norm: Norm = "max1",
                      layout: Layout = "image", backend: str | None = None) -> Tensor:
    """The exact transpose of `line_scan` for these gates: <line_scan(x), u> = <x, line_scan_adjoint(u)>.

    Shapes and errors as `line_scan`; differentiable in u and gates.
    """
    _check(u, gates, direction, norm, layout)
    chosen = registry.pick(u.device.type, backend)
    result: Tensor = _Adjoint.apply(u, gates, chosen, _WAYS[direction], norm, layout == "scanned")
    return result


def scan4(x: Tensor, gates: Sequence[Tensor], *, merge: Merge = "max", weights: Tensor | None = None,
          norm: Norm = "max1", layout: Layout = "image", backend: str | None = None) -> Tensor:
    """Scans x (B, C, H, W) in the four `DIRECTIONS`, side by side, with their four gate tensors and merges.

    merge "max" (as published; the gradient goes to the first direction that holds the maximum) and "sum" give
    (B, C, H, W), "stack" gives (B, 4, C, H, W). With `weights` (B, S, 4, H, W), S dividing C, "sum" multiplies each
    direction by its weight; channel c reads set c // (C / S). Differentiable in x, gates and weights. Errors as
    `line_scan`.
    """
    _check_four(x, gates, norm, layout)
    if merge not in ("max", "sum", "stack"):
        raise ShapeError(f"merge must be max, sum or stack, not {merge!r}")
    if weights is not None:
        _check_weights(x, weights, merge)
    chosen = registry.pick(x.device.type, backend)
    ways = tuple(_WAYS[d] for d in DIRECTIONS)
    result: Tensor
    if weights is not None and not (torch.is_grad_enabled() and any(t.requires_grad for t in (x, weights, *gates))):
        lines = tuple(g.contiguous() for g in gates)
        result = chosen.forward_merged(x.contiguous(), lines, ways, norm, layout == "scanned", weights.contiguous())
        return result
    scans = _Scans.apply(x, chosen, ways, norm, layout == "scanned", *gates)
    if merge == "stack":
        return torch.stack(scans, 1)
    if merge == "max":
        result = _Max.apply(*scans)
    elif weights is None:
        result = scans[0] + scans[1] + scans[2] + scans[3]
    else:
        result = _Weighted.apply(weights, chosen, *scans)
    return result


def scan4_adjoint(u: Tensor, gates: Sequence[Tensor], *, merge: Literal["sum", "stack"] = "sum",
                  norm: Norm = "max1", layout: Layout = "image", backend: str | None = None) -> Tensor:
    """The exact transpose of `scan4` for merge "sum" (u: (B, C, H, W)) or "stack" (u: (B, 4, C, H, W)).

    The result is (B, C, H, W). The maximum is not linear and has no transpose.
    """
    if merge not in ("sum", "stack"):
        raise ShapeError(f"only sum and stack have a transpose, not {merge!r}")
    if len(gates) != len(DIRECTIONS) or (merge == "stack" and (u.ndim != 5 or u.shape[1] != len(DIRECTIONS))):
        raise ShapeError(f"the transpose takes four gate tensors and for stack u (B, 4, C, H, W), not {tuple(u.shape)}")
    parts = [u[:, i] if merge == "stack" else u for i in range(len(DIRECTIONS))]
    scans = [line_scan_adjoint(p, g, d, norm=norm, layout=layout, backend=backend)
             for p, g, d in zip(parts, gates, DIRECTIONS, strict=True)]
    return scans[0] + scans[1] + scans[2] + scans[3]


def _check(x: Tensor, gates: Tensor, direction: str, norm: str, layout: str) -> None:
    """Raises ShapeError when a call does not fit."""
    if direction not in DIRECTIONS:
        raise ShapeError(f"direction must be one of {', '.join(DIRECTIONS)}, not {direction!r}")
    if norm not in ("max1", "sum", "none") or layout not in ("image", "scanned"):
        raise ShapeError(f"unknown norm {norm!r} or layout {layout!r}")
    if x.ndim != 4 or gates.ndim != 5 or gates.shape[2] != 3 or 0 in x.shape or 0 in gates.shape:
        shapes = f"{tuple(x.shape)} and {tuple(gates.shape)}"
        raise ShapeError(f"x must be (B, C, H, W) and gates (B, G, 3, H, W), not {shapes}")
    height, width = x.shape[2:]
    lines = (width, height) if _WAYS[direction][0] and layout == "scanned" else (height, width)
    if gates.shape[0] != x.shape[0] or tuple(gates.shape[3:]) != lines or x.shape[1] % gates.shape[1]:
        shapes = f"gates {tuple(gates.shape)} do not fit x {tuple(x.shape)}"
        raise ShapeError(f"{shapes} scanned {direction} in layout {layout}")
    if x.dtype != gates.dtype or x.device != gates.device:
        raise ShapeError(f"x is {x.dtype} on {x.device}, gates are {gates.dtype} on {gates.device}")
    if x.dtype not in DTYPES:
        raise ShapeError(f"scans take {', '.join(map(str, DTYPES))}, not {x.dtype}")


def _check_four(x: Tensor, gates: Sequence[Tensor], norm: str, layout: str) -> None:
    if len(gates) != len(DIRECTIONS):
        raise ShapeError(f"scan4 needs four gate tensors in the order {', '.join(DIRECTIONS)}, not {len(gates)}")
    for g, direction in zip(gates, DIRECTIONS, strict=True):
        _check(x, g, direction, norm, layout)


def _check_weights(x: Tensor, weights: Tensor, merge: str) -> None:
    b, c, height, width = x.shape
    fits = weights.ndim == 5 and weights.shape[0] == b and tuple(weights.shape[2:]) == (4, height, width)
    if merge != "sum" or not fits or 0 in weights.shape or c % weights.shape[1]:
        raise ShapeError(f"weights {tuple(weights.shape)} do not fit the {merge} of x {tuple(x.shape)}")
    if weights.dtype != x.dtype or weights.device != x.device:
        raise ShapeError(f"x is {x.dtype} on {x.device}, weights are {weights.dtype} on {weights.device}")


class _Scans(torch.autograd.Function):
    """Scans of one x in several ways, each with its gates."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, chosen: ModuleType, ways: tuple[tuple[bool, bool], ...], norm: str, scanned: bool,
                *gates: Tensor) -> tuple[Tensor, ...]:
        x, gates = x.contiguous(), tuple(g.contiguous() for g in gates)
        hs: tuple[Tensor, ...] = tuple(chosen.forward(x, gates, ways, norm, scanned))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(x, *gates, *hs)
            ctx.call = (chosen, ways, norm, scanned)
        return hs

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *tops: Tensor) -> tuple[Tensor | None, ...]:
        chosen, ways, norm, scanned = ctx.call
        count = len(ways)
        x, saved = ctx.saved_tensors[0], ctx.saved_tensors[1:]
        gates, hs = saved[:count], saved[count:]
        tops = tuple(t.contiguous() for t in tops)
        ggs: Sequence[Tensor | None] = [None] * count
        if any(ctx.needs_input_grad[5:]):
            gxs, ggs = chosen.backward(tops, x, gates, hs, ways, norm, scanned)
        else:
            gxs = chosen.adjoint(tops, gates, ways, norm, scanned)
        return _total(gxs), None, None, None, None, *ggs


class _Adjoint(torch.autograd.Function):
    """The transpose of one scan. <G'u, v> = <u, Gv>: its gradients are a scan of v and that scan's gate gradient."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, gates: Tensor, chosen: ModuleType, way: tuple[bool, bool], norm: str,
                scanned: bool) -> Tensor:
        u, gates = u.contiguous(), gates.contiguous()
        out: Tensor = chosen.adjoint([u], [gates], [way], norm, scanned)[0]
        ctx.save_for_backward(u, gates)
        ctx.call = (chosen, way, norm, scanned)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, top: Tensor) -> tuple[Tensor | None, ...]:
        u, gates = ctx.saved_tensors
        chosen, way, norm, scanned = ctx.call
        top = top.contiguous()
        gu = chosen.forward(top, [gates], [way], norm, scanned)[0]
        gg = None
        if ctx.needs_input_grad[1]:
            gg = chosen.backward([u], top, [gates], [gu], [way], norm, scanned)[1][0]
        return gu, gg, None, None, None, None


class _Max(torch.autograd.Function):
    """Largest of the four scans; the gradient goes to the first that holds it."""

    @staticmethod
    def forward(ctx: Any, *scans: Tensor) -> Tensor:
        out = torch.maximum(torch.maximum(scans[0], scans[1]), torch.maximum(scans[2], scans[3]))
        ctx.save_for_backward(out, *scans)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, top: Tensor) -> tuple[Tensor, ...]:
        out, *scans = ctx.saved_tensors
        parts = []
        for scan in scans:
            parts.append(torch.where(scan == out, top, 0))
            top = torch.where(scan == out, 0, top)
        return tuple(parts)


class _Weighted(torch.autograd.Function):
    """Weighted sum of the four scans."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, chosen: ModuleType, *scans: Tensor) -> Tensor:
        weights = weights.contiguous()
        ctx.save_for_backward(weights, *scans)
        ctx.chosen = chosen
        out: Tensor = chosen.merge(scans, weights)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, top: Tensor) -> tuple[Tensor | None, ...]:
        weights, *scans = ctx.saved_tensors
        tops, gw = ctx.chosen.split(top.contiguous(), scans, weights)
        return gw, None, *tops


def _total(parts: Sequence[Tensor]) -> Tensor:
    """Their sum, 16-bit types summed in float32."""
    if len(parts) == 1:
        return parts[0]
    if parts[0].element_size() == 2:
        return torch.stack(list(parts)).sum(0)
    total = parts[0]
    for part in parts[1:]:
        total.add_(part)
    return total
