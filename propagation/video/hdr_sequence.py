"""Numbered HDR pictures in: a folder, a `%05d` pattern, the first file, or a single picture."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from propagation.errors import MediaError, MissingMediaError, RangeError
from propagation.video.hdr_images import Encoding, HdrImage, read_hdr
from propagation.video.sequence import Pictures, find_pictures, is_pattern

# Names that mean HDR by themselves; PNG and TIFF may hold it, and are meant by a pattern or by their first file alone.
HDR_NAMES = frozenset({".exr", ".hdr"})
_ALL_NAMES = HDR_NAMES | {".png", ".tif", ".tiff"}


class HdrSequence:
    """Scene-linear pictures of one size by number, from 0 in the order of the numbers in their names."""

    def __init__(self, found: Pictures, encoding: Encoding | None = None) -> None:
        self.found = found
        self._encoding = encoding
        self._first = read_hdr(found.files[0], encoding)

    def __len__(self) -> int:
        return len(self.found.files)

    def read(self, index: int) -> HdrImage:
        """Picture `index`. Raises RangeError outside the sequence, MediaError for another size than the first's and
        what `read_hdr` raises."""
        if not 0 <= index < len(self):
            raise RangeError(f"picture {index} is outside the sequence (0 to {len(self) - 1})", path=self.found.path)
        if index == 0:
            return self._first
        file = self.found.files[index]
        picture = read_hdr(file, self._encoding)
        if picture.image.shape != self._first.image.shape:
            height, width = picture.image.shape[:2]
            wanted = self._first.image.shape
            raise MediaError(f"is {width} x {height}, the sequence {wanted[1]} x {wanted[0]}", path=file)
        return picture

    def __iter__(self) -> Iterator[HdrImage]:
        return (self.read(index) for index in range(len(self)))


def open_hdr(path: str | Path, encoding: Encoding | None = None) -> HdrSequence:
    """The HDR pictures that `path` means; reads the first. Raises MissingMediaError, LimitError and MediaError."""
    path = Path(path)
    found = find_pictures(path, HDR_NAMES if path.is_dir() else _ALL_NAMES)
    if found is None:
        raise MissingMediaError("is no HDR picture and no pattern of some", path=path, advice="Check the name")
    return HdrSequence(found, encoding)


def means_hdr(path: Path) -> bool:
    """Whether the name, or the pictures in the folder, are HDR by their suffix."""
    if path.is_dir():
        suffixes = {file.suffix.lower() for file in path.iterdir() if not file.name.startswith(".")}
        return bool(suffixes & HDR_NAMES) and not suffixes & {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
    return path.suffix.lower() in HDR_NAMES and (path.exists() or is_pattern(path))
