"""Work in threads of its own: in order, with its errors, and gone when nobody waits for it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from app.progress import Cancelled, CancelToken, ahead, watched


def no_thread_left(name: str) -> bool:
    return not [thread for thread in threading.enumerate() if thread.name.startswith(name)]


def test_ahead_keeps_the_order_and_the_end() -> None:
    assert [item for item in ahead(iter(range(50))) if item is not None] == list(range(50))
    assert no_thread_left("ahead")


def test_ahead_says_when_nothing_is_ready() -> None:
    def slow() -> Iterator[int]:
        time.sleep(0.5)
        yield 1

    found = list(ahead(slow()))
    assert found[0] is None
    assert found[-1] == 1


def test_ahead_raises_what_the_work_raises() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(ZeroDivisionError):
        list(items)


def test_ahead_is_no_more_than_its_depth_ahead() -> None:
    made: list[int] = []

    def count() -> Iterator[int]:
        for number in range(100):
            made.append(number)
            yield number

    items = ahead(count(), depth=3)
    assert next(items) == 0
    time.sleep(0.1)
    assert len(made) <= 6
    items.close()
    assert no_thread_left("ahead")


def visit(frames: range) -> Callable[[Callable[[int], None]], str]:
    def work(on_frame: Callable[[int], None]) -> str:
        for index in frames:
            on_frame(index)
            time.sleep(0.01)
        return "found"

    return work


def test_watched_tells_how_far_it_is_and_returns() -> None:
    steps = watched(visit(range(10, 60)), "look", range(10, 60), CancelToken())
    seen = []
    while True:
        try:
            seen.append(next(steps).done)
        except StopIteration as end:
            assert end.value == "found"
            break
    assert seen == sorted(seen)
    assert any(0 < done < 50 for done in seen)


def test_watched_stops_when_asked() -> None:
    cancel = CancelToken()
    steps = watched(visit(range(10**6)), "look", range(10**6), cancel)
    next(steps)
    cancel.cancel()
    with pytest.raises(Cancelled):
        list(steps)
    assert no_thread_left("look")


def test_watched_ends_with_its_generator() -> None:
    steps = watched(visit(range(10**6)), "look", range(10**6), CancelToken())
    next(steps)
    steps.close()
    assert no_thread_left("look")
