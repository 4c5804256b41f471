"""OpenCV's blurs, gradients and changes of size for pictures on any device: one matrix an axis.

They are linear and separable, so what OpenCV does to the unit vectors of each axis is all there is to know of them,
borders and odd sizes included. A product has more arithmetic than a convolution would, but is one launch an axis, and
float32 throughout where convolutions are rounded to TF32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from propagation.device_tracker import to_device

Shape = tuple[int, int]

# Kernels: of nothing, and the two of Scharr's gradient, in units a pixel.
_ITSELF, _SMOOTH, _SLOPE = (
    np.array([kernel], np.float32).T for kernel in ((1,), (3 / 32, 10 / 32, 3 / 32), (-1, 0, 1))
)


@dataclass(frozen=True)
class Separable:
    """Maps (.., H, W) to (.., H', W'): `down` (H', H) from the left, `across` (W, W') from the right."""

    down: Tensor
    across: Tensor

    def __call__(self, maps: Tensor) -> Tensor:
        """What becomes of maps (.., H, W)."""
        return self.down @ maps @ self.across


def blurred(shape: Shape, sigma: float, device: str) -> Separable:
    """`cv2.GaussianBlur` of float32 pictures (H, W)."""
    kernel = cv2.getGaussianKernel(round(8 * sigma + 1) | 1, sigma, cv2.CV_32F)
    return _filtered(shape, kernel, kernel, device)


def slopes(shape: Shape, device: str) -> tuple[Separable, Separable]:
    """`cv2.Scharr` of pictures (H, W), along x and along y, in their unit a pixel."""
    return _filtered(shape, _SMOOTH, _SLOPE, device), _filtered(shape, _SLOPE, _SMOOTH, device)


def resized(shape: Shape, to: Shape, interpolation: int, device: str) -> Separable:
    """`cv2.resize` of float32 pictures (H, W) to the size (H', W')."""
    down, across = (
        np.asarray(cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=interpolation), np.float32)
        for old, new in zip(shape, to, strict=True)
    )
    return Separable(to_device(down, device), to_device(across.T, device))


def _filtered(shape: Shape, down: NDArray[Any], across: NDArray[Any], device: str) -> Separable:
    """Filters by kernels (n, 1), the border mirrored as OpenCV mirrors it."""
    matrices = (
        np.asarray(cv2.sepFilter2D(np.eye(size, dtype=np.float32), -1, _ITSELF, kernel), np.float32)
        for size, kernel in zip(shape, (down, across), strict=True)
    )
    rows, columns = (to_device(matrix, device) for matrix in matrices)
    return Separable(rows, columns.T)
