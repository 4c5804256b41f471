"""What a job tells while it runs, and how it is asked to stop."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")

_TELL_EVERY_S = 0.2


class Cancelled(Exception):
    """The job was asked to stop and did."""


class CancelToken:
    """Asks a job to stop; safe to use from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Asks for the stop; the job sees it within a frame."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled once a stop was asked for."""
        if self._event.is_set():
            raise Cancelled


@dataclass(frozen=True)
class Progress:
    """One step of a job: `done` of `total` in `stage`, the source frame it was about, and what there is to say."""

    stage: str
    done: int
    total: int
    frame_index: int | None = None
    message: str = ""


def ahead(items: Iterator[Item], depth: int = 4) -> Generator[Item | None, None, None]:
    """The items in order, worked out in a thread of its own up to `depth` ahead; None where one takes its time.

    Closing this generator ends the thread after the item it is at. Raises what `items` raises.
    """
    ready: queue.Queue[Item | BaseException | None] = queue.Queue(depth)
    left = threading.Event()

    def put(item: Item | BaseException | None) -> bool:
        while not left.is_set():
            try:
                ready.put(item, timeout=_TELL_EVERY_S)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(None)
        except BaseException as error:
            put(error)

    worker = threading.Thread(target=work, name="ahead", daemon=True)
    worker.start()
    try:
        while True:
            try:
                item = ready.get(timeout=_TELL_EVERY_S)
            except queue.Empty:
                yield None
                continue
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        left.set()
        worker.join()
