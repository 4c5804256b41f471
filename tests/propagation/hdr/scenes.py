"""A small scene with known light and a camera that looks at it: the truth that HDR tests hold results against."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.color.srgb import linear_to_srgb

Floats = NDArray[np.float32]

WIDTH, HEIGHT = 96, 64


def scene(margin: int = 40) -> Floats:
    """(HEIGHT + 2 margin, WIDTH + 2 margin, 3) light: soft texture, with lamps of 4 to 30 times white in it."""
    rng = np.random.default_rng(5)
    h, w = HEIGHT + 2 * margin, WIDTH + 2 * margin
    light = np.zeros((h, w, 3), np.float32)
    for cell in (4, 9, 23):
        coarse = rng.uniform(-1, 1, (h // cell + 2, w // cell + 2, 3)).astype(np.float32)
        light += cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
    light = np.float32(0.25) * np.exp(np.float32(0.55) * light)
    light *= np.linspace(0.4, 1.6, w, dtype=np.float32)[None, :, None]
    for x, y, size, level in ((margin + 30, margin + 20, 9, 6.0), (margin + 70, margin + 44, 6, 20.0)):
        near = np.hypot(*np.meshgrid(np.arange(w) - x, np.arange(h) - y)) / size
        light += np.float32(level) * np.exp(-(near**4)).astype(np.float32)[..., None] * np.float32([1.0, 0.9, 0.7])
    return light


def view(light: Floats, x: float, y: float, margin: int = 40) -> Floats:
    """(HEIGHT, WIDTH, 3): the scene from a camera moved by (x, y) pixels."""
    matrix = np.array([[1, 0, margin + x], [0, 1, margin + y]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(light, matrix, (WIDTH, HEIGHT), flags=flags), np.float32)


def camera(light: Floats, exposure: float = 1.0, white: int = 255) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """What an sRGB camera makes of it, in code values up to `white`."""
    signal = linear_to_srgb(np.clip(light * np.float32(exposure), 0, 1))
    return np.rint(signal * white).astype(np.uint8 if white == 255 else np.uint16)


def moving(frames: int = 5, drift: float = 1.05) -> tuple[list[NDArray[np.uint8]], list[Floats], list[float]]:
    """(pictures, light, exposures) of a camera that pans by 1.5 pixels a frame."""
    whole = scene()
    light = [view(whole, 1.5 * n, 0.5 * n) for n in range(frames)]
    exposures = [drift**n for n in range(frames)]
    return [camera(x, e) for x, e in zip(light, exposures, strict=True)], light, exposures
