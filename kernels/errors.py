"""Typed errors of the kernels floor, and where it says what is no error."""

# The logger that tells, in words for a person, when a GPU is given up and the CPU goes on.
DEVICE_LOG = "huecast.device"


class KernelError(Exception):
    """Base of everything this floor raises on purpose."""


class ShapeError(KernelError, ValueError):
    """Tensors whose shapes, dtypes or devices do not fit each other; the message names them."""


class BackendError(KernelError, RuntimeError):
    """A backend that was asked for by name cannot run here; the message says why."""
