"""Arrays to Qt images. QImage does not own a numpy buffer, so every image here has memory of its own."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage

from app.project.plan import to_8_bit

_STRIPE = 4  # pixels
_DARK, _LIGHT = 0xB0000000, 0xB0A0A0A0  # premultiplied ARGB


def rgb_image(array: NDArray[Any]) -> QImage:
    """(H, W, 3) or (H, W, 4) uint8 or uint16 as an opaque 32-bit image, which Qt paints fastest; alpha is left out."""
    height, width = array.shape[:2]
    image = QImage(width, height, QImage.Format.Format_RGB32)
    rgb = np.ascontiguousarray(to_8_bit(array[..., :3]))
    cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA, dst=view(image))
    return image


def rgba_image(array: NDArray[np.uint8]) -> QImage:
    """(H, W, 4) uint8, not premultiplied, as a premultiplied image."""
    image = QImage(array.shape[1], array.shape[0], QImage.Format.Format_ARGB32_Premultiplied)
    view(image)[:] = premultiplied(array)
    return image


def premultiplied(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 4) RGBA as premultiplied BGRA, the byte order of Qt's 32-bit images on little-endian machines."""
    alpha = array[..., 3:].astype(np.uint16)
    out = np.empty_like(array)
    out[..., :3] = (array[..., 2::-1] * alpha + 127) // 255
    out[..., 3:] = array[..., 3:]
    return out


def zebra_image(mask: NDArray[np.bool_]) -> QImage:
    """Slanted stripes, dark and light by turns, over the pixels (H, W) of `mask`; nothing elsewhere."""
    height, width = mask.shape
    across, down = np.arange(width, dtype=np.uint8), np.arange(height, dtype=np.uint8)
    # 256 is a multiple of the stripes' period, so that bytes may overflow.
    lit = ((across[None] + down[:, None]) & np.uint8(_STRIPE)) > 0
    shades = np.array([0, _DARK, _LIGHT], np.uint32)
    image = QImage(width, height, QImage.Format.Format_ARGB32_Premultiplied)
    view(image)[:] = np.take(shades, mask * (lit + np.uint8(1)))[..., None].view(np.uint8)
    return image


def view(image: QImage) -> NDArray[np.uint8]:
    """The bytes of a 32-bit image as a writable (H, W, 4) array; keep the image alive while using it."""
    buffer = np.frombuffer(image.bits(), np.uint8)
    return buffer.reshape(image.height(), image.bytesPerLine() // 4, 4)[:, : image.width()]
