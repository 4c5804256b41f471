"""Which scan backends exist on this machine, and why the others do not.

A backend is a module with `unavailable() -> str | None`, `forward`, `forward_merged`, `backward`, `adjoint`, `merge`
and `split` over contiguous tensors (see `kernels.reference`, which is the shortest). Scans come as lists, because a
machine can run the directions side by side. New backends join by one line in `_BACKENDS`; tests are parametrised over
`names()`.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from kernels.errors import BackendError

# Name -> module and the torch device type it serves; the first available one for a device is the default.
_BACKENDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "cpu": ("kernels.cpu", ("cpu",)),
    "cuda": ("kernels.cuda", ("cuda",)),
    "reference": ("kernels.reference", ("cpu", "cuda", "mps")),
}


def names() -> tuple[str, ...]:
    """Every backend this version knows, available here or not."""
    return tuple(_BACKENDS)


def why_not(name: str) -> str | None:
    """The reason why backend `name` cannot run here, or None if it can."""
    if name not in _BACKENDS:
        return f"no such backend; there are {', '.join(_BACKENDS)}"
    reason: str | None = importlib.import_module(_BACKENDS[name][0]).unavailable()
    return reason


def default(device_type: str) -> str:
    """The name of the backend that `pick` takes for tensors on `device_type`; raises BackendError without any."""
    for candidate, (_, devices) in _BACKENDS.items():
        if device_type in devices and why_not(candidate) is None:
            return candidate
    raise BackendError(f"no scan backend serves tensors on {device_type}")


def serves(name: str, device_type: str) -> bool:
    """Whether backend `name` is for tensors on `device_type`, available here or not."""
    return device_type in _BACKENDS[name][1]


def pick(device_type: str, name: str | None = None) -> ModuleType:
    """The backend for tensors on `device_type`, or the one asked for by name.

    Raises BackendError with the reason when that one cannot run.
    """
    if name is not None:
        reason = why_not(name)
        if reason is None and not serves(name, device_type):
            reason = f"it does not serve tensors on {device_type}"
        if reason is not None:
            raise BackendError(f"scan backend '{name}' cannot be used: {reason}")
        return importlib.import_module(_BACKENDS[name][0])
    return importlib.import_module(_BACKENDS[default(device_type)][0])
