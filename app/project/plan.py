"""A project as what the jobs take: key frames with their pictures.

Strokes alone are hints, a picture alone is a full key. Strokes over a picture are hints whose background is the picture
at a small strength: near a stroke the stroke wins, away from it the picture holds, so that a scribble corrects a kept
frame the way it colors a grey one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.errors import ProjectError
from app.keyframes import Keyframe
from app.project.document import KeyFrame, Picture, Project, Stroke
from app.project.raster import HintRaster

Rgb8 = NDArray[np.uint8]

# Strength of a picture under strokes, out of 255.
UNDER_STRENGTH = 26


def job_keyframes(project: Project, frame_rgb: Callable[[int], Rgb8]) -> tuple[Keyframe, ...]:
    """Every key frame of `project` as the jobs take it, in frame order.

    `frame_rgb(n)` gives frame n of the clip as (H, W, 3) uint8; it is asked only where a protect stroke needs it.
    Key frames whose strokes leave nothing (all erased) are left out. Raises ProjectError for a damaged picture.
    """
    found = (job_keyframe(project, frame, frame_rgb) for frame in project.key_numbers())
    return tuple(keyframe for keyframe in found if keyframe is not None)


def job_keyframe(project: Project, frame: int, frame_rgb: Callable[[int], Rgb8]) -> Keyframe | None:
    """One key frame as the jobs take it, or None where nothing is left of it."""
    key = project.key(frame)
    if key.picture is not None and not key.strokes:
        image = decode_picture(key.picture)
        if not key.picture.is_hints:
            return Keyframe(frame, "key", image=image)
        return Keyframe(frame, "hints", image=image) if image[..., 3].any() else None
    if project.source is None or key.is_empty:
        return None
    protected = frame_rgb(frame) if needs_frame(key.strokes) else None
    image = start_raster(key, project.source.width, project.source.height, protected).image
    return Keyframe(frame, "hints", image=image) if image[..., 3].any() else None


def start_raster(key: KeyFrame, width: int, height: int, protected: Rgb8 | None) -> HintRaster:
    """The hint raster of `key`: its picture, a whole one at UNDER_STRENGTH, and all its strokes over it."""
    raster = HintRaster(width, height, protected)
    if key.picture is not None:
        picture = to_8_bit(decode_picture(key.picture))
        raster.image[..., : picture.shape[2]] = picture
        if not key.picture.is_hints:
            raster.image[..., 3] = UNDER_STRENGTH
        raster.rest()
    for stroke in key.strokes:
        raster.begin(stroke)
    return raster


def needs_frame(strokes: Iterable[Stroke]) -> bool:
    """Whether any stroke keeps the frame's own color, so that drawing them needs the frame."""
    return any(stroke.tool == "protect" for stroke in strokes)


def decode_picture(picture: Picture) -> NDArray[Any]:
    """(H, W, 3) or (H, W, 4) RGB[A], uint8 or uint16, of a picture of the project. Raises ProjectError."""
    try:
        image = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None or image.shape[:2] != (picture.height, picture.width):
        raise ProjectError(f"the picture {picture.origin} in the project is damaged", advice="Import it again")
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.shape[2] == 4:
        return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def encode_picture(image: NDArray[Any], origin: str) -> Picture:
    """`image`, (H, W, 3 or 4) RGB[A] uint8 or uint16, as a picture of the project.

    An alpha channel that is full everywhere says nothing and is left out; any other makes it a picture of hints.
    """
    has_alpha = image.shape[2] == 4 and bool((image[..., 3] < np.iinfo(image.dtype).max).any())
    if has_alpha:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGBA2BGRA)
    else:
        bgr = cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2BGR)
    done, png = cv2.imencode(".png", bgr, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ProjectError(f"the picture {origin} cannot be kept", advice="Save it as an 8- or 16-bit RGB picture")
    return Picture(png.tobytes(), image.shape[1], image.shape[0], origin)


def to_8_bit(image: NDArray[Any]) -> Rgb8:
    """8-bit code values of 8- or 16-bit ones, rounded."""
    if image.dtype == np.uint8:
        return image
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)
