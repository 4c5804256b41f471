"""RGB to CIE XYZ for the primaries of ITU-T H.273, table 2 (those with the white point D65)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

# x, y of red, green, blue. 4, 8, 10 and 11 have other white points and are read as BT.709.
_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_CHROMATICITIES = {
    1: _BT709,
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)


@cache
def rgb_to_xyz(primaries: int) -> NDArray[np.float64]:
    """3 x 3 from linear RGB 0..1 to XYZ divided by the white's XYZ, so that white is (1, 1, 1)."""
    x, y = np.array(_CHROMATICITIES.get(primaries, _BT709)).T
    colors = np.array([x / y, np.ones(3), (1 - x - y) / y])
    white = np.array([_D65[0] / _D65[1], 1, (1 - _D65[0] - _D65[1]) / _D65[1]])
    matrix = colors * np.linalg.solve(colors, white) / white[:, None]
    matrix.setflags(write=False)
    return matrix


@cache
def xyz_to_rgb(primaries: int) -> NDArray[np.float64]:
    """The inverse of `rgb_to_xyz`."""
    matrix: NDArray[np.float64] = np.linalg.inv(rgb_to_xyz(primaries)).astype(np.float64)
    matrix.setflags(write=False)
    return matrix
