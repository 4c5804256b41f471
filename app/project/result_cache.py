"""Carried color kept between sessions, so that a project that is opened again need not be propagated again.

A cache of the program's own, not a part of any project: every file is named after what its color was made from, so a
wrong one is never taken, and deleting any of it costs only time. Past the budget the files used longest ago go first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from propagation.atomic import atomic_write

BUDGET_BYTES = 4 * 2**30
SUFFIX = ".ab"
_MAGIC = b"HUECAST1"
_HEAD_BYTES = 16
_MAX_SIDE_PX = 16_384
# Looking at every file's size takes a while, so the budget is kept only now and then.
_PRUNE_EVERY = 200


def maker() -> str:
    """A digest of what makes color in this program: the networks' weights and the code that runs them."""
    root = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for pattern in ("assets/weights/*.safetensors", "propagation/*.py", "propagation/color/*.py", "kernels/*.py"):
        for path in sorted(root.glob(pattern)):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class ResultCache:
    """Results in a folder by frame and signature; not for two threads at once."""

    def __init__(self, folder: Path, made_by: str, budget_bytes: int = BUDGET_BYTES) -> None:
        """`made_by` tells the networks apart: color that others made is not this one's."""
        self._folder = folder
        self._made_by = made_by
        self._budget_bytes = budget_bytes
        self._written = 0

    def write(self, frame: int, signature: str, ab: NDArray[np.float16]) -> None:
        """Keeps (h, w, 2) `ab`. Raises OutputError, NoSpaceError."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path(frame, signature)
        if path.exists():
            return
        height, width = ab.shape[:2]
        # Neighbouring values differ little: bytes of one kind next to each other pack twice as well.
        planes = np.ascontiguousarray(ab).view(np.uint8).reshape(-1, 2).T.tobytes()
        body = height.to_bytes(4, "little") + width.to_bytes(4, "little") + zlib.compress(planes, 1)
        with atomic_write(path) as temporary:
            temporary.write_bytes(_MAGIC + body)
        self._written += 1
        if self._written % _PRUNE_EVERY == 1:
            self.prune()

    def known(self, signatures: Sequence[str]) -> list[int]:
        """The frames whose color for `signatures` (by frame) is here, found without opening a file."""
        try:
            there = {entry.name for entry in os.scandir(self._folder)}
        except OSError:
            return []
        return [frame for frame, signature in enumerate(signatures) if self._path(frame, signature).name in there]

    def read(self, frame: int, signature: str) -> NDArray[np.float16] | None:
        """The color (h, w, 2), or None where it is not here or not whole."""
        path = self._path(frame, signature)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        height, width = int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:16], "little")
        if data[:8] != _MAGIC or not 0 < height <= _MAX_SIDE_PX or not 0 < width <= _MAX_SIDE_PX:
            return None
        size = height * width * 4
        unpacker = zlib.decompressobj()
        try:
            planes = unpacker.decompress(data[_HEAD_BYTES:], size + 1)
        except zlib.error:
            return None
        # At its end, and only there, the checksum has been compared.
        if len(planes) != size or not unpacker.eof:
            return None
        pairs = np.frombuffer(planes, np.uint8).reshape(2, -1).T
        ab = np.ascontiguousarray(pairs).view(np.float16).reshape(height, width, 2)
        return ab if bool(np.isfinite(ab).all()) else None

    def prune(self) -> None:
        """Drops the files used longest ago until the budget holds."""
        files = sorted(self._files(), reverse=True)
        kept = 0
        for _, size, path in files:
            kept += size
            if kept > self._budget_bytes:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was used last, its size and its path."""
        try:
            entries = list(os.scandir(self._folder))
        except OSError:
            return
        for entry in entries:
            if re.fullmatch(r"[0-9a-f]{40}\.ab|\..*\.part", entry.name):
                with contextlib.suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    yield stat.st_mtime, stat.st_size, Path(entry.path)

    def _path(self, frame: int, signature: str) -> Path:
        name = hashlib.sha256(f"{self._made_by} {frame} {signature}".encode()).hexdigest()[:40]
        return self._folder / f"{name}{SUFFIX}"
