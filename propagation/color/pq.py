"""The perceptual quantizer: SMPTE ST 2084:2014, equations 4.1 and 5.2 (the same as ITU-R BT.2100-2, table 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

PEAK_NITS = 10_000.0
_M1 = 2610 / 16384
_M2 = 2523 / 4096 * 128
_C1 = 3424 / 4096
_C2 = 2413 / 4096 * 32
_C3 = 2392 / 4096 * 32


def pq_eotf(signal: NDArray[Any]) -> NDArray[Any]:
    """Signal 0..1 to luminance in cd/m2, 0 to 10,000, in the float type given; signals outside are clipped.

    L = 10000 (max(V^(1/m2) - c1, 0) / (c2 - c3 V^(1/m2)))^(1/m1)
    """
    root = np.clip(signal, 0, 1) ** (1 / _M2)
    return PEAK_NITS * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1)


def pq_inverse_eotf(nits: NDArray[Any]) -> NDArray[Any]:
    """Luminance in cd/m2 to signal 0..1, the inverse of `pq_eotf`; what lies outside 0 to 10,000 cd/m2 is clipped."""
    power = np.clip(np.asarray(nits) / PEAK_NITS, 0, 1) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
