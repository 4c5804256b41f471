"""An HDR key held against its frame, as a person sees it before it is taken. No Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from propagation.hdr.response import CLIPPED, LEVELS, Response, to_256
from propagation.video.hdr_images import Encoding

Floats = NDArray[np.float32]
Rgb8 = NDArray[np.uint8]

_DIFFERENCE_GAIN = 4


@dataclass(frozen=True, eq=False)
class KeyLook:
    """A key beside its frame. `words`: what registration found; `notes`: what was repaired or looks odd. Pictures
    (H, W, 3) uint8: the `frame`, the key `shown` as the clip's camera would, their `difference` (mid-grey where they
    agree, four times as large elsewhere) and both `overlaid`, the frame in red and the key in cyan, so that what is
    shifted has colored rims. `light` (H, W, 3) in the clip's primaries and the key's unit, in which the clip's white is
    `white`."""

    index: int
    path: Path
    encoding: Encoding | None
    words: str
    notes: tuple[str, ...]
    response: Response
    light: Floats
    white: float
    frame: Rgb8
    shown: Rgb8
    difference: Rgb8
    overlaid: Rgb8


def look_at_key(clip_path: Path, index: int, key_path: Path, encoding: Encoding | None = None) -> KeyLook:
    """Holds the HDR picture at `key_path` against frame `index` of a clip, as `hdr_job` will.

    Raises MediaError, RangeError, and HintError for a key that cannot be right or a clip that is HDR already.
    """
    from app.hdr import refuse_hdr_clip
    from propagation.color.primaries import chromaticities_of
    from propagation.hdr.keys import read_key
    from propagation.hdr.registration import check_coding, find_shift, pair_of, register
    from propagation.hdr.response import estimate_response
    from propagation.video.reader import open_clip

    with open_clip(clip_path) as clip:
        refuse_hdr_clip(clip.info)
        codes = np.ascontiguousarray(clip.frame(index).image[..., :3])
        size = clip.info.width, clip.info.height
        key = read_key(index, key_path, *size, chromaticities_of(clip.info.tags.primaries), encoding=encoding)
    shift, alike = find_shift(codes, key)
    response = estimate_response([pair_of(codes, key, shift)])
    remark = check_coding(key, response)
    report = register(codes, key, shift, alike, response, 0)
    frame = to_256(codes)
    shown = as_camera(pair_of(codes, key, shift).light, response)
    apart = frame.astype(np.int16) - shown
    difference = np.clip(128 + _DIFFERENCE_GAIN * apart, 0, 255).astype(np.uint8)
    luma, other = (np.rint(x @ np.array([0.299, 0.587, 0.114])).astype(np.uint8) for x in (frame, shown))
    overlaid = np.dstack([luma, other, other])
    notes = (*key.notes, *((remark,) if remark else ()))
    white = float(10 ** response.white.mean())
    pictures = (frame, shown, difference, overlaid)
    return KeyLook(index, key_path, encoding, report.words(), notes, response, key.light, white, *pictures)


def as_camera(light: Floats, response: Response) -> Rgb8:
    """8-bit code values (H, W, 3) that the clip's camera makes of light in the key's unit, at the key's exposure."""
    with np.errstate(divide="ignore"):
        logs = np.log10(light)
    out = np.empty(light.shape, np.uint8)
    for channel, clipped in enumerate(response.clipped_from):
        codes = np.interp(logs[..., channel], response.curve[:, channel], np.arange(LEVELS))
        out[..., channel] = np.rint(codes if clipped >= CLIPPED else np.minimum(codes, clipped))
    return out
