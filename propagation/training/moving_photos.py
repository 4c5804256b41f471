"""Photographs set in motion: a camera that pans, zooms and turns over one, with cut-outs of others in front.

There are many times more photographs than clips, so what is uncovered has to be coloured from what it looks like and
not from memory. Every frame goes through JPEG with chroma at half the size: no two frames of a real clip have the same
noise either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.bench.protocol import to_lab
from propagation.training.film import Wear
from propagation.training.stills import load_rgb

Floats = NDArray[np.float32]
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class MotionRanges:
    """What motion is drawn from, uniformly both ways. Lengths in pixels, angles in degrees, rates a frame."""

    pan_px: float = 6.0
    turn: float = 0.7
    growth: float = 0.012  # logarithm
    faster: float = 0.06  # what pans gain or lose a frame, as a share of `pan_px`
    zoom: tuple[float, float] = (1.0, 1.6)  # of the photograph, so that the camera has where to go
    most_cutouts: int = 3
    cutout_side: tuple[float, float] = (0.15, 0.7)  # of the picture's
    cutout_px: float = 8.0
    quality: tuple[int, int] = (50, 95)  # of JPEG


@dataclass(frozen=True)
class _Layer:
    """A picture (h, w, 3) and its cover (h, w), 0..1, whose middle moves; None covers everything."""

    picture: Pictures
    cover: Floats | None
    place: NDArray[np.float64]
    step: NDArray[np.float64]
    gain: NDArray[np.float64]
    turn: float
    growth: float
    scale: float

    def matrix(self, index: int) -> NDArray[np.float64]:
        """(2, 3): from this layer's pixels to the frame's."""
        h, w = self.picture.shape[:2]
        middle = ((w - 1) / 2, (h - 1) / 2)
        out = cv2.getRotationMatrix2D(middle, self.turn * index, self.scale * float(np.exp(self.growth * index)))
        out[:, 2] += self.place + self.step * index + self.gain * index**2 / 2 - middle
        return np.asarray(out, np.float64)


@dataclass(frozen=True)
class PhotoView:
    """Frames of one scene, drawn when they are asked for."""

    layers: tuple[_Layer, ...]
    size: int
    saturation: float
    quality: int
    wear: Wear | None

    def frame(self, index: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """L* (size, size) and a, b (size, size, 2) of a frame."""
        lab = to_lab(self._coded(self._drawn(index)))
        light, ab = lab[..., 0], np.ascontiguousarray(lab[..., 1:]) * np.float32(self.saturation)
        return (light if self.wear is None else self.wear.on(light, rng)).copy(), ab

    def _drawn(self, index: int) -> Pictures:
        size = (self.size, self.size)
        out = np.zeros((*size, 3), np.float32)
        for layer in self.layers:
            matrix = layer.matrix(index)
            border = cv2.BORDER_REFLECT if layer.cover is None else cv2.BORDER_REPLICATE
            drawn: Any = cv2.warpAffine(layer.picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
            if layer.cover is None:
                out = drawn.astype(np.float32)
                continue
            cover = cv2.warpAffine(layer.cover, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
            out += (drawn - out) * cover
        return np.rint(out).astype(np.uint8)

    def _coded(self, rgb: Pictures) -> Pictures:
        _, code = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        decoded: Any = cv2.imdecode(code, cv2.IMREAD_COLOR)
        return np.ascontiguousarray(decoded[..., ::-1])


class MovingPhotos:
    """Scenes made of photographs, read when they are needed."""

    def __init__(self, photos: Sequence[Path], size: int, ranges: MotionRanges | None = None) -> None:
        self._photos, self._size, self._ranges = list(photos), size, ranges or MotionRanges()

    def scene(self, frames: int, saturation: float, wear: Wear | None, rng: np.random.Generator) -> PhotoView:
        """A scene whose frames 0 to `frames` - 1 will be asked for: at the middle of them everything is in view."""
        ranges = self._ranges
        layers = [self._background(frames, rng)]
        layers += [self._cutout(frames, rng) for _ in range(int(rng.integers(ranges.most_cutouts + 1)))]
        quality = int(rng.integers(*ranges.quality))
        return PhotoView(tuple(layers), self._size, saturation, quality, wear)

    def _photo(self, rng: np.random.Generator) -> Pictures:
        return load_rgb(self._photos[int(rng.integers(len(self._photos)))])

    def _background(self, frames: int, rng: np.random.Generator) -> _Layer:
        photo = self._photo(rng)
        scale = float(rng.uniform(*self._ranges.zoom)) * self._size / min(photo.shape[:2])
        room = np.maximum(np.array(photo.shape[1::-1]) * scale - self._size, 0) / 2
        place = self._size / 2 + rng.uniform(-1, 1, 2) * room
        return self._layer(photo, None, place, scale, self._ranges.pan_px, frames, rng)

    def _cutout(self, frames: int, rng: np.random.Generator) -> _Layer:
        photo = self._photo(rng)
        side = min(int(rng.uniform(*self._ranges.cutout_side) * self._size), *photo.shape[:2])
        y, x = (int(rng.integers(d - side + 1)) for d in photo.shape[:2])
        piece = np.ascontiguousarray(photo[y : y + side, x : x + side])
        place = rng.uniform(0, self._size, 2)
        return self._layer(piece, _outline(side, rng), place, 1.0, self._ranges.cutout_px, frames, rng)

    def _layer(
        self,
        picture: Pictures,
        cover: Floats | None,
        place: NDArray[np.float64],
        scale: float,
        pan_px: float,
        frames: int,
        rng: np.random.Generator,
    ) -> _Layer:
        """`place`, in the frame, is where the layer's middle is halfway."""
        ranges, half = self._ranges, frames / 2
        speed = rng.uniform(0, 1) ** 2 * pan_px  # most things move slowly
        angle = rng.uniform(0, 2 * np.pi)
        step = speed * np.array((np.cos(angle), np.sin(angle)))
        gain = rng.uniform(-1, 1, 2) * ranges.faster * speed
        turn, growth = rng.uniform(-1, 1) * ranges.turn, rng.uniform(-1, 1) * ranges.growth
        start = place - step * half - gain * half**2 / 2
        scale /= float(np.exp(growth * half))
        return _Layer(picture, cover, start, step, gain, float(turn), float(growth), scale)


def _outline(side: int, rng: np.random.Generator) -> Floats:
    """(side, side), 0..1: a rounded shape with a few bulges and an edge of about two pixels."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    angle = np.arctan2(y, x)
    radius = 0.75 + sum(
        rng.uniform(-0.25, 0.25) / n * np.cos(n * angle + rng.uniform(0, 2 * np.pi)) for n in range(2, 7)
    )
    return np.clip((radius - np.hypot(x, y)) * side / 4, 0, 1).astype(np.float32)
