"""A small thread pool for numba kernels that release the GIL, and the one number that bounds it.

Threads, not numba's `parallel`: parts are independent, results do not depend on the thread count, concurrent calls from
several Python threads are safe (numba's workqueue layer aborts the process then), and torch's own pool is left alone.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

# Below this many elements a second thread costs more than it brings (one hand-over is about 50 us).
_SMALL = 20_000

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_threads = 0


def set_threads(count: int) -> None:
    """Number of threads a kernel may use (>= 1); takes effect at the next call, running kernels finish undisturbed."""
    global _threads, _pool
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    with _lock:
        if _pool is not None and count != _threads:
            _pool.shutdown(wait=False)
            _pool = None
        _threads = count


def get_threads() -> int:
    """Number of threads in use: what was set, else torch's; without torch, which takes seconds to load, the cores."""
    if _threads:
        return _threads
    of_torch = getattr(sys.modules.get("torch"), "get_num_threads", None)
    return int(of_torch()) if of_torch is not None else os.cpu_count() or 1


def run_parts(kernel: Callable[..., None], arguments: tuple[Any, ...], units: int, elements: int) -> None:
    """Calls kernel(*arguments, first, last) so that 0 .. units is covered once, split over the threads."""
    parts = min(get_threads(), units) if elements >= _SMALL else 1
    bounds = [units * i // parts for i in range(parts + 1)]
    run_all([(kernel, (*arguments, bounds[i], bounds[i + 1])) for i in range(parts)], elements)


def run_all(calls: Sequence[tuple[Callable[..., None], tuple[Any, ...]]], elements: int) -> None:
    """Runs independent calls (function, arguments), each once, the threads taking the next one as they get free.

    The calling thread works too. With few `elements` in all it works alone. Meanwhile subnormal numbers are zero.
    """
    from kernels.subnormals import flush, restore  # here because numba takes a second to import

    threads = min(get_threads(), len(calls)) if elements >= _SMALL else 1
    waiting, turn = iter(calls), threading.Lock()

    def work() -> None:
        before = flush()
        try:
            while True:
                with turn:
                    call = next(waiting, None)
                if call is None:
                    return
                call[0](*call[1])
        finally:
            restore(before)

    if threads <= 1:
        work()
        return
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(1, get_threads() - 1), thread_name_prefix="kernel")
        jobs = [_pool.submit(work) for _ in range(threads - 1)]
    work()
    for job in jobs:
        if not job.cancel():  # one that has not begun has nothing left to do
            job.result()
