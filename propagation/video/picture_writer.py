"""Numbered PNG files out: all of them, or none."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from propagation.atomic import StagedFiles, output_boundary
from propagation.errors import OutputError, OutputExistsError
from propagation.video.frame import ClipInfo, Frame
from propagation.video.images import encode_png
from propagation.video.sequence import numbered
from propagation.video.writing import Writer, with_depth


class NumberedFiles:
    """The files of a pattern, within a `with`: left normally they appear together, by an exception none of them does.

    Raises OutputExistsError or OutputError unless every one of `frames` may be written.
    """

    def __init__(self, pattern: Path, frames: range, *, overwrite: bool) -> None:
        check_targets(pattern, frames, overwrite)
        self._pattern = pattern
        self._files = StagedFiles(pattern.parent, overwrite=overwrite)

    def __enter__(self) -> Self:
        self._files.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._files.publish()
        finally:
            self._files.__exit__(kind, value, trace)


class PictureWriter(NumberedFiles, Writer):
    """Writes frame n to the pattern's number n, with 8 or 16 bits a channel; other files stay as they are."""

    def __init__(self, pattern: Path, info: ClipInfo, *, overwrite: bool, bit_depth: int | None, frames: range) -> None:
        Writer.__init__(self)
        self._size = info.width, info.height
        self._bits = bit_depth or (8 if info.bit_depth == 8 else 16)
        if self._bits not in (8, 16):
            raise OutputError(f"PNG is written with 8 or 16 bits, not {self._bits}", path=pattern)
        NumberedFiles.__init__(self, pattern, frames, overwrite=overwrite)

    def write(self, frame: Frame) -> None:
        height, width = frame.image.shape[:2]
        if (width, height) != self._size:
            expected = f"{self._size[0]} x {self._size[1]}"
            raise OutputError(f"frame {frame.index} is {width} x {height}, not {expected}", path=self._pattern)
        target = numbered(self._pattern, frame.index)
        self._files.put(target.name, encode_png(with_depth(frame.image, self._bits), target))


def check_targets(pattern: Path, frames: range, overwrite: bool) -> None:
    """Raises OutputExistsError or OutputError unless every picture of `frames` may be written to `pattern`."""
    numbered(pattern, 0)  # refuses a pattern without a place for the number
    folder = pattern.parent
    with output_boundary(folder):
        if not folder.exists():
            if not folder.parent.is_dir():
                raise OutputError("its folder does not exist", path=folder, advice=f"Create {folder.parent} first")
            return
        if not folder.is_dir():
            raise OutputError("is a file where a folder is needed", path=folder)
        there = {file.name for file in folder.iterdir()}
    taken = [name for n in frames if (name := numbered(pattern, n).name) in there]
    if taken and not overwrite:
        more = f" and {len(taken) - 1} more frames exist" if len(taken) > 1 else " exists"
        advice = "Choose another folder, or overwrite them (--force)"
        raise OutputExistsError(f"{taken[0]}{more} already", path=folder, advice=advice)
