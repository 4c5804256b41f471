"""From a GPU that fails to the CPU: what counts as its failure, and the one place that goes on without it."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)
Result = TypeVar("Result")

_log = logging.getLogger("huecast.device")


def gpu_failure(error: BaseException) -> str | None:
    """What happened, in words for a person, if `error` is a GPU's failure; None for every other error.

    torch gives running out of memory a class of its own; for a device that is lost it raises RuntimeErrors that begin
    with "CUDA error", and CuPy errors of its own whose names begin with CUDA.
    """
    if isinstance(error, torch.OutOfMemoryError) or "CUDA_ERROR_OUT_OF_MEMORY" in str(error):
        return "the GPU has too little free memory"
    if type(error).__name__.startswith(("CUDARuntimeError", "CUDADriverError")) or (
        isinstance(error, RuntimeError) and str(error).startswith("CUDA error")
    ):
        return f"the GPU failed ({str(error).splitlines()[0]})"
    return None


class Placed(Generic[Model]):
    """A model on a device, with a copy in main memory to go on with when that device fails.

    After a CUDA error nothing on the device can be read any more, so the copy is made beforehand, and work must bring
    its inputs from main memory: `run(work)` calls work(model, device), where what it returns has left the device.
    """

    def __init__(self, model: Model, device: str, tell: Callable[[str], None] = _log.warning) -> None:
        self._spare = model.cpu().eval()
        self.device = device
        self.model = self._spare if device == "cpu" else copy.deepcopy(self._spare).to(device)
        self._tell = tell

    def run(self, work: Callable[[Model, str], Result]) -> Result:
        """Does the work; on the CPU, from now on, when the GPU fails. Other errors pass through."""
        try:
            return work(self.model, self.device)
        except Exception as error:
            reason = gpu_failure(error)
            if self.device == "cpu" or reason is None:
                raise
            self._tell(f"{reason}; going on with the CPU, which is slower")
        # Outside of the handler, so that the error's traceback keeps no tensor of the lost attempt alive.
        self.model, self.device = self._spare, "cpu"
        if torch.cuda.is_initialized():
            try:
                torch.cuda.empty_cache()
            except RuntimeError:  # the device is lost; there is nothing left to free
                pass
        return work(self.model, self.device)
