"""Puts carried color on a frame: its own L* at full precision, new a and b, out-of-gamut chroma lowered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from app.keyframes import Painted

if TYPE_CHECKING:
    from propagation.video.frame import Frame

Float = NDArray[np.float32]

# Alpha at its maximum means that a and b are the user's own; below it the networks decide how far to follow.
_EXACT = 1.0 - 1e-6

# Chroma that 95 % of a grey frame stays under: 8-bit chroma planes round to within 2, compression adds as much.
_GREY_CHROMA = 4.0


def recolor(frame: Frame, lightness: Float, ab: Float) -> Frame:
    """`frame` with `lightness`, its own L* (H, W), and `ab` (H, W, 2); alpha and code values' depth stay."""
    from propagation.color.lab import colored_frame

    image = colored_frame(lightness, ab, frame.tags, frame.image.dtype.type)
    if frame.image.shape[2] == 4:
        image = np.concatenate([image, frame.image[..., 3:]], axis=2)
    return replace(frame, image=image)


def drop_color(frame: Frame) -> Frame:
    """`frame` in grey: its own L*, a = b = 0."""
    lightness = lightness_of(frame)
    return recolor(frame, lightness, np.zeros((*lightness.shape, 2), np.float32))


def lab_of(frame: Frame) -> Float:
    """CIE Lab (D65) of a frame, (H, W, 3) float32, its alpha left out."""
    from propagation.color.lab import frame_to_lab

    lab: Float = frame_to_lab(np.ascontiguousarray(frame.image[..., :3]), frame.tags)
    return lab


def lightness_of(frame: Frame) -> Float:
    """L* alone, (H, W) float32 in 0..100: cheaper than all of Lab."""
    from propagation.color.lab import frame_to_lightness

    lightness: Float = frame_to_lightness(np.ascontiguousarray(frame.image[..., :3]), frame.tags)
    return lightness


def reach_picture(reach: Float, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """`reach` (h, w) in 0..1 as an 8-bit picture of (height, width) `shape`, white where the hints rule."""
    import cv2

    full = cv2.resize(reach, shape[::-1], interpolation=cv2.INTER_LINEAR)
    picture: NDArray[np.uint8] = np.rint(np.clip(full, 0, 1) * 255).astype(np.uint8)
    return picture


def keep_exact(ab: Float, painted: Painted) -> Float:
    """`ab` (H, W, 2) with the user's own a and b where the strength is full."""
    exact: Float = np.where(painted.strength[..., None] >= _EXACT, painted.ab, ab)
    return exact


def has_color(lab: Float) -> bool:
    """Whether a frame shows more color than a grey picture's rounding and compression."""
    return float(np.percentile(np.hypot(lab[..., 1], lab[..., 2]), 95)) > _GREY_CHROMA
