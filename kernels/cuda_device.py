"""A CUDA device as the scans see it: kernels compiled once through CuPy, launched on torch's current stream.

CuPy is used for compiling and launching alone. Tensors stay torch's and travel as raw pointers, so nothing is copied or
converted, and memory comes from torch's allocator. Imported by `kernels.cuda` when a CUDA tensor arrives, never before.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import torch  # before CuPy: the first to be imported decides which CUDA libraries the process loads
from numpy.typing import NDArray

OPTIONS = ("-std=c++17",)
_PARTS = ("cuda_storage.cu", "cuda_lines.cu", "cuda_scan.cu", "cuda_long.cu", "cuda_merge.cu",
          "cuda_patches.cu", "cuda_match.cu")


@cache
def source() -> str:
    """The text that every kernel is compiled from; a line that names the kernel is added to it."""
    return "".join((Path(__file__).parent / part).read_text(encoding="utf-8") for part in _PARTS)


class Device:
    """One CUDA device, with the kernels compiled for it so far."""

    def __init__(self, index: int) -> None:
        import cupy

        self.index = index
        runtime = cupy.cuda.runtime
        self.processors: int = runtime.deviceGetAttribute(runtime.cudaDevAttrMultiProcessorCount, index)
        self.shared_limit: int = runtime.deviceGetAttribute(runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin, index)
        self._most_shared = self.shared_limit  # what kernels may ask for, whatever plans are told
        self._kernels: dict[str, Any] = {}
        self._lock = threading.Lock()

    def launch(self, name: str, line: str, grid: tuple[int, ...], threads: int, shared_bytes: int,
               call: NDArray[Any]) -> None:
        """Runs a kernel on torch's current stream; `line` is what makes it of the source, `call` its one argument.

        The stream is looked up at every launch, so that captures and autograd's own threads get theirs. A kernel must
        have run once before it can be captured into a CUDA graph: compiling and loading cannot be.
        """
        import cupy

        kernel = self._kernels.get(name) or self._compile(name, line)
        stream = torch.cuda.current_stream(self.index)
        with cupy.cuda.Device(self.index):  # first: later versions of CuPy note the device that a stream is wrapped on
            if hasattr(cupy.cuda.Stream, "from_external"):
                current = cupy.cuda.Stream.from_external(stream)
            else:
                current = cupy.cuda.ExternalStream(stream.cuda_stream, self.index)
            with current:
                kernel(grid, (threads,), (call,), shared_mem=shared_bytes)

    def _compile(self, name: str, line: str) -> Any:
        """Compiles a kernel for this device. CuPy keeps the result on disk for the next start."""
        import cupy

        with self._lock, cupy.cuda.Device(self.index):
            if name not in self._kernels:
                kernel = cupy.RawModule(code=source() + line, options=OPTIONS).get_function(name)
                kernel.max_dynamic_shared_size_bytes = self._most_shared
                self._kernels[name] = kernel
            return self._kernels[name]


_devices: dict[int, Device] = {}
_lock = threading.Lock()


def device(index: int) -> Device:
    """The device of this number; the same object for the life of the process."""
    with _lock:
        if index not in _devices:
            _devices[index] = Device(index)
        return _devices[index]
