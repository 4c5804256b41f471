"""HDR pictures in and out as scene-linear RGB: EXR, Radiance HDR, float and 16-bit TIFF, 16-bit PNG.

What the numbers of an integer picture mean is taken from its tag or said by the caller, never guessed. One unit of
scene-linear light is the white of an ordinary picture, 203 cd/m2 (ITU-R BT.2408), unless an EXR file states another
white; linear files keep their own unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.color.hlg import REFERENCE_WHITE_SIGNAL, hlg_inverse_oetf, hlg_oetf
from propagation.color.pq import pq_eotf, pq_inverse_eotf
from propagation.color.primaries import BT709, BT2020, Chromaticities, chromaticities_of, rgb_to_rgb
from propagation.errors import MediaError, OutputError
from propagation.video.cicp import Cicp, read_cicp, with_cicp
from propagation.video.container import check_plain_file, media_boundary
from propagation.video.exr import is_exr, read_exr
from propagation.video.image_header import read_header
from propagation.video.limits import check_picture

Encoding = Literal["linear", "pq", "hlg"]
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)
REFERENCE_WHITE_NITS = 203.0
HDR_SUFFIXES = frozenset({".exr", ".hdr", ".tif", ".tiff", ".png"})

_OF_TRANSFER: dict[int, Encoding] = {8: "linear", 16: "pq", 18: "hlg"}
_TRANSFER_OF = {encoding: number for number, encoding in _OF_TRANSFER.items()}
_HLG_WHITE = float(hlg_inverse_oetf(np.array(REFERENCE_WHITE_SIGNAL)))
_RADIANCE_SIZE = re.compile(rb"([-+][YX]) +(\d+) +([-+][YX]) +(\d+)")
_RADIANCE_HEADER_BYTES = 16384
_ADVICE = "Say how its values are coded: linear, pq or hlg (--key-encoding)"


@dataclass(frozen=True, eq=False)
class HdrImage:
    """`image`: (H, W, 3) float32 scene-linear RGB of `chromaticities`, exactly what the file says: negative values,
    NaN and infinities are the caller's to judge. `white_nits`: the luminance of (1, 1, 1). `bits`: of a channel in the
    file."""

    image: NDArray[np.float32]
    chromaticities: Chromaticities = BT709
    encoding: Encoding = "linear"
    white_nits: float = REFERENCE_WHITE_NITS
    bits: int = 32
    notes: tuple[str, ...] = ()


def read_hdr(path: str | Path, encoding: Encoding | None = None) -> HdrImage:
    """The HDR picture at `path`; `encoding` overrides what the file says of itself.

    Raises MissingMediaError, LimitError, or MediaError: for an 8-bit picture, for one that is tagged as ordinary
    video, and for integer values of which neither the file nor the caller says what they mean.
    """
    path = Path(path)
    check_plain_file(path)
    with media_boundary(path, "read it as an HDR picture"):
        if is_exr(path):
            return _from_exr(path, encoding)
        radiance = _radiance_header(path)
        if radiance is not None:
            return _from_radiance(path, radiance, encoding)
        return _from_picture(path, encoding)


def encode_hdr(image: NDArray[np.float32], path: Path, source: HdrImage, encoding: Encoding | None = None) -> bytes:
    """The bytes of a .hdr, .tif or .png file of (H, W, 3) light in the unit and primaries of `source`.

    PNG holds 16 bits in BT.2020, coded as `encoding` (PQ unless said), tagged by cICP; TIFF holds float32 as it is;
    Radiance HDR 8 bits and an exponent (0.4 % of a pixel's largest channel) in BT.709. Raises OutputError.
    """
    suffix = path.suffix.lower()
    if suffix == ".png":
        return _png(image, source, encoding or "pq", path)
    if encoding not in (None, "linear"):
        raise OutputError(f"'{suffix}' pictures are written scene-linear, not as {encoding}", path=path)
    if suffix in (".tif", ".tiff"):
        return _encoded(suffix, image, path)
    if suffix == ".hdr":
        return _encoded(suffix, np.maximum(converted(image, source.chromaticities, BT709), 0), path)
    raise OutputError(f"cannot write HDR as '{path.suffix}'", path=path, advice="Use .exr, .png, .tif or .hdr")


def converted(image: NDArray[np.float32], source: Chromaticities, target: Chromaticities) -> NDArray[np.float32]:
    """(H, W, 3) linear RGB of `source` in the primaries of `target`; the picture itself where they are the same."""
    if source.is_like(target):
        return image
    return np.asarray(cv2.transform(image, rgb_to_rgb(source, target)), np.float32)


def _from_exr(path: Path, encoding: Encoding | None) -> HdrImage:
    if encoding not in (None, "linear"):
        raise MediaError(f"is an EXR picture, which is scene-linear and not {encoding}", path=path)
    picture = read_exr(path)
    nits = picture.white_nits if picture.white_nits and picture.white_nits > 0 else REFERENCE_WHITE_NITS
    bits = 16 if picture.is_half else 32
    return HdrImage(picture.image, picture.chromaticities, "linear", nits, bits, picture.notes)


def _radiance_header(path: Path) -> tuple[int, int, Chromaticities] | None:
    """(width, height, chromaticities) of a Radiance file, None for anything else."""
    with path.open("rb") as file:
        head = file.read(_RADIANCE_HEADER_BYTES)
    if not head.startswith((b"#?RADIANCE", b"#?RGBE")):
        return None
    lines, _, rest = head.partition(b"\n\n")
    size = _RADIANCE_SIZE.match(rest)
    if size is None:
        raise MediaError("is a damaged Radiance HDR picture", path=path)
    sides = {size[1][1:]: int(size[2]), size[3][1:]: int(size[4])}
    stated = re.search(rb"^PRIMARIES=(.*)$", lines, re.MULTILINE)
    numbers = [float(number) for number in stated[1].split()] if stated else []
    chromaticities = BT709
    if len(numbers) == 8:
        given = Chromaticities(*((x, y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)))
        # Some programs write eight zeros where they know none.
        chromaticities = given if given.is_usable else BT709
    return sides[b"X"], sides[b"Y"], chromaticities


def _from_radiance(path: Path, header: tuple[int, int, Chromaticities], encoding: Encoding | None) -> HdrImage:
    if encoding not in (None, "linear"):
        raise MediaError(f"is a Radiance HDR picture, which is scene-linear and not {encoding}", path=path)
    width, height, chromaticities = header
    check_picture(path, width, height, bytes_per_pixel=12, file_bytes=path.stat().st_size)
    return HdrImage(_decoded(path)[..., ::-1].copy(), chromaticities, bits=8)


def _from_picture(path: Path, encoding: Encoding | None) -> HdrImage:
    header = read_header(path)
    if header is None:
        raise MediaError("is no picture that can hold HDR", path=path, advice="Use EXR, HDR, float TIFF or 16-bit PNG")
    if header.kind == "jpeg" or header.bits <= 8:
        raise MediaError(
            f"is an 8-bit {header.kind.upper()} picture and holds no more light than the clip itself",
            path=path,
            advice="Give an EXR, Radiance HDR, float TIFF or 16-bit PQ or HLG picture",
        )
    bytes_per_pixel = header.channels * header.bits // 8
    check_picture(path, header.width, header.height, bytes_per_pixel=bytes_per_pixel, file_bytes=path.stat().st_size)
    tag = read_cicp(path) if header.kind == "png" else None
    values = _decoded(path)
    rgb = np.ascontiguousarray(values[..., 2::-1])
    if values.dtype == np.float32:
        if encoding not in (None, "linear"):
            raise MediaError(f"holds floating-point light, not {encoding} code values", path=path)
        return HdrImage(rgb, bits=32)
    chosen = encoding or _tagged(tag, path)
    tagged = chromaticities_of(tag.primaries) if tag is not None else None
    native = BT2020 if chosen in ("pq", "hlg") else BT709
    return HdrImage(_light(rgb, chosen), tagged or native, chosen, bits=16)


def _tagged(tag: Cicp | None, path: Path) -> Encoding:
    if tag is None:
        raise MediaError("does not say what its 16-bit values mean", path=path, advice=_ADVICE)
    if tag.transfer not in _OF_TRANSFER:
        raise MediaError(
            f"is tagged as an ordinary picture (transfer {tag.transfer} of H.273), which ends at white",
            path=path,
            advice=f"If the tag is wrong: {_ADVICE[0].lower()}{_ADVICE[1:]}",
        )
    return _OF_TRANSFER[tag.transfer]


def _light(code_values: NDArray[np.uint16], encoding: Encoding) -> NDArray[np.float32]:
    """Scene-linear light, 1 the reference white, of 16-bit code values."""
    signal = np.arange(65536) / 65535
    table = {
        "linear": lambda: signal,
        "pq": lambda: pq_eotf(signal) / REFERENCE_WHITE_NITS,
        "hlg": lambda: hlg_inverse_oetf(signal) / _HLG_WHITE,
    }[encoding]()
    return np.take(table.astype(np.float32), code_values)


def _png(image: NDArray[np.float32], source: HdrImage, encoding: Encoding, path: Path) -> bytes:
    if encoding == "linear":
        raise OutputError("16-bit PNG cannot hold linear light above white", path=path, advice="Use pq, hlg or .exr")
    # A picture that was read from such a file goes back into the same code values.
    primaries = next((n for n in (9, 1, 12) if source.encoding == encoding and chromaticities_of(n).is_like(
        source.chromaticities)), 9)
    light = converted(image, source.chromaticities, chromaticities_of(primaries)).astype(np.float64)
    if encoding == "pq":
        signal = pq_inverse_eotf(light * source.white_nits)
    else:
        signal = np.clip(hlg_oetf(light * (source.white_nits / REFERENCE_WHITE_NITS) * _HLG_WHITE), 0, 1)
    code_values = np.rint(signal * 65535).astype(np.uint16)
    return with_cicp(_encoded(".png", code_values, path), Cicp(primaries, _TRANSFER_OF[encoding]))


def _encoded(suffix: str, rgb: NDArray[Any], path: Path) -> bytes:
    parameters = [cv2.IMWRITE_PNG_COMPRESSION, 3] if suffix == ".png" else []
    done, data = cv2.imencode(suffix, np.ascontiguousarray(rgb[..., ::-1]), parameters)
    if not done:
        raise OutputError(f"the encoder of '{suffix}' refused the picture", path=path)
    return data.tobytes()


def _decoded(path: Path) -> NDArray[Any]:
    """(H, W, >= 3) BGR as stored."""
    decoded = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype not in (np.float32, np.uint16):
        raise MediaError("is damaged, or holds values that are neither float32 nor 16-bit", path=path)
    if decoded.ndim == 2 or decoded.shape[2] < 3:
        decoded = np.repeat(decoded.reshape(*decoded.shape[:2], -1)[..., :1], 3, axis=2)
    return decoded
