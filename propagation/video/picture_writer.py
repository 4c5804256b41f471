"""Numbered PNG files out: all of them, or none."""

from __future__ import annotations

import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from propagation.atomic import PART_SUFFIX, check_target, flush_file, flush_folder, output_boundary, replace
from propagation.errors import OutputError, OutputExistsError
from propagation.video.frame import ClipInfo, Frame
from propagation.video.images import encode_png
from propagation.video.sequence import numbered
from propagation.video.writing import Writer, with_depth


class PictureWriter(Writer):
    """Writes frame n to the pattern's number n, with 8 or 16 bits a channel; other files stay as they are."""

    def __init__(self, pattern: Path, info: ClipInfo, *, overwrite: bool, bit_depth: int | None, frames: range) -> None:
        super().__init__()
        self._pattern = pattern
        self._folder = pattern.parent
        self._size = info.width, info.height
        self._bits = bit_depth or (8 if info.bit_depth == 8 else 16)
        self._overwrite = overwrite
        self._staging = self._folder / f".{secrets.token_hex(4)}{PART_SUFFIX}"
        self._staged: dict[Path, Path] = {}  # final name -> where it waits
        self._made_folder = False
        if self._bits not in (8, 16):
            raise OutputError(f"PNG is written with 8 or 16 bits, not {self._bits}", path=pattern)
        self._check_targets(frames)

    def _check_targets(self, frames: range) -> None:
        numbered(self._pattern, 0)  # refuses a pattern without a place for the number
        with output_boundary(self._folder):
            if not self._folder.exists():
                check_target(self._folder, overwrite=False)  # its own parent must be there
                return
            if not self._folder.is_dir():
                raise OutputError("is a file where a folder is needed", path=self._folder)
            there = {file.name for file in self._folder.iterdir()}
        taken = [name for n in frames if (name := numbered(self._pattern, n).name) in there]
        if taken and not self._overwrite:
            more = f" and {len(taken) - 1} more frames exist" if len(taken) > 1 else " exists"
            raise OutputExistsError(f"{taken[0]}{more} already", path=self._folder, advice="Use --force to replace")

    def __enter__(self) -> Self:
        with output_boundary(self._folder):
            if not self._folder.exists():
                self._folder.mkdir()
                self._made_folder = True
            self._staging.mkdir()
        return self

    def write(self, frame: Frame) -> None:
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:
            raise OutputError(f"frame {frame.index} is {width} x {height}, not {self._size[0]} x {self._size[1]}")
        target = numbered(self._pattern, frame.index)
        waiting = self._staging / target.name
        data = encode_png(with_depth(frame.image, self._bits), target)
        with output_boundary(target):
            waiting.write_bytes(data)
            flush_file(waiting)
        self._staged[target] = waiting

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        complete = False
        try:
            if kind is None:
                self._publish()
                complete = True
        finally:
            shutil.rmtree(self._staging, ignore_errors=True)
            if self._made_folder and not complete:
                with suppress(OSError):
                    self._folder.rmdir()

    def _publish(self) -> None:
        """Give every picture its name; each rename is whole in itself."""
        if not self._overwrite:
            for target in self._staged:
                check_target(target, overwrite=False)
        with output_boundary(self._folder):
            for target, waiting in self._staged.items():
                replace(waiting, target)
            flush_folder(self._folder)
