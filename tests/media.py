"""Tiny clips for tests, made with PyAV: every picture shows its own number, so that no decoder has to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

BITS = 10  # of the number painted into a picture
# An honest long GOP: one key picture in 250, three B-pictures in a row that refer to each other.
LONG_GOP = {"g": "250", "bf": "3", "preset": "veryfast", "x264-params": "b-pyramid=normal:scenecut=0", "crf": "12"}
# A key picture every 12, with B-pictures before it in display order that need it and the GOP before.
OPEN_GOP = {"g": "12", "bf": "3", "preset": "veryfast", "x264-params": "open-gop=1:scenecut=0:b-adapt=0", "crf": "12"}


@dataclass(frozen=True)
class Recipe:
    """What a generated clip is made of; `pts` counts in `time_base` and has one entry for every frame."""

    frames: int = 30
    width: int = 64
    height: int = 48
    codec: str = "libx264"
    pixel_format: str = "yuv420p"
    rate: Fraction = Fraction(25)
    time_base: Fraction | None = None
    pts: Sequence[int] | None = None
    options: dict[str, str] = field(default_factory=lambda: {"g": "8", "bf": "2", "preset": "veryfast", "crf": "12"})
    # FFmpeg's numbers: primaries, transfer, matrix as in H.273 (2 = nothing stated), range 0 nothing / 1 limited / 2
    # full.
    tags: tuple[int, int, int, int] = (2, 2, 2, 0)
    rotation: int = 0
    mirrored: bool = False
    sample_aspect: Fraction = Fraction(1)
    sound: str = ""  # an encoder's name, such as "aac"


def picture(number: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """(height, width, 3) grey ramp below a bar of blocks, white for a 1, that spell `number` with its lowest bit
    left."""
    y, x = np.mgrid[:height, :width]
    ramp = 40 + (2 * x + y + 5 * number) % 160
    bits = number >> np.minimum(x * BITS // width, BITS - 1) & 1
    grey = np.where(y < height // 2, 20 + 200 * bits, ramp).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def number_in(image: NDArray[Any]) -> int:
    """The number a `picture` shows, whatever the depth and the coding losses."""
    height, width = image.shape[:2]
    middle = np.iinfo(image.dtype).max * 0.45
    columns = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum((image[height // 5, column, :3].mean() > middle) << bit for bit, column in enumerate(columns))


def make_clip(path: Path, recipe: Recipe | None = None, **changes: Any) -> Path:
    """Write the clip that `recipe`, with `changes`, describes, and return its path."""
    recipe = Recipe(**changes) if recipe is None else recipe
    with av.open(str(path), "w") as container:
        stream = _add_pictures(container, recipe)
        sound = container.add_stream(recipe.sound, rate=48000) if recipe.sound else None
        for n in range(recipe.frames):
            container.mux(stream.encode(_coded(n, recipe)))
        container.mux(stream.encode(None))
        if sound is not None:
            _add_sound(container, sound, recipe)
    return path


def _add_pictures(container: Any, recipe: Recipe) -> Any:
    stream = container.add_stream(recipe.codec, rate=recipe.rate, options=dict(recipe.options))
    stream.width, stream.height = recipe.width, recipe.height
    stream.pix_fmt = recipe.pixel_format
    context = stream.codec_context
    context.thread_count = 1  # pictures this small only wait for each other
    context.color_primaries, context.color_trc, context.colorspace, context.color_range = recipe.tags
    context.sample_aspect_ratio = recipe.sample_aspect
    context.time_base = stream.time_base = recipe.time_base or 1 / recipe.rate
    if recipe.rotation or recipe.mirrored:
        stream.set_display_rotation(recipe.rotation, hflip=recipe.mirrored)
    return stream


def _coded(n: int, recipe: Recipe) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(picture(n, recipe.width, recipe.height), format="rgb24")
    frame = rgb.reformat(format=recipe.pixel_format)
    frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = recipe.tags
    frame.pts = n if recipe.pts is None else recipe.pts[n]
    frame.time_base = recipe.time_base or 1 / recipe.rate
    return frame


def _add_sound(container: Any, stream: Any, recipe: Recipe) -> None:
    seconds = float(recipe.frames / recipe.rate)
    samples = np.sin(np.arange(int(48000 * seconds)) * 0.05).astype(np.float32) * 0.3
    size = stream.codec_context.frame_size or 1024
    for start in range(0, len(samples) - size, size):
        block = np.repeat(samples[None, start : start + size], 2, axis=0)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def make_planes(path: Path, planes: Sequence[NDArray[Any]], pixel_format: str, **changes: Any) -> Path:
    """Write one picture of exactly these coded values with FFV1, which loses none; planes in the format's own order."""
    recipe = Recipe(codec="ffv1", pixel_format=pixel_format, options={}, **changes)
    height, width = planes[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream = _add_pictures(container, recipe)
        stream.width, stream.height = width, height
        frame = av.VideoFrame(width, height, pixel_format)
        for plane, values in zip(frame.planes, planes, strict=True):
            lines = np.zeros((plane.height, plane.line_size // values.itemsize), values.dtype)
            flat = values.reshape(plane.height, -1)
            lines[:, : flat.shape[1]] = flat
            plane.update(lines.tobytes())
        frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = recipe.tags
        frame.pts, frame.time_base = 0, 1 / recipe.rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_png(path: Path, rgb: NDArray[Any]) -> Path:
    """Write (H, W), (H, W, 3) RGB or (H, W, 4) RGBA with OpenCV, in a format its suffix names."""
    swap = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    ordered = cv2.cvtColor(rgb, swap[rgb.shape[2]]) if rgb.ndim == 3 else rgb
    assert cv2.imwrite(str(path), ordered)
    return path
