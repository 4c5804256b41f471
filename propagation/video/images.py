"""Stills: 8 and 16-bit PNG, JPEG and TIFF in; 8 and 16-bit PNG out, written whole or not at all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.atomic import atomic_write
from propagation.color.tags import STILL_TAGS
from propagation.errors import MediaError, OutputError
from propagation.video.container import check_plain_file, media_boundary
from propagation.video.frame import Frame
from propagation.video.image_header import ImageHeader, read_header
from propagation.video.limits import check_picture

READABLE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff"})
# OpenCV speaks BGR; these are the same swaps both ways.
_SWAP = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}


def read_image(path: str | Path) -> Frame:
    """The still at `path` as RGB or RGBA, uint8 or uint16 like the file; grey becomes three equal channels.

    The orientation a camera noted in a JPEG is applied. Raises MissingMediaError, LimitError or MediaError.
    """
    path = Path(path)
    header = check_image(path)
    with media_boundary(path, "read it as a picture"):
        data = np.fromfile(path, dtype=np.uint8)
        # IMREAD_UNCHANGED keeps depth and alpha but ignores the orientation, which only JPEG carries in practice.
        flags = cv2.IMREAD_COLOR if header.kind == "jpeg" else cv2.IMREAD_UNCHANGED
        decoded = cv2.imdecode(data, flags)
    if decoded is None:
        raise MediaError(f"is a damaged {header.kind.upper()} picture", path=path, advice="Save or copy it again")
    return Frame(_to_rgb(decoded, path), 0, STILL_TAGS, 0, Fraction(1))


def check_image(path: Path) -> ImageHeader:
    """Read the header of a still and hold it against the limits, before anything is decoded."""
    check_plain_file(path)
    with media_boundary(path, "read it as a picture"):
        header = read_header(path)
        file_bytes = path.stat().st_size
    if header is None:
        raise MediaError("is not a PNG, JPEG or TIFF picture", path=path)
    pixel_bytes = header.channels * (2 if header.bits > 8 else 1)
    check_picture(path, header.width, header.height, bytes_per_pixel=pixel_bytes, file_bytes=file_bytes)
    return header


def write_image(path: str | Path, image: NDArray[Any], overwrite: bool = False) -> None:
    """Write `image` (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16, as a PNG of the same depth.

    Raises OutputExistsError, OutputError or NoSpaceError; whatever was there is then unharmed.
    """
    path = Path(path)
    data = encode_png(image, path)
    with atomic_write(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def encode_png(image: NDArray[Any], path: Path) -> bytes:
    """The bytes of a PNG; `path` only names the file in the error."""
    if path.suffix.lower() != ".png":
        raise OutputError(f"cannot write a picture as '{path.suffix}'", path=path, advice="Use a name ending in .png")
    if image.dtype not in (np.uint8, np.uint16) or image.ndim not in (2, 3):
        raise OutputError(f"cannot write {image.dtype} pictures of shape {image.shape}", path=path)
    channels = image.shape[2] if image.ndim == 3 else 1
    ordered = cv2.cvtColor(image, _SWAP[channels]) if channels in _SWAP else image
    done, data = cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise OutputError("the PNG encoder refused the picture", path=path)
    return data.tobytes()


def _to_rgb(decoded: NDArray[Any], path: Path) -> NDArray[Any]:
    if decoded.dtype not in (np.uint8, np.uint16):
        raise MediaError(f"holds {decoded.dtype} values; 8 and 16-bit integers are read", path=path)
    if decoded.ndim == 2 or decoded.shape[2] == 1:
        return cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB)
    if decoded.shape[2] == 2:
        return np.ascontiguousarray(decoded[..., [0, 0, 0, 1]])
    if decoded.shape[2] not in _SWAP:
        raise MediaError(f"has {decoded.shape[2]} channels", path=path)
    return cv2.cvtColor(decoded, _SWAP[decoded.shape[2]])
