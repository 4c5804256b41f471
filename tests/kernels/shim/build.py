"""Compiles the CUDA kernels for the CPU and launches them there, in place of a CUDA device."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

from kernels import cuda_device

HERE = Path(__file__).parent
# -O1 compiles in half the time of -O2; contraction is off so that what is compared does not depend on the compiler.
FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-Wno-unknown-pragmas", "-w")


def why_not() -> str | None:
    """Why the shim cannot be compiled here, or None."""
    if shutil.which("g++") is None:
        return "there is no g++ to compile the kernels for the CPU with"
    version = subprocess.run(["g++", "-dumpversion"], capture_output=True, text=True, check=True).stdout.split(".")[0]
    return None if int(version) >= 12 else f"g++ {version} has no 16-bit floats; version 12 has"


def start_compiling(text: str, lines: str, folder: Path, name: str) -> tuple[subprocess.Popen[str], Path]:
    """Starts to compile kernels (`lines`) out of the text of the .cu files."""
    source, library = folder / f"{name}.cpp", folder / f"{name}.so"
    source.write_text(f'#include "{HERE / "shim.h"}"\n#line 1 "kernels"\n{text}\n{lines}')
    process = subprocess.Popen(["g++", *FLAGS, str(source), "-o", str(library)], stderr=subprocess.PIPE, text=True)
    return process, library


def finish(started: tuple[subprocess.Popen[str], Path]) -> ctypes.CDLL:
    """Waits for the compiler and loads the library."""
    process, library = started
    _, errors = process.communicate()
    if process.returncode:
        raise RuntimeError(f"g++ refuses the kernels:\n{errors[:4000]}")
    return ctypes.CDLL(str(library))


class ShimDevice:
    """Has the face of `kernels.cuda_device.Device`. Every launch runs its warps in another random order."""

    def __init__(self, libraries: list[ctypes.CDLL], processors: int = 4, shared_limit: int = 99 << 10) -> None:
        self.libraries, self.processors, self.shared_limit = libraries, processors, shared_limit
        self.launched: list[str] = []

    def launch(self, name: str, line: str, grid: tuple[int, ...], threads: int, shared_bytes: int, call: Any) -> None:
        assert shared_bytes <= self.shared_limit and name in line
        library = next(library for library in self.libraries if hasattr(library, name))
        self.launched.append(name)
        columns, rows = (*grid, 1)[:2]
        code = library[name](call.ctypes.data_as(ctypes.c_void_p), columns, rows, threads, shared_bytes,
                             ctypes.c_ulonglong(len(self.launched)))
        if code:
            library.shim_failure.restype = ctypes.c_char_p
            raise RuntimeError(f"{name}: {library.shim_failure().decode()}")


def kernel_text() -> str:
    """The text that the GPU's compiler gets."""
    return cuda_device.source()
