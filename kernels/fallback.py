"""From a GPU that fails to the CPU: what counts as its failure, and the one place that goes on without it."""

from __future__ import annotations

import copy
import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

from kernels.errors import DEVICE_LOG

Model = TypeVar("Model", bound=nn.Module)
Result = TypeVar("Result")

_log = logging.getLogger(DEVICE_LOG)

# Beside torch's own class: CuPy's word, the CUDA runtime's, cuBLAS's and cuDNN's for its workspace, and what torch says
# where cuDNN found room for none of its algorithms.
_FULL = (
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUDA error: out of memory",
    "cudaErrorMemoryAllocation",
    "STATUS_ALLOC_FAILED",
    "Unable to find a valid cuDNN algorithm",
    "unable to find an engine",
)


def gpu_failure(error: BaseException) -> str | None:
    """What happened, in words for a person, if `error` is a GPU's failure; None for every other error.

    torch gives running out of memory a class of its own; for a device that is lost it raises RuntimeErrors that begin
    with "CUDA error" (or the name of the library that noticed first), and CuPy errors whose names begin with CUDA.
    """
    if lacks_memory(error):
        return "the GPU has too little free memory"
    if type(error).__name__.startswith(("CUDARuntimeError", "CUDADriverError")) or (
        isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "cuDNN error"))
    ):
        return f"the GPU failed ({str(error).splitlines()[0]})"
    return None


def lacks_memory(error: BaseException) -> bool:
    """Whether `error` says that the GPU's memory is full, so that a smaller piece of the work may still fit."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(sign in said for sign in _FULL)


class Placed(Generic[Model]):
    """A model on a device, with a copy in main memory to go on with when that device fails.

    After a CUDA error nothing on the device can be read any more, so the copy is made beforehand, and work must bring
    its inputs from main memory: `run(work)` calls work(model, device), where what it returns has left the device (or
    is only ever used on the device that it was made on). Several threads may run at once. `spare` is the copy.
    """

    def __init__(self, model: Model, device: str = "cpu", tell: Callable[[str], None] = _log.warning) -> None:
        self.spare = model.cpu().eval()
        self._tell = tell
        self._leaving = threading.Lock()
        self._in_pieces = False
        self._place = (self.spare, device)
        if device != "cpu":
            try:
                self._place = (copy.deepcopy(self.spare).to(device), device)
            except Exception as error:
                self._leave(error)

    @property
    def device(self) -> str:
        """Where the model is now."""
        return self._place[1]

    def run(self, work: Callable[[Model, str], Result], *smaller: Callable[[Model, str], Result]) -> Result:
        """Does the work; on the CPU, from now on, when the GPU fails. Other errors pass through.

        `smaller` do the same work in pieces that need less memory, the largest pieces first: where the GPU has too
        little memory for the whole, they are tried there before it is given up, and that they were is said once. The
        CPU does the whole.
        """
        model, device = self._place
        attempts = [work, *smaller] if device != "cpu" else []
        while attempts:
            attempt = attempts.pop(0)
            try:
                result = attempt(model, device)
                if attempt is not work:
                    self._say_smaller()
                return result
            except Exception as error:
                if not (attempts and lacks_memory(error)):
                    self._leave(error)
                    attempts = []
            # Outside of the handler, so that the error's traceback keeps no tensor of the lost attempt alive.
            _free()
        return work(*self._place)

    def _say_smaller(self) -> None:
        with self._leaving:
            if not self._in_pieces:
                self._in_pieces = True
                self._tell("The GPU has too little free memory for the whole; going on there in smaller pieces.")

    def _leave(self, error: Exception) -> None:
        """Goes to the CPU and says so, once; raises `error` again where it is no failure of a GPU."""
        reason = gpu_failure(error)
        if reason is None:
            raise error
        with self._leaving:
            if self._place[1] != "cpu":
                self._place = (self.spare, "cpu")
                self._tell(f"{reason[0].upper()}{reason[1:]}; going on with the CPU, which is slower.")


def _free() -> None:
    """Hands the memory that torch keeps back to the GPU, if that still answers."""
    if torch.cuda.is_initialized():
        try:
            torch.cuda.empty_cache()
        except RuntimeError:  # the device is lost; there is nothing left to free
            pass
