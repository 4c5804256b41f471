"""What every writer of frames has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from propagation.video.frame import Frame


class Writer(ABC):
    """Takes the frames of one export in order, within a `with`.

    Leaving it normally makes the output complete; leaving it by an exception leaves nothing of it.
    """

    def __init__(self) -> None:
        self._notes: list[str] = []

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the file: padding, depth, what could not be kept."""
        return tuple(self._notes)

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Append `frame`. OutputError for another size or a time out of order, NoSpaceError on a full disk."""

    @abstractmethod
    def __enter__(self) -> Self: ...

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def with_depth(image: NDArray[Any], bits: int) -> NDArray[Any]:
    """Full-range uint8 or uint16 as 8 or 16 bits: times 257 up, rounded down."""
    if bits == 8 and image.dtype == np.uint16:
        return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if bits == 16 and image.dtype == np.uint8:
        return image.astype(np.uint16) * 257
    return image
