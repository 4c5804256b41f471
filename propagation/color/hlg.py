"""Hybrid log-gamma: ITU-R BT.2100-2, table 5 (ARIB STD-B67), with the system gamma of BT.2390 for other peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from propagation.color.bt2020 import LUMINANCE_WEIGHTS

_A = 0.17883277
_B = 1 - 4 * _A
_C = 0.5 - _A * float(np.log(4 * _A))
# BT.2408: diffuse white is signal 0.75.
REFERENCE_WHITE_SIGNAL = 0.75


def hlg_oetf(scene: NDArray[Any]) -> NDArray[Any]:
    """Scene light 0..1 (1: the camera's clipping point) to signal 0..1, in the float type given; negatives give 0."""
    scene = np.maximum(scene, 0)
    curved = _A * np.log(12 * np.maximum(scene, 1 / 12) - _B) + _C
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), curved)


def hlg_inverse_oetf(signal: NDArray[Any]) -> NDArray[Any]:
    """Signal 0..1 to scene light 0..1, the inverse of `hlg_oetf`; negative signals give 0."""
    signal = np.maximum(signal, 0)
    curved = (np.exp((np.maximum(signal, 0.5) - _C) / _A) + _B) / 12
    return np.where(signal <= 0.5, signal * signal / 3, curved)


def hlg_system_gamma(peak_nits: float = 1000.0) -> float:
    """The gamma of the OOTF on a display of `peak_nits` cd/m2: 1.2 + 0.42 log10(peak / 1000), for 400 to 2000 cd/m2."""
    return 1.2 + 0.42 * float(np.log10(peak_nits / 1000))


def hlg_ootf(scene: NDArray[Any], peak_nits: float = 1000.0) -> NDArray[Any]:
    """Scene light (..., 3), BT.2020 RGB 0..1, to display light in cd/m2: F = peak Y^(gamma - 1) E."""
    luminance = np.maximum(scene, 0) @ np.asarray(LUMINANCE_WEIGHTS, np.asarray(scene).dtype)
    return peak_nits * luminance[..., None] ** (hlg_system_gamma(peak_nits) - 1) * scene


def hlg_eotf(signal: NDArray[Any], peak_nits: float = 1000.0) -> NDArray[Any]:
    """Signal (..., 3) 0..1 to display light in cd/m2 on a display with a black of zero."""
    return hlg_ootf(hlg_inverse_oetf(signal), peak_nits)
