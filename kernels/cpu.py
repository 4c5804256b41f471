"""The CPU backend: numba kernels spread over a small thread pool of our own.

Threads, not numba's `parallel`: units are independent, the kernels release the GIL, results do not depend on the thread
count, concurrent calls from several Python threads are safe under every numba threading layer, and torch's own pool is
left alone. The pool never holds more threads than `set_threads` allows (default: torch's thread count).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Below this many elements a second thread costs more than it brings (one hand-over is about 50 us).
_SMALL = 20_000

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_threads = 0


def set_threads(count: int) -> None:
    """Number of threads a scan may use (>= 1); takes effect at the next call, running scans finish undisturbed."""
    global _threads, _pool
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    with _lock:
        if _pool is not None and count != _threads:
            _pool.shutdown(wait=False)
            _pool = None
        _threads = count


def get_threads() -> int:
    """Number of threads in use: what was set, else torch's."""
    return _threads or torch.get_num_threads()


def _run(kernel: Callable[..., None], units: int, elements: int, arguments: tuple[Any, ...]) -> None:
    """Calls kernel(*arguments, first, last) over 0..units, split over the threads."""
    parts = min(get_threads(), units) if elements >= _SMALL else 1
    if parts <= 1:
        kernel(*arguments, 0, units)
        return
    bounds = [units * i // parts for i in range(parts + 1)]
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, get_threads() - 1), thread_name_prefix="scan")
        jobs = [_pool.submit(kernel, *arguments, bounds[i], bounds[i + 1]) for i in range(1, parts)]
    kernel(*arguments, bounds[0], bounds[1])
    for job in jobs:
        job.result()


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
        _run(cpu_lines.forward_horizontal, units, x.numel(), (*arguments, scanned))
    else:
        _run(cpu_lines.forward_vertical, units, x.numel(), arguments)
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
        _run(cpu_lines.backward_horizontal, units, x.numel(), (*arguments, scanned))
    else:
        _run(cpu_lines.backward_vertical, units, x.numel(), arguments)
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
        _run(cpu_lines.backward_horizontal, units, u.numel(), (*arguments, scanned))
    else:
        _run(cpu_lines.backward_vertical, units, u.numel(), arguments)
    return out
