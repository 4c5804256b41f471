"""What a file may ask for before anything is allocated for it; one place, so that a person can raise it knowingly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from propagation.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """Upper bounds on what a file may claim. Oversize claims are the cheapest attack there is and need no decoder
    bug."""

    pixels: int = 70_000_000  # a picture; 8192 x 8192 fits
    side_px: int = 16_384
    expansion: int = 10_000  # decoded bytes of one picture over the bytes of its file
    frames: int = 10_000_000
    streams: int = 64
    metadata_bytes: int = 1 << 20


LIMITS = Limits()


def check_picture(
    path: Path, width: int, height: int, *, bytes_per_pixel: int, file_bytes: int, limits: Limits = LIMITS
) -> None:
    """Raise LimitError when a picture of `width` x `height` pixels is more than `limits` allow; name limit and
    value."""
    if width <= 0 or height <= 0:
        raise LimitError(f"claims a picture of {width} x {height} pixels", path=path)
    if max(width, height) > limits.side_px:
        _refuse(path, f"is {width} x {height} pixels", f"{limits.side_px} pixels a side")
    if width * height > limits.pixels:
        _refuse(path, f"is {width} x {height} = {width * height} pixels", f"{limits.pixels} pixels a picture")
    decoded_bytes = width * height * bytes_per_pixel
    if decoded_bytes > limits.expansion * max(file_bytes, 1):
        _refuse(
            path,
            f"claims pictures of {decoded_bytes} bytes in a file of {file_bytes}",
            f"{limits.expansion} times the file",
        )


def check_count(path: Path, what: str, value: int, limit: int) -> None:
    """Raise LimitError when a file has more than `limit` of `what` (frames, streams, bytes of metadata)."""
    if value > limit:
        _refuse(path, f"has {value} {what}", f"{limit} {what}")


def _refuse(path: Path, found: str, allowed: str) -> None:
    raise LimitError(
        f"{found}; the limit is {allowed}",
        path=path,
        advice="If you trust the file, raise the limit in propagation/video/limits.py",
    )
