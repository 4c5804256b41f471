"""The CPU backend: numba kernels spread over the threads of `kernels.threads`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from kernels.threads import run_parts


def unavailable() -> str | None:
    """Why this backend cannot run here, or None."""
    try:
        import kernels.cpu_lines  # noqa: F401
    except ImportError as error:
        return f"numba is not installed ({error})"
    return None


def _units(tensor: Tensor, gates: Tensor) -> Any:
    """(B, C, H, W) as numpy (B G, C / G, H, W), sharing memory."""
    b, c, height, width = tensor.shape
    g = gates.shape[1]
    return tensor.detach().numpy().reshape(b * g, c // g, height, width)


def _gate_units(gates: Tensor) -> Any:
    return gates.detach().numpy().reshape(-1, *gates.shape[2:])


def forward(x: Tensor, gates: Tensor, horizontal: bool, reverse: bool, norm: str, scanned: bool) -> Tensor:
    """h for contiguous x (B, C, H, W) and contiguous gates (B, G, 3, H, W) or, horizontal and scanned, (B, G, 3, W, H)."""
    from kernels import cpu_lines

    h = torch.empty_like(x)
    units = gates.shape[0] * gates.shape[1]
    arguments: tuple[Any, ...] = (_units(x, gates), _gate_units(gates), _units(h, gates), reverse, cpu_lines.NORM_CODES[norm])
    if horizontal:
        run_parts(cpu_lines.forward_horizontal, (*arguments, scanned), units, x.numel())
    else:
        run_parts(cpu_lines.forward_vertical, arguments, units, x.numel())
    return h


def backward(top: Tensor, x: Tensor, gates: Tensor, h: Tensor, horizontal: bool, reverse: bool, norm: str,
             scanned: bool) -> tuple[Tensor, Tensor]:
    """Gradients to x and to the raw gates."""
    from kernels import cpu_lines

    gx, gg = torch.empty_like(x), torch.empty_like(gates)
    units = gates.shape[0] * gates.shape[1]
    arguments: tuple[Any, ...] = (_units(top, gates), _units(x, gates), _gate_units(gates), _units(h, gates),
                                  _units(gx, gates), _gate_units(gg), reverse, cpu_lines.NORM_CODES[norm])
    if horizontal:
        run_parts(cpu_lines.backward_horizontal, (*arguments, scanned), units, x.numel())
    else:
        run_parts(cpu_lines.backward_vertical, arguments, units, x.numel())
    return gx, gg


def adjoint(u: Tensor, gates: Tensor, horizontal: bool, reverse: bool, norm: str, scanned: bool) -> Tensor:
    """The exact transpose of the scan applied to u: the gradient to x, which needs neither x nor h."""
    from kernels import cpu_lines

    out = torch.empty_like(u)
    units = gates.shape[0] * gates.shape[1]
    nothing = np.empty((0,) * 4, out.numpy().dtype)
    arguments: tuple[Any, ...] = (_units(u, gates), nothing, _gate_units(gates), nothing, _units(out, gates), nothing,
                                  reverse, cpu_lines.NORM_CODES[norm])
    if horizontal:
        run_parts(cpu_lines.backward_horizontal, (*arguments, scanned), units, u.numel())
    else:
        run_parts(cpu_lines.backward_vertical, arguments, units, u.numel())
    return out
