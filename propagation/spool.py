"""Arrays that wait in a temporary file, so that memory does not grow with the length of a clip."""

from __future__ import annotations

import tempfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from propagation.errors import NoSpaceError


class Spool:
    """Arrays by number, in a file that is gone when the `with` ends, or the process."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._places: dict[int, tuple[int, np.dtype[Any], tuple[int, ...]]] = {}
        self._end = 0

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def __contains__(self, index: object) -> bool:
        return index in self._places

    def put(self, index: int, block: NDArray[Any]) -> None:
        """Keeps `block`, of any shape and type, under `index`. Raises NoSpaceError when the file finds no room."""
        try:
            self._file = self._file or tempfile.TemporaryFile(prefix="huecast-")
            self._file.seek(self._end)
            self._file.write(np.ascontiguousarray(block).data)
            self._file.flush()
        except OSError as error:
            raise NoSpaceError(
                f"no room for frames that wait for their other direction ({error.strerror})",
                path=tempfile.gettempdir(),
                advice="Free some disk space or set TMPDIR to another disk",
            ) from error
        self._places[index] = self._end, block.dtype, block.shape
        self._end += block.nbytes

    def take(self, index: int) -> NDArray[Any]:
        """The array that was kept under `index`, read-only."""
        place, dtype, shape = self._places[index]
        assert self._file is not None
        self._file.seek(place)
        return np.frombuffer(self._file.read(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)
