"""Size and depth of a still from its first bytes, so that limits are checked before a decoder allocates anything."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

_PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
# Start-of-frame markers of JPEG (T.81 table B.1); C4, C8 and CC are other things.
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_CHANNELS = 256, 257, 258, 277
_MAX_STEPS = 4096  # markers or tags looked at before giving up on a file made to waste time


@dataclass(frozen=True)
class ImageHeader:
    """What a file claims: pixels, bits a channel, channels; palettes count as RGBA."""

    kind: Literal["png", "jpeg", "tiff"]
    width: int
    height: int
    bits: int
    channels: int


def read_header(path: Path) -> ImageHeader | None:
    """The header of a PNG, JPEG or TIFF file, by its content and not by its name; None for anything else.

    Raises OSError, or struct.error and ValueError on a damaged header.
    """
    with path.open("rb") as file:
        magic = file.read(8)
        file.seek(0)
        if magic == b"\x89PNG\r\n\x1a\n":
            return _png(file)
        if magic[:3] == b"\xff\xd8\xff":
            return _jpeg(file)
        if magic[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            return _tiff(file, magic)
    return None


def _png(file: BinaryIO) -> ImageHeader:
    file.seek(16)
    width, height, bits, kind = struct.unpack(">IIBB", file.read(10))
    return ImageHeader("png", width, height, max(8, bits), _PNG_CHANNELS.get(kind, 4))


def _jpeg(file: BinaryIO) -> ImageHeader:
    file.seek(2)
    for _ in range(_MAX_STEPS):
        prefix, marker = struct.unpack(">BB", file.read(2))
        while marker == 0xFF:
            (marker,) = file.read(1)
        if prefix != 0xFF:
            break
        (length,) = struct.unpack(">H", file.read(2))
        if marker in _JPEG_FRAMES:
            bits, height, width, channels = struct.unpack(">BHHB", file.read(6))
            return ImageHeader("jpeg", width, height, bits, channels)
        file.seek(length - 2, 1)
    raise ValueError("no picture in the JPEG file")


def _tiff(file: BinaryIO, magic: bytes) -> ImageHeader:
    order = "<" if magic[:2] == b"II" else ">"
    big = magic[2:4] in (b"+\0", b"\0+")
    entry = order + ("HHQ8s" if big else "HHI4s")
    file.seek(8 if big else 4)
    (start,) = struct.unpack(order + ("Q" if big else "I"), file.read(8 if big else 4))
    file.seek(start)
    (count,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
    values = {_TIFF_BITS: 1, _TIFF_CHANNELS: 1}
    entries = [struct.unpack(entry, file.read(struct.calcsize(entry))) for _ in range(min(count, _MAX_STEPS))]
    for tag, kind, number, data in entries:
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_CHANNELS):
            values[tag] = _tiff_value(file, order, kind, number, data)
    if _TIFF_WIDTH not in values or _TIFF_HEIGHT not in values:
        raise ValueError("no picture in the TIFF file")
    return ImageHeader(
        "tiff", values[_TIFF_WIDTH], values[_TIFF_HEIGHT], max(8, values[_TIFF_BITS]), values[_TIFF_CHANNELS]
    )


def _tiff_value(file: BinaryIO, order: str, kind: int, number: int, data: bytes) -> int:
    """The first value of a tag: SHORT (3), LONG (4) or LONG8 (16), in the entry itself or where it points."""
    code = {3: "H", 4: "I", 16: "Q"}.get(kind)
    if code is None:
        raise ValueError(f"TIFF tag of type {kind}")
    size = struct.calcsize(order + code)
    if size * number > len(data):
        (place,) = struct.unpack(order + ("Q" if len(data) == 8 else "I"), data)
        file.seek(place)
        data = file.read(size)
    return int(struct.unpack(order + code, data[:size])[0])
