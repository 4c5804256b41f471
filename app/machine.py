"""What this machine offers and how much of it a run takes: one place for threads and the device."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.errors import DeviceError
from kernels.errors import DEVICE_LOG

DEVICES = ("auto", "cpu", "cuda")

# Read once by OpenMP and numba when they are first imported, so they are set before anything heavy is.
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def core_count() -> int:
    """Cores this process may use; fewer than the machine's in a container or under taskset."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(asked: int | None = None) -> int:
    """Threads a run takes: what was asked for, else OMP_NUM_THREADS, else every core this process may use."""
    if asked is not None:
        return max(1, asked)
    inherited = os.environ.get("OMP_NUM_THREADS", "")
    return int(inherited) if inherited.isdigit() and int(inherited) > 0 else core_count()


def set_threads(asked: int | None = None) -> int:
    """Gives torch, numba and OpenCV one budget and returns it.

    What is not imported yet reads the budget from the environment when it is, so this imports nothing heavy.
    """
    import cv2

    from kernels import threads

    count = thread_count(asked)
    threads.set_threads(count)
    for variable in _THREAD_VARIABLES:
        os.environ[variable] = str(count)
    cv2.setNumThreads(count)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(count)
    if "numba" in sys.modules:
        numba = sys.modules["numba"]
        # numba starts its pool once; it can be asked for fewer threads later, never for more.
        numba.set_num_threads(min(count, numba.config.NUMBA_NUM_THREADS))
    return count


class _SideBySide:
    """How many jobs are inside of `side_by_side`, and the threads of scans, OpenCV and torch before the first came."""

    lock = threading.Lock()
    inside = 0
    before = (1, 1, 1)


@contextmanager
def side_by_side() -> Iterator[None]:
    """While a job is in here, what starts to compute has half of the threads: for two heavy stages that run at once.

    Two stages that both split each of their small steps over all cores wait for one another at every step's end. Jobs
    may overlap; torch's threads that have computed before keep their number.
    """
    import cv2
    import torch

    from kernels import threads

    state = _SideBySide
    with state.lock:
        if not state.inside:
            state.before = (threads.get_threads(), cv2.getNumThreads(), torch.get_num_threads())
            _share(*(max(1, count // 2) for count in state.before))
        state.inside += 1
    try:
        yield
    finally:
        with state.lock:
            state.inside -= 1
            if not state.inside:
                _share(*state.before)


def _share(scans: int, pictures: int, networks: int) -> None:
    import cv2
    import torch

    from kernels import threads

    threads.set_threads(scans)
    cv2.setNumThreads(pictures)
    torch.set_num_threads(networks)


def choose_device(asked: str = "auto") -> str:
    """Resolves `auto`, `cpu` or `cuda` to a torch device name.

    Raises DeviceError where CUDA was asked for by name and this machine has none that torch can use.
    """
    if asked == "cpu":
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if asked == "auto":
        return "cpu"
    why = "this torch was built without CUDA" if torch.version.cuda is None else "torch finds no usable NVIDIA driver"
    raise DeviceError(f"there is no CUDA device: {why}", advice="Use --device cpu, or auto to take what is there")


class DeviceListener(logging.Handler):
    """Calls back, on whichever thread, when a device was given up, with a sentence for the user; until it is closed."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell
        logging.getLogger(DEVICE_LOG).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hands on what was said."""
        self._tell(record.getMessage())

    def close(self) -> None:
        """Stops listening."""
        logging.getLogger(DEVICE_LOG).removeHandler(self)
        super().close()


def scans() -> str:
    """What runs the scans on device `auto`: the backend, the device, and why it is no better one where it is not."""
    from kernels import registry

    device = choose_device("auto")
    name = registry.default(device)
    if device == "cuda":
        missing = "" if name == "cuda" else f": {registry.why_not('cuda')}"
        return f"{name} on the GPU{missing}"
    return f"{name} on the CPU: {registry.why_not('cuda')}"


@dataclass(frozen=True)
class Backend:
    """One way to run the scans: its name, and why it cannot run here (empty where it can)."""

    name: str
    why_not: str


def backends() -> list[Backend]:
    """Every backend of the scans, those that run here and those that do not."""
    from kernels import registry

    return [Backend(name, registry.why_not(name) or "") for name in registry.names()]
