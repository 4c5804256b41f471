"""Typed errors of the kernels floor."""


class KernelError(Exception):
    """Base of everything this floor raises on purpose."""


class ShapeError(KernelError, ValueError):
    """Tensors whose shapes, dtypes or devices do not fit each other; the message names them."""


class BackendError(KernelError, RuntimeError):
    """A backend that was asked for by name cannot run here; the message says why."""
