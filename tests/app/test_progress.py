"""Work in threads of its own: in order, with its errors, and gone when nobody waits for it any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from app.progress import ahead


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
