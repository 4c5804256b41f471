"""OpenEXR pictures: half and float RGB in and out, with their chromaticities.

The header is read here first, byte by byte, so that the limits hold before the library allocates anything.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from propagation.color.primaries import BT709, Chromaticities
from propagation.errors import LimitError, MediaError, OutputError
from propagation.video.container import check_plain_file, media_boundary
from propagation.video.limits import LIMITS, check_count, check_picture

Compression = Literal["zip", "piz"]
PixelType = Literal["half", "float"]

LARGEST_HALF = 65504.0
_MAGIC = 20000630
_DEEP, _MULTIPART = 0x800, 0x1000  # bits of the version field
_TYPE_BYTES = {0: 4, 1: 2, 2: 4}  # uint, half, float
_MOST_ATTRIBUTES = 4096


@dataclass(frozen=True)
class ExrHeader:
    """What a file claims: its windows as (left, top, right, bottom), inclusive, and the bytes of every channel."""

    data_window: tuple[int, int, int, int]
    display_window: tuple[int, int, int, int]
    channel_bytes: dict[str, int]
    chromaticities: Chromaticities | None = None
    white_nits: float | None = None


@dataclass(frozen=True, eq=False)
class ExrPicture:
    """`image`: (H, W, 3) float32 as stored, the display window of the file. `notes`: what was left out or filled."""

    image: NDArray[np.float32]
    is_half: bool
    chromaticities: Chromaticities
    white_nits: float | None
    notes: tuple[str, ...] = field(default=())


def is_exr(path: Path) -> bool:
    """Whether the file begins as OpenEXR does."""
    with path.open("rb") as file:
        return file.read(4) == struct.pack("<I", _MAGIC)


def read_exr_header(path: Path) -> ExrHeader:
    """The header of the (first part of the) file, held against the limits. Raises MissingMediaError, LimitError,
    MediaError."""
    check_plain_file(path)
    with media_boundary(path, "read it as an EXR picture"), path.open("rb") as file:
        magic, version = struct.unpack("<II", file.read(8))
        if magic != _MAGIC:
            raise MediaError("is not an EXR picture", path=path)
        if version & _DEEP:
            raise MediaError("holds deep pixels", path=path, advice="Flatten it and save it as RGB")
        attributes = _attributes(file, path)
        header = _header(attributes, path)
        file_bytes = path.stat().st_size
    width, height = _size(header.data_window)
    for sides in ((width, height), _size(header.display_window)):
        check_picture(path, *sides, bytes_per_pixel=sum(header.channel_bytes.values()), file_bytes=file_bytes)
    return header


def read_exr(path: str | Path) -> ExrPicture:
    """The RGB (or grey) of an EXR file. Raises MissingMediaError, LimitError, or MediaError for deep, luma-chroma and
    other pictures without red, green and blue."""
    path = Path(path)
    header = read_exr_header(path)
    with media_boundary(path, "read it as an EXR picture"):
        import OpenEXR

        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: np.asarray(channel.pixels) for name, channel in file.parts[0].channels.items()}
            names = _rgb_names(list(channels), path)
            notes = [f"channel {name} is left out" for name in sorted(set(channels) - set(names))]
            planes = [channels[name] for name in names]
            is_half = all(plane.dtype == np.float16 for plane in planes)
            image = np.stack([plane.astype(np.float32) for plane in planes], axis=2)
    image, filled = _in_display_window(image, header, path)
    return ExrPicture(image, is_half, header.chromaticities or BT709, header.white_nits, (*notes, *filled))


def fits_half(image: NDArray[Any]) -> bool:
    """Whether half precision holds every value of the picture exactly."""
    if not image.size or float(np.nanmax(np.abs(image))) > LARGEST_HALF:
        return False
    return bool(np.array_equal(image.astype(np.float16).astype(np.float32), image, equal_nan=True))


def write_exr(
    temporary: Path,
    image: NDArray[np.float32],
    *,
    pixel_type: PixelType = "half",
    compression: Compression = "zip",
    chromaticities: Chromaticities = BT709,
    white_nits: float | None = None,
) -> PixelType:
    """Writes (H, W, 3) to `temporary`, a name that `propagation.atomic` handed out; returns the type that was written.

    Values above 65,504 do not exist in half and would become infinite: such a picture is written as float. Raises
    OutputError for NaN and infinite values, which no picture of ours holds.
    """
    import OpenEXR

    if not np.isfinite(image).all():
        raise OutputError("a picture with NaN or infinite values is not written", path=temporary)
    if image.size and float(np.abs(image).max()) > LARGEST_HALF:
        pixel_type = "float"
    pixels = np.ascontiguousarray(image, np.float16 if pixel_type == "half" else np.float32)
    kinds = {"zip": OpenEXR.ZIP_COMPRESSION, "piz": OpenEXR.PIZ_COMPRESSION}
    header: dict[str, Any] = {"compression": kinds[compression], "type": OpenEXR.scanlineimage}
    header["chromaticities"] = chromaticities.numbers
    if white_nits is not None:
        header["whiteLuminance"] = float(white_nits)
    try:
        with OpenEXR.File(header, {"RGB": pixels}) as file:
            file.write(str(temporary))
    except RuntimeError as error:
        raise OutputError(f"the EXR library could not write it: {error}", path=temporary) from error
    return pixel_type


def _attributes(file: BinaryIO, path: Path) -> dict[str, bytes]:
    """The raw attributes of the first header."""
    found: dict[str, bytes] = {}
    for _ in range(_MOST_ATTRIBUTES):
        name = _text(file)
        if not name:
            return found
        _text(file)  # its type, which the names used here imply
        (size,) = struct.unpack("<i", file.read(4))
        check_count(path, "bytes of metadata", max(size, 0), LIMITS.metadata_bytes)
        if size < 0:
            raise ValueError(f"attribute {name} of {size} bytes")
        found[name] = file.read(size)
    raise LimitError("has more attributes than a picture needs", path=path)


def _text(file: BinaryIO) -> str:
    letters = bytearray()
    while (letter := file.read(1)) != b"\0":
        if not letter or len(letters) > 255:
            raise ValueError("its header is damaged")
        letters += letter
    return letters.decode("latin-1")


def _header(attributes: dict[str, bytes], path: Path) -> ExrHeader:
    if "dataWindow" not in attributes or "channels" not in attributes:
        raise MediaError("is a damaged EXR picture: windows or channels are missing", path=path)
    data = struct.unpack("<4i", attributes["dataWindow"])
    display = struct.unpack("<4i", attributes.get("displayWindow", attributes["dataWindow"]))
    chromaticities = None
    if len(attributes.get("chromaticities", b"")) == 32:
        x = struct.unpack("<8f", attributes["chromaticities"])
        chromaticities = _checked(Chromaticities(x[0:2], x[2:4], x[4:6], x[6:8]), path)
    white = attributes.get("whiteLuminance", b"")
    white_nits = struct.unpack("<f", white)[0] if len(white) == 4 else None
    return ExrHeader(data, display, _channel_bytes(attributes["channels"]), chromaticities, white_nits)


def _checked(chromaticities: Chromaticities, path: Path) -> Chromaticities:
    if not chromaticities.is_usable:
        raise MediaError("states primaries that span no colours", path=path, advice="Save it with BT.709 primaries")
    return chromaticities


def _channel_bytes(data: bytes) -> dict[str, int]:
    """Bytes a pixel of every channel in a chlist attribute; subsampled ones count in full."""
    sizes: dict[str, int] = {}
    place = 0
    while place < len(data) and data[place]:
        end = data.index(b"\0", place)
        (kind,) = struct.unpack_from("<i", data, end + 1)
        sizes[data[place:end].decode("latin-1")] = _TYPE_BYTES.get(kind, 4)
        place = end + 17
    return sizes


def _rgb_names(names: list[str], path: Path) -> list[str]:
    """The three channels to read: R, G, B, or those of the only layer that has them, or Y alone thrice."""
    if {"RY", "BY"} & set(names):
        raise MediaError("holds luma and chroma instead of RGB", path=path, advice="Save it as RGB")
    layers = [name[:-1] for name in names if name.endswith("R") and {name[:-1] + "G", name[:-1] + "B"} <= set(names)]
    if "" in layers or len(layers) == 1:
        layer = "" if "" in layers else layers[0]
        return [layer + color for color in "RGB"]
    if "Y" in names:
        return ["Y"] * 3
    raise MediaError(f"has no channels R, G and B, but {', '.join(sorted(names)) or 'none'}", path=path)


def _size(window: tuple[int, int, int, int]) -> tuple[int, int]:
    return window[2] - window[0] + 1, window[3] - window[1] + 1


def _in_display_window(
    image: NDArray[np.float32], header: ExrHeader, path: Path
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """The part of the stored picture that is to be seen, black where nothing is stored."""
    width, height = _size(header.data_window)
    if image.shape[:2] != (height, width):
        raise MediaError("has channels of different sizes", path=path, advice="Save it as plain RGB")
    if header.data_window == header.display_window:
        return image, ()
    wide, tall = _size(header.display_window)
    left, top = (header.data_window[i] - header.display_window[i] for i in (0, 1))
    seen = np.zeros((tall, wide, 3), np.float32)
    rows = slice(max(top, 0), min(top + height, tall))
    columns = slice(max(left, 0), min(left + width, wide))
    if rows.start < rows.stop and columns.start < columns.stop:
        seen[rows, columns] = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    covered = left <= 0 and top <= 0 and left + width >= wide and top + height >= tall
    return seen, () if covered else ("pixels outside the data window are black",)
