"""The machine a table was made on, and the yardstick by which floors in time are counted: one DIS MEDIUM call.

Machines differ and are busy, so a floor is a multiple of the median time of one DIS call (preset MEDIUM, one thread,
854x480 lightness) measured in the same run.
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.bench.baselines import dis_flow, dis_medium
from propagation.bench.protocol import one_opencv_thread

YARDSTICK_SIZE = (854, 480)
YARDSTICK_PIXELS = YARDSTICK_SIZE[0] * YARDSTICK_SIZE[1]
_LIBRARIES = ("numpy", "opencv-python-headless", "torch", "numba")


def machine_line() -> str:
    """One line: processor, cores, memory, load, system, and the versions that matter for speed."""
    parts = [_processor(), f"{os.cpu_count()} cores", _memory(), _load(), f"{platform.system()} {platform.machine()}"]
    parts.append(f"Python {platform.python_version()}")
    for library in _LIBRARIES:
        try:
            parts.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return ", ".join(part for part in parts if part)


def dis_medium_ms(repeats: int = 9) -> float:
    """The median time in ms of one DIS MEDIUM call between two moving 854x480 textures, on one thread."""
    earlier, later = (_texture(shift) for shift in (0, 3))
    dis = dis_medium()
    with one_opencv_thread():
        return median_ms(lambda: dis_flow(dis, later, earlier), repeats)


def median_ms(call: Callable[[], object], repeats: int = 9) -> float:
    """The median time in ms of `call`, after one call that warms it up."""
    call()
    times: list[float] = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def _texture(shift: int) -> NDArray[np.uint8]:
    """Grey detail at several scales, `shift` pixels along."""
    width, height = YARDSTICK_SIZE
    rng = np.random.default_rng(0)
    picture = np.zeros((height, width + 8), np.float32)
    for divisor in (4, 16, 64):
        noise = rng.uniform(-1, 1, (height // divisor + 2, width // divisor + 2)).astype(np.float32)
        picture += cv2.resize(noise, (width + 8, height), interpolation=cv2.INTER_CUBIC)
    levels = np.clip(128 + 40 * picture[:, shift : shift + width], 0, 255)
    return np.ascontiguousarray(levels, np.uint8)


def _processor() -> str:
    for line in _lines("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> str:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemTotal"):
            return f"{int(line.split()[1]) / 2**20:.0f} GiB"
    return ""


def _load() -> str:
    if not hasattr(os, "getloadavg"):
        return ""
    return f"load {os.getloadavg()[0]:.1f}"


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
