"""Numbered HDR pictures out, EXR or others: all of them, or none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from propagation.atomic import atomic_write
from propagation.errors import OutputError
from propagation.video.exr import Compression, PixelType, write_exr
from propagation.video.hdr_images import HDR_SUFFIXES, Encoding, HdrImage, encode_hdr
from propagation.video.picture_writer import NumberedFiles
from propagation.video.sequence import is_pattern, numbered

DEFAULT_HDR_PATTERN = "%05d.exr"


@dataclass(frozen=True)
class HdrFormat:
    """How pictures are written. `pixel_type` "auto" is half, unless whoever writes knows that it has to be float;
    `encoding` is that of PNG files, None for PQ."""

    pixel_type: Literal["auto", "half", "float"] = "auto"
    compression: Compression = "zip"
    encoding: Encoding | None = None


def hdr_pattern(out: Path) -> Path:
    """The pattern that `out` means: itself, or `%05d.exr` in the folder it names. Raises OutputError for others."""
    if is_pattern(out):
        pattern = out
    elif out.suffix == "" or out.is_dir():
        pattern = out / DEFAULT_HDR_PATTERN
    else:
        raise OutputError(
            f"cannot write HDR frames to '{out.suffix}'", path=out, advice="Use a pattern like %05d.exr, or a folder"
        )
    if pattern.suffix.lower() not in HDR_SUFFIXES:
        raise OutputError(
            f"cannot write HDR as '{pattern.suffix}'", path=out, advice="Use .exr, .png (16 bits), .tif or .hdr"
        )
    return pattern


def write_hdr(
    path: str | Path, image: NDArray[np.float32], like: HdrImage, form: HdrFormat | None = None, overwrite: bool = False
) -> None:
    """Writes one picture in the unit and primaries of `like`, by its suffix. Raises OutputExistsError, OutputError or
    NoSpaceError; whatever was there is then unharmed."""
    path = Path(path)
    with atomic_write(path, overwrite=overwrite) as temporary:
        if path.suffix.lower() == ".exr":
            _write_exr(temporary, image, like, form or HdrFormat())
        else:
            temporary.write_bytes(encode_hdr(image, path, like, (form or HdrFormat()).encoding))


class HdrWriter(NumberedFiles):
    """Frame n to the pattern's number n, within a `with`; leaving it by an exception leaves nothing.

    `like` gives the unit and the primaries of all pictures.
    """

    def __init__(self, pattern: Path, like: HdrImage, form: HdrFormat, *, frames: range, overwrite: bool) -> None:
        super().__init__(pattern, frames, overwrite=overwrite)
        self._like, self._form = like, form
        self._as_float = 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about the files."""
        if not self._as_float:
            return ()
        return (f"{self._as_float} pictures hold values that half cannot (above 65,504) and are written as float",)

    def write(self, index: int, image: NDArray[np.float32]) -> None:
        """Appends frame `index`, (H, W, 3) float32. Raises OutputError and NoSpaceError."""
        target = numbered(self._pattern, index)
        if target.suffix.lower() != ".exr":
            self._files.put(target.name, encode_hdr(image, target, self._like, self._form.encoding))
            return
        with self._files.place(target.name) as waiting:
            written = _write_exr(waiting, image, self._like, self._form)
        self._as_float += written == "float" and self._form.pixel_type != "float"


def _write_exr(path: Path, image: NDArray[np.float32], like: HdrImage, form: HdrFormat) -> PixelType:
    kind: PixelType = "half" if form.pixel_type == "auto" else form.pixel_type
    return write_exr(
        path,
        image,
        pixel_type=kind,
        compression=form.compression,
        chromaticities=like.chromaticities,
        white_nits=like.white_nits,
    )
