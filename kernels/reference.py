"""The literal loop: the definition of correct for every other backend, in any floating dtype, on any torch device.

Nothing here is fast on purpose. Shapes, gate order and normalisation are those of `kernels.scan`; gradients are what
torch's autograd makes of the loop.
"""

from __future__ import annotations

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


def forward(x: Tensor, gates: Tensor, horizontal: bool, reverse: bool, norm: str, scanned: bool) -> Tensor:
    """The backend contract's forward: h (B, C, H, W)."""
    if not horizontal:
        return scan_lines(x, gates, reverse, norm)
    lines = gates if scanned else gates.transpose(-1, -2)
    return scan_lines(x.transpose(-1, -2), lines, reverse, norm).transpose(-1, -2)


def backward(top: Tensor, x: Tensor, gates: Tensor, h: Tensor, horizontal: bool, reverse: bool, norm: str,
             scanned: bool) -> tuple[Tensor, Tensor]:
    """Gradients to x and to the raw gates, by autograd through the loop."""
    with torch.enable_grad():
        x, gates = x.detach().requires_grad_(), gates.detach().requires_grad_()
        out = forward(x, gates, horizontal, reverse, norm, scanned)
        gx, gg = torch.autograd.grad(out, (x, gates), top, allow_unused=True)
    return gx, torch.zeros_like(gates) if gg is None else gg


def adjoint(u: Tensor, gates: Tensor, horizontal: bool, reverse: bool, norm: str, scanned: bool) -> Tensor:
    """The transpose of the scan applied to u."""
    with torch.no_grad():
        zero = torch.zeros_like(u)
    return backward(u, zero, gates, zero, horizontal, reverse, norm, scanned)[0]
