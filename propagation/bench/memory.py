"""How much memory filling a frame takes: the most that a process of its own ever held."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

# Width and height of the frames measured: one that is filled whole, and one that is filled in tiles.
SIZES = ((1920, 1080), (7680, 4320))


def fill_peaks(sizes: tuple[tuple[int, int], ...] = SIZES) -> dict[str, int]:
    """Bytes at the peak of preparing and filling a frame of each size on the CPU, with everything the process needs
    beside it: by "WIDTHxHEIGHT". Each is filled in a fresh process. Nothing where the system does not tell."""
    peaks = {}
    for width, height in sizes:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as child:
            peak = child.submit(_fill_peak, width, height).result()
        if peak is not None:
            peaks[f"{width}x{height}"] = peak
    return peaks


def _fill_peak(width: int, height: int) -> int | None:
    from propagation.densify import Densifier, Hints

    rng = np.random.default_rng(0)
    lightness = np.linspace(0, 100, width, dtype=np.float32) * np.ones((height, 1), np.float32)
    values, strength = np.zeros((height, width, 2), np.float32), np.zeros((height, width), np.float32)
    for y, x in zip(rng.integers(0, height - 6, 300), rng.integers(0, width - 6, 300), strict=True):
        values[y : y + 6, x : x + 6], strength[y : y + 6, x : x + 6] = rng.uniform(-40, 40, 2), 1
    densifier = Densifier.load()
    densifier.fill(densifier.prepare(lightness), Hints(values, strength))
    return peak_bytes()


def peak_bytes() -> int | None:
    """The most memory that this process has held, None where the system does not tell.

    On Linux not by getrusage, whose figure a new process takes over from the one that started it.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:
        return _rusage_bytes()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


def _rusage_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
