"""Ultra-high-definition colour: ITU-R BT.2020-2, tables 3 and 4, and the way there from BT.709 (ITU-R BT.2087-0)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Luma and, as the derivation of table 4 has it, luminance of red, green and blue.
LUMINANCE_WEIGHTS = (0.2627, 0.6780, 0.0593)
# Table 4 states these to the digits that 12 bits need; they solve continuity of value and slope at beta.
_ALPHA = 1.09929682680944
_BETA = 0.018053968510807


def bt2020_oetf(scene: NDArray[Any]) -> NDArray[Any]:
    """Scene light 0..1 to signal 0..1: 4.5 E below beta, alpha E^0.45 - (alpha - 1) above; BT.709's curve, finer."""
    curved = _ALPHA * np.maximum(scene, _BETA) ** 0.45 - (_ALPHA - 1)
    return np.where(scene < _BETA, 4.5 * np.asarray(scene), curved)


def bt2020_inverse_oetf(signal: NDArray[Any]) -> NDArray[Any]:
    """Signal 0..1 to scene light 0..1, the inverse of `bt2020_oetf`."""
    curved = ((np.maximum(signal, 4.5 * _BETA) + (_ALPHA - 1)) / _ALPHA) ** (1 / 0.45)
    return np.where(signal < 4.5 * _BETA, np.asarray(signal) / 4.5, curved)
