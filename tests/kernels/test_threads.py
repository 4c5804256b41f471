"""The thread pool of the numba kernels."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from kernels import threads

LARGE = 10**6  # elements, enough that threads pay


@pytest.fixture(autouse=True)
def three_threads() -> Iterator[None]:
    before = threads.get_threads()
    threads.set_threads(3)
    yield
    threads.set_threads(before)


@pytest.mark.parametrize("units", [1, 2, 3, 7, 100])
def test_parts_cover_every_unit_once(units):
    seen, lock = [], threading.Lock()

    def part(name: str, first: int, last: int) -> None:
        with lock:
            seen.extend((name, unit) for unit in range(first, last))

    threads.run_parts(part, ("x",), units, LARGE)
    assert sorted(seen) == [("x", unit) for unit in range(units)]


def test_never_more_threads_than_allowed_and_torch_keeps_its_own():
    before = torch.get_num_threads()
    busy, most, workers, lock = 0, 0, set(), threading.Lock()

    def job(_: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
            workers.add(threading.get_ident())
        time.sleep(0.002)
        with lock:
            busy -= 1

    threads.run_all([(job, (i,)) for i in range(30)], LARGE)
    assert most <= 3 and 1 < len(workers) <= 3
    assert threading.get_ident() in workers  # the caller works too
    assert torch.get_num_threads() == before


def test_little_work_stays_with_the_caller():
    workers = set()
    threads.run_all([(lambda: workers.add(threading.get_ident()), ()) for _ in range(8)], 100)
    assert workers == {threading.get_ident()}


def test_what_goes_wrong_in_a_part_is_raised():
    def fail(i: int) -> None:
        time.sleep(0.002)
        if i % 2:
            raise ArithmeticError(f"part {i}")

    with pytest.raises(ArithmeticError, match="part"):
        threads.run_all([(fail, (i,)) for i in range(9)], LARGE)


def test_none_is_no_number_of_threads():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        threads.set_threads(0)
    assert threads.get_threads() == 3
