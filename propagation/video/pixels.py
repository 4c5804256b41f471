"""Decoded pictures to RGB and back, without losing bits and with the matrix and range that the tags name.

8-bit pictures go through swscale with its exact flags (its default ones are up to 3 code values off). Deeper ones do
not: swscale's 16-bit RGB has its white at 65280 instead of 65535, so only the chroma planes are brought to full size by
it and the matrix of H.273 (equations 38 to 52) is applied here in float.
"""

from __future__ import annotations

from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from propagation.color.tags import ColorTags
from propagation.errors import MediaError

_EXACT = (
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)
# Luma weights of red and blue by H.273 matrix number (table 4).
LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
_PLANAR_DEPTHS = (9, 10, 12, 14, 16)
_ALPHA_DEPTHS = (10, 12, 16)
_SWSCALE_WHITE = 65280  # what swscale takes as white in 16-bit RGB


def source_bits(frame: VideoFrame) -> int:
    """Bits a channel of the coded picture, at least 8 (1-bit and 5-6-5 pictures count as 8)."""
    return max(8, max(component.bits for component in frame.format.components if not component.is_alpha))


def has_alpha(frame: VideoFrame) -> bool:
    """Whether the pixel format carries alpha; palettes may."""
    return any(component.is_alpha for component in frame.format.components) or bool(frame.format.has_palette)


def is_grey(frame: VideoFrame) -> bool:
    """Whether the format has luma alone (alpha aside)."""
    colors = [component for component in frame.format.components if not component.is_alpha]
    return len(colors) == 1 and not frame.format.has_palette


def is_rgb(frame: VideoFrame) -> bool:
    """Whether the coded values are RGB or a palette of RGB, so that no matrix applies."""
    return bool(frame.format.is_rgb or frame.format.has_palette or frame.format.name.startswith("mono"))


class PixelReader:
    """Turns decoded pictures of one clip into RGB(A) arrays; keeps swscale's state between them."""

    def __init__(self, tags: ColorTags, *, alpha: bool) -> None:
        self._tags = tags
        self._alpha = alpha
        self._scaler = VideoReformatter()

    def image(self, frame: VideoFrame, width: int, height: int) -> NDArray[Any]:
        """(height, width, 3 or 4) full-range RGB[A], uint8 for up to 8 bits, else uint16 scaled to 0..65535.

        A picture of another size (some clips change it on the way) is resampled. MediaError on floating-point formats.
        """
        bits = source_bits(frame)
        if bits > 16:
            raise MediaError(f"floating-point pictures ({frame.format.name}) are not read")
        if (frame.width, frame.height) != (width, height):
            frame = self._reformat(frame, frame.format.name, width, height)
        if is_grey(frame) and not is_rgb(frame):
            return self._grey(frame, bits)
        if bits == 8:
            target = "rgba" if self._alpha else "rgb24"
            return self._reformat(frame, target, full=True).to_ndarray()
        return self._deep_rgb(frame, bits) if is_rgb(frame) else self._deep_yuv(frame, bits)

    def _reformat(
        self, frame: VideoFrame, name: str, width: int = 0, height: int = 0, full: bool = False
    ) -> VideoFrame:
        coded_full = self._tags.range == 1
        frame.colorspace = self._tags.matrix if self._tags.matrix in LUMA_WEIGHTS else 2
        coded_range = ColorRange.JPEG if coded_full else ColorRange.MPEG
        return self._scaler.reformat(
            frame,
            width or frame.width,
            height or frame.height,
            format=name,
            interpolation=_EXACT,
            src_color_range=coded_range,
            dst_color_range=ColorRange.JPEG if full else coded_range,
            threads=1,
        )

    def _grey(self, frame: VideoFrame, bits: int) -> NDArray[Any]:
        white = 255.0 if bits == 8 else 65535.0
        name = ("ya8" if bits == 8 else "ya16le") if self._alpha else ("gray" if bits == 8 else f"gray{bits}le")
        if frame.format.name != name:
            frame = self._reformat(frame, name)
            bits = 16 if name == "ya16le" else bits
        channels = 2 if self._alpha else 1
        samples = _plane(frame.planes[0], bits, channels).reshape(frame.height, frame.width, channels)
        scale, offset = _luma_scale(bits, self._tags.range == 1)
        luma = np.clip(np.rint((samples[..., :1].astype(np.float32) - offset) * (scale * white)), 0, white)
        image = np.repeat(luma.astype(np.uint8 if bits == 8 else np.uint16), 3, axis=2)
        return np.concatenate([image, samples[..., 1:]], axis=2) if self._alpha else image

    def _deep_rgb(self, frame: VideoFrame, bits: int) -> NDArray[np.uint16]:
        bits = _at_least(bits, _ALPHA_DEPTHS if self._alpha else _PLANAR_DEPTHS)
        name = f"gbr{'a' if self._alpha else ''}p{bits}le"
        if frame.format.name != name:
            frame = self._reformat(frame, name)
        green, blue, red, *alpha = (_plane(plane, bits) for plane in frame.planes)
        return np.stack([_to_16(plane, bits) for plane in (red, green, blue, *alpha)], axis=2)

    def _deep_yuv(self, frame: VideoFrame, bits: int) -> NDArray[np.uint16]:
        bits = _at_least(bits, _ALPHA_DEPTHS if self._alpha else _PLANAR_DEPTHS)
        name = f"yuv{'a' if self._alpha else ''}444p{bits}le"
        if frame.format.name != name:
            frame = self._reformat(frame, name)
        planes = [_plane(plane, bits) for plane in frame.planes]
        coded = cv2.merge([plane.astype(np.float32) for plane in planes[:3]])
        rgb = cv2.transform(coded, yuv_to_rgb(self._tags.matrix, bits, self._tags.range == 1) * 65535.0)
        image: NDArray[np.uint16] = np.clip(np.rint(rgb), 0, 65535).astype(np.uint16)
        if self._alpha:
            image = np.dstack([image, _to_16(planes[3], bits)])
        return image


def yuv_to_rgb(matrix: int, bits: int, full: bool) -> NDArray[np.float64]:
    """3 x 4 affine map from coded Y, Cb, Cr of `bits` to R'G'B' signals in 0..1 (H.273 equations 38 to 43 inverted)."""
    red_weight, blue_weight = LUMA_WEIGHTS.get(matrix, LUMA_WEIGHTS[1])
    green_weight = 1 - red_weight - blue_weight
    to_rgb = np.array(
        [
            [1, 0, 2 * (1 - red_weight)],
            [
                1,
                -2 * blue_weight * (1 - blue_weight) / green_weight,
                -2 * red_weight * (1 - red_weight) / green_weight,
            ],
            [1, 2 * (1 - blue_weight), 0],
        ]
    )
    luma_scale, luma_offset = _luma_scale(bits, full)
    chroma_scale = 1 / (2**bits - 1) if full else 1 / (224 * 2 ** (bits - 8))
    scales = np.array([luma_scale, chroma_scale, chroma_scale])
    offsets = np.array([luma_offset, 2 ** (bits - 1), 2 ** (bits - 1)])
    linear = to_rgb * scales
    return np.column_stack([linear, -linear @ offsets])


def to_coded(image: NDArray[Any], scaler: VideoReformatter, pixel_format: str, matrix: int = 1) -> VideoFrame:
    """Full-range RGB (H, W, 3), uint8 or uint16, as a limited-range YUV picture coded with H.273 `matrix` (1 or 9).

    Chroma is averaged by swscale; the result carries matrix and range for the encoder.
    """
    if image.dtype == np.uint16:
        image = np.rint(image.astype(np.float32) * (_SWSCALE_WHITE / 65535)).astype(np.uint16)
    frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(image), format="rgb24" if image.dtype == np.uint8 else "rgb48le"
    )
    coded = scaler.reformat(
        frame,
        format=pixel_format,
        interpolation=_EXACT,
        dst_colorspace=matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
    coded.colorspace, coded.color_range = matrix, ColorRange.MPEG
    return coded


def _luma_scale(bits: int, full: bool) -> tuple[float, float]:
    """(factor, offset) with signal = (code - offset) * factor."""
    return (1 / (2**bits - 1), 0.0) if full else (1 / (219 * 2 ** (bits - 8)), 16.0 * 2 ** (bits - 8))


def _to_16(samples: NDArray[np.uint16], bits: int) -> NDArray[np.uint16]:
    """Full-range samples of `bits` on the 16-bit scale, exact at both ends."""
    if bits == 16:
        return samples
    return np.rint(samples.astype(np.float32) * (65535 / (2**bits - 1))).astype(np.uint16)


def _at_least(bits: int, depths: tuple[int, ...]) -> int:
    return next(depth for depth in depths if depth >= bits)


def _plane(plane: VideoPlane, bits: int, channels: int = 1) -> NDArray[Any]:
    """A view of one plane, (height, width * channels), without the padding at the end of its lines."""
    dtype = np.dtype("u1" if bits == 8 else "<u2")
    lines = np.frombuffer(memoryview(plane), dtype=dtype).reshape(plane.height, plane.line_size // dtype.itemsize)
    return lines[:, : plane.width * channels]
