"""RGB to CIE XYZ for the primaries of ITU-T H.273, table 2 (those with the white point D65), and for any other ones.

Between whites the linear Bradford transform adapts (ICC.1:2022, annex E).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_D65 = (0.3127, 0.3290)
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
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# Chromaticities are stored as float32 and printed to four digits.
_SAME = 5e-5
_LEAST_AREA = 1e-3  # twice the triangle's; BT.709 has 0.11


@dataclass(frozen=True)
class Chromaticities:
    """CIE 1931 x, y of red, green, blue and white."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float] = _D65

    @property
    def numbers(self) -> tuple[float, ...]:
        """The eight numbers in the order of OpenEXR's attribute."""
        return (*self.red, *self.green, *self.blue, *self.white)

    @property
    def is_usable(self) -> bool:
        """Whether the three colours span an area and all four points have luminance."""
        points = np.array(self.numbers).reshape(4, 2)
        if not np.isfinite(points).all() or (points[:, 1] == 0).any():
            return False
        return abs(float(np.linalg.det(np.column_stack([points[:3], np.ones(3)])))) > _LEAST_AREA

    def is_like(self, other: Chromaticities) -> bool:
        """Whether both are the same up to the digits that files keep."""
        return all(abs(a - b) < _SAME for a, b in zip(self.numbers, other.numbers, strict=True))


def chromaticities_of(primaries: int) -> Chromaticities:
    """The chromaticities of an H.273 number; BT.709's for numbers not listed here."""
    return Chromaticities(*_CHROMATICITIES.get(primaries, _BT709))


BT709, BT2020, DISPLAY_P3 = chromaticities_of(1), chromaticities_of(9), chromaticities_of(12)


@cache
def rgb_to_rgb(source: Chromaticities, target: Chromaticities) -> NDArray[np.float64]:
    """3 x 3 from linear RGB of `source` to linear RGB of `target`; white stays white, colours may leave 0..1."""
    if source.is_like(target):
        matrix: NDArray[np.float64] = np.eye(3)
    else:
        matrix = np.linalg.inv(_to_xyz(target)) @ _adaptation(source.white, target.white) @ _to_xyz(source)
    matrix.setflags(write=False)
    return matrix


@cache
def rgb_to_xyz(primaries: int) -> NDArray[np.float64]:
    """3 x 3 from linear RGB 0..1 to XYZ divided by the white's XYZ, so that white is (1, 1, 1)."""
    chromaticities = chromaticities_of(primaries)
    matrix: NDArray[np.float64] = _to_xyz(chromaticities) / _xyz(chromaticities.white)[:, None]
    matrix.setflags(write=False)
    return matrix


@cache
def xyz_to_rgb(primaries: int) -> NDArray[np.float64]:
    """The inverse of `rgb_to_xyz`."""
    matrix: NDArray[np.float64] = np.linalg.inv(rgb_to_xyz(primaries)).astype(np.float64)
    matrix.setflags(write=False)
    return matrix


def _to_xyz(chromaticities: Chromaticities) -> NDArray[np.float64]:
    """3 x 3 to XYZ with the white's Y = 1 (SMPTE RP 177)."""
    colors = np.column_stack([_xyz(c) for c in (chromaticities.red, chromaticities.green, chromaticities.blue)])
    scaled: NDArray[np.float64] = colors * np.linalg.solve(colors, _xyz(chromaticities.white))
    return scaled


def _xyz(xy: tuple[float, float]) -> NDArray[np.float64]:
    """XYZ with Y = 1."""
    x, y = xy
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adaptation(source: tuple[float, float], target: tuple[float, float]) -> NDArray[np.float64]:
    """3 x 3 that takes XYZ seen under the white `source` to XYZ under the white `target`."""
    gains = (_BRADFORD @ _xyz(target)) / (_BRADFORD @ _xyz(source))
    matrix: NDArray[np.float64] = np.linalg.inv(_BRADFORD) @ (gains[:, None] * _BRADFORD)
    return matrix
