"""How a PNG says what its code values mean: the cICP chunk (PNG, third edition, 11.3.2.6), H.273 numbers."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER_END = 8 + 25  # the signature and the IHDR chunk, which comes first
_MOST_CHUNKS = 4096


@dataclass(frozen=True)
class Cicp:
    """Primaries and transfer as in `propagation.color.tags`; matrix is always 0 (RGB), range full or limited."""

    primaries: int
    transfer: int
    full_range: bool = True


def read_cicp(path: Path) -> Cicp | None:
    """What the PNG at `path` states, or None. Raises OSError and struct.error on a damaged file."""
    with path.open("rb") as file:
        if file.read(8) != _SIGNATURE:
            return None
        for _ in range(_MOST_CHUNKS):
            length, kind = struct.unpack(">I4s", file.read(8))
            if kind == b"cICP" and length == 4:
                primaries, transfer, _, full = file.read(4)
                return Cicp(primaries, transfer, bool(full))
            if kind in (b"IDAT", b"IEND"):
                return None
            file.seek(length + 4, 1)
    return None


def with_cicp(png: bytes, cicp: Cicp) -> bytes:
    """The PNG file `png`, which has none, with the chunk in its place before the pixels."""
    body = b"cICP" + bytes((cicp.primaries, cicp.transfer, 0, cicp.full_range))
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_HEADER_END] + chunk + png[_HEADER_END:]
