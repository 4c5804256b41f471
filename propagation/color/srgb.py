"""The sRGB transfer function (IEC 61966-2-1:1999, clauses 5.2 and 5.3): the curve of stills and computer screens."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_SLOPE = 12.92
_KNEE_SIGNAL = 0.04045
_KNEE_LINEAR = 0.0031308
_OFFSET = 0.055
_GAMMA = 2.4


def srgb_to_linear(signal: NDArray[Any]) -> NDArray[Any]:
    """Signal 0..1 to linear light 0..1 (relative to white), in the float type given; values outside are not clipped."""
    curved = (np.maximum(signal, _KNEE_SIGNAL) + _OFFSET) / (1 + _OFFSET)
    return np.where(signal <= _KNEE_SIGNAL, signal / _SLOPE, curved**_GAMMA)


def linear_to_srgb(linear: NDArray[Any]) -> NDArray[Any]:
    """Linear light 0..1 to signal 0..1, in the float type given; the inverse of `srgb_to_linear`."""
    curved = (1 + _OFFSET) * np.maximum(linear, _KNEE_LINEAR) ** (1 / _GAMMA) - _OFFSET
    return np.where(linear <= _KNEE_LINEAR, linear * _SLOPE, curved)
