"""Speed of the scans as a share of a measured copy, beside one launch a column and the torch loop.

Each time is the fastest of several replays of a CUDA graph that runs through enough copies of the data to miss the L2
cache. Bytes are those that must move: forward 5 planes a direction (x, three gates, h), backward 10.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from kernels import cuda, cuda_device
from kernels.bench import torch_loop
from kernels.scan import DIRECTIONS
from tests.gpu import columns
from tests.kernels.test_cuda import WAYS

SIZES = ((64, 64), (128, 128), (256, 512), (480, 854), (1024, 1024), (1080, 1920))
PLANES = (1, 32, 128, 256)
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
MOST_BYTES = 24 << 30  # of one case, so that it fits a card of 40 GB twice over with what is kept for backward
ROTATED_BYTES = 256 << 20  # five times the L2 cache of the largest card
COPIED_BYTES = 1 << 30
LOOP_PLANES = 32  # the torch loop and the column launches are slow: once is enough


@dataclass(frozen=True)
class Case:
    """One row of the table: four directions in one call, gates of their own for every plane."""

    height: int
    width: int
    planes: int
    dtype: torch.dtype
    backward: bool

    @property
    def bytes(self) -> int:
        """What must move."""
        return 4 * (10 if self.backward else 5) * self.planes * self.height * self.width * self.dtype.itemsize

    @property
    def title(self) -> str:
        """Planes, rows, columns, storage and direction in time."""
        way = "backward" if self.backward else "forward"
        return f"{self.planes}x{self.height}x{self.width} {str(self.dtype)[6:]} {way}"


def cases() -> list[Case]:
    """Those that fit, the smallest first, so that a lack of time costs only the largest."""
    every = [Case(h, w, planes, dtype, backward) for h, w in SIZES for planes in PLANES for dtype in DTYPES
             for backward in (False, True)]
    return sorted((case for case in every if case.bytes <= MOST_BYTES), key=lambda case: case.bytes)


def copy_rate() -> float:
    """Bytes a second, read and written, of a large copy by torch."""
    a = torch.empty(COPIED_BYTES, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.numel() / _seconds([lambda: b.copy_(a)], 10)


def measure(case: Case, copied: float) -> dict[str, Any]:
    """Time and share of the copy, and for some cases those of the contestants."""
    device = cuda_device.device(torch.cuda.current_device())
    copies = max(1, min(64, -(-ROTATED_BYTES // case.bytes)))
    sets = [_data(case) for _ in range(copies)]

    def ours(data: tuple[Any, ...]) -> Callable[[], object]:
        x, gates, hs = data
        if case.backward:
            return lambda: cuda.backward(hs, x, gates, hs, WAYS, "none", True)
        return lambda: cuda.forward(x, gates, WAYS, "none", True)

    seconds = _seconds([ours(data) for data in sets], 5)
    row = {"case": case.title, "us": 1e6 * seconds, "GB/s": case.bytes / seconds / 1e9,
           "of copy": case.bytes / seconds / copied}
    if case.planes == LOOP_PLANES and case.dtype != torch.bfloat16 and case.height * case.width <= 1 << 20:
        x, gates, hs = sets[0]

        def by_columns() -> object:
            if case.backward:
                return columns.scan_back(device, hs, x, gates, hs, WAYS)
            return columns.scan(device, x, gates, WAYS)

        # From a graph as well, without what Python takes for each launch.
        row["times column launches"] = _seconds([by_columns], 3) / seconds
        if case.dtype == torch.float32:
            row["times torch loop"] = _loop(case, x, gates) / seconds
    return row


def _data(case: Case) -> tuple[Any, ...]:
    x = torch.randn(1, case.planes, case.height, case.width, device="cuda").to(case.dtype)
    gates = []
    for horizontal, _ in WAYS:
        size = (case.width, case.height) if horizontal else (case.height, case.width)
        gates.append((torch.rand(1, case.planes, 3, *size, device="cuda") / 3).to(case.dtype))
    return x, gates, cuda.forward(x, gates, WAYS, "none", True) if case.backward else None


def _loop(case: Case, x: torch.Tensor, gates: list[torch.Tensor]) -> float:
    leaves = [x.detach().requires_grad_(), *(g.detach().requires_grad_() for g in gates)]

    def forth() -> list[torch.Tensor]:
        with torch.device(x.device):  # of what the loop makes itself
            return [torch_loop(leaves[0], g, d) for g, d in zip(leaves[1:], DIRECTIONS, strict=True)]

    if not case.backward:
        with torch.no_grad():
            return _wall(forth)
    outs = forth()
    return _wall(lambda: torch.autograd.grad(outs, leaves, [x] * 4, retain_graph=True))


def _seconds(calls: list[Callable[[], object]], turns: int) -> float:
    """Seconds of one call, from graphs that hold all of them once."""
    for call in calls[:1]:
        call()  # compiles and loads, which a capture cannot
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]  # else all would write to the same memory, which the cache then holds
    graph.replay()
    best = float("inf")
    for _ in range(turns):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        end.synchronize()
        best = min(best, start.elapsed_time(end) / 1000 / len(kept))
    return best


def _wall(call: Callable[[], object]) -> float:
    """Seconds of the faster of two calls after one, launches included: that is how these run."""
    best = float("inf")
    for turn in range(3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start) if turn else best
    return best


def run(deadline: float) -> Iterator[dict[str, Any]]:
    """All cases until the time is up; those that do not fit the card's memory say so."""
    copied = copy_rate()
    yield {"case": f"copy of {COPIED_BYTES >> 20} MiB", "GB/s": copied / 1e9}
    for case in cases():
        if time.monotonic() > deadline:
            yield {"case": case.title, "note": "no time left"}
            continue
        try:
            yield measure(case, copied)
        except torch.OutOfMemoryError:
            yield {"case": case.title, "note": "too little memory"}
        torch.cuda.empty_cache()
