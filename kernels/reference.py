"""The literal loop: the definition of correct for every other backend, in any floating dtype, on any torch device.

Nothing here is fast on purpose. Shapes, gate order and normalisation are those of `kernels.scan`; gradients are what
torch's autograd makes of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def normalise(gates: Tensor, norm: str) -> Tensor:
    """Raw gates (B, G, 3, T, L) to propagation weights of the same shape.

    `max1` divides by max(1, sum |g|) (pytorch_spn), `sum` by max(1e-6, sum |g|) (Caffe release), `none` not at all.
    """
    if norm == "none":
        return gates
    total = gates.abs().sum(2, keepdim=True)
    return gates / total.clamp(min=1.0 if norm == "max1" else 1e-6)


def scan_lines(x: Tensor, gates: Tensor, reverse: bool, norm: str) -> Tensor:
    """h_t = (1 - p1 - p2 - p3) x_t + p1 h_{t-1}[i-1] + p2 h_{t-1}[i] + p3 h_{t-1}[i+1] along axis T.

    x: (B, C, T, L); gates: (B, G, 3, T, L), G divides C, channel c reads gate group c // (C / G). A gate that points
    outside the image counts in the normaliser and is zero everywhere else, so the first line passes unchanged.
    """
    weights = normalise(gates, norm).repeat_interleave(x.shape[1] // gates.shape[1], dim=1)
    order = range(x.shape[2] - 1, -1, -1) if reverse else range(x.shape[2])
    lines: dict[int, Tensor] = {}
    previous: Tensor | None = None
    for t in order:
        line = x[:, :, t]
        if previous is not None:
            before, middle, after = weights[:, :, 0, t], weights[:, :, 1, t], weights[:, :, 2, t]
            edge = torch.zeros_like(line[..., :1])
            before = torch.cat([edge, before[..., 1:]], -1)
            after = torch.cat([after[..., :-1], edge], -1)
            line = (
                (1 - before - middle - after) * line
                + before * torch.cat([edge, previous[..., :-1]], -1)
                + middle * previous
                + after * torch.cat([previous[..., 1:], edge], -1)
            )
        lines[t] = previous = line
    return torch.stack([lines[t] for t in range(x.shape[2])], 2)


def unavailable() -> str | None:
    """The loop runs everywhere."""
    return None


def _one(x: Tensor, gates: Tensor, way: tuple[bool, bool], norm: str, scanned: bool) -> Tensor:
    """h of one way (horizontal, reverse). 16-bit storage is computed in float32 and rounded at the end."""
    horizontal, reverse = way
    state = torch.promote_types(x.dtype, torch.float32)
    x, gates, storage = x.to(state), gates.to(state), x.dtype
    if not horizontal:
        return scan_lines(x, gates, reverse, norm).to(storage)
    lines = gates if scanned else gates.transpose(-1, -2)
    return scan_lines(x.transpose(-1, -2), lines, reverse, norm).transpose(-1, -2).to(storage)


def forward(x: Tensor, gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str,
            scanned: bool) -> list[Tensor]:
    """h (B, C, H, W) of every way with its gates."""
    return [_one(x, g, way, norm, scanned) for g, way in zip(gates, ways, strict=True)]


def forward_merged(x: Tensor, gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str, scanned: bool,
                   weights: Tensor) -> Tensor:
    """`merge` of `forward` when nobody will ask for the scans themselves."""
    return merge(forward(x, gates, ways, norm, scanned), weights)


def backward(tops: Sequence[Tensor], x: Tensor, gates: Sequence[Tensor], hs: Sequence[Tensor],
             ways: Sequence[tuple[bool, bool]], norm: str, scanned: bool) -> tuple[list[Tensor], list[Tensor]]:
    """Of every way, the gradients to x and to the raw gates, by autograd through the loop."""
    gxs, ggs = [], []
    for top, g, way in zip(tops, gates, ways, strict=True):
        with torch.enable_grad():
            leaves = x.detach().requires_grad_(), g.detach().requires_grad_()
            gx, gg = torch.autograd.grad(_one(*leaves, way, norm, scanned), leaves, top, allow_unused=True)
        gxs.append(gx)
        ggs.append(torch.zeros_like(g) if gg is None else gg)  # a scan of one line reads no gate
    return gxs, ggs


def adjoint(tops: Sequence[Tensor], gates: Sequence[Tensor], ways: Sequence[tuple[bool, bool]], norm: str,
            scanned: bool) -> list[Tensor]:
    """Of every way, the transpose of the scan applied to its top."""
    return [backward([top], torch.zeros_like(top), [g], [top], [way], norm, scanned)[0][0]
            for top, g, way in zip(tops, gates, ways, strict=True)]


def merge(hs: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Sum over the four scans of weight times h; weights (B, S, 4, H, W), channel c reads set c // (C / S)."""
    spread = weights.repeat_interleave(hs[0].shape[1] // weights.shape[1], 1)  # B, C, 4, H, W
    return torch.stack([h * spread[:, :, i] for i, h in enumerate(hs)]).sum(0)


def split(top: Tensor, hs: Sequence[Tensor], weights: Tensor) -> tuple[list[Tensor], Tensor]:
    """Gradients of `merge` to the four scans and to the weights."""
    with torch.enable_grad():
        leaves = [h.detach().requires_grad_() for h in hs]
        w = weights.detach().requires_grad_()
        *tops, gw = torch.autograd.grad(merge(leaves, w), [*leaves, w], top)
    return tops, gw
