"""Colours that RGB cannot show: chroma is lowered at constant lightness and hue until it can.

Clipping RGB instead would change lightness and hue at once; L* is the photograph, and it is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

# Linear light this far outside 0..1 counts as inside: colours on the boundary survive float32 arithmetic unchanged, and
# clipping so little moves L* by less than 0.02.
BELOW = 2e-5
ABOVE = 1e-4
_STEPS = 16  # halvings: the chroma found is within 2^-16 of itself, far below a 16-bit code


def outside(linear: NDArray[Any]) -> NDArray[np.bool_]:
    """(...,) whether any channel of linear RGB (..., 3) is below 0 or above 1, beyond rounding."""
    beyond = (linear < -np.float32(BELOW)) | (linear > np.float32(1 + ABOVE))
    return np.asarray(beyond.any(axis=-1))


@njit(nogil=True, cache=True, fastmath=True)
def largest_shares(lab: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) the share 0..1 of its chroma that each colour of `lab` (N, 3), all outside the gamut, may keep.

    `matrix` (3, 3) takes XYZ relative to white to linear RGB. The share is found by halving; greys with L* in 0..100
    are always inside. For all but a sliver of light yellows (L* 92 to 98), where the solid of RGB colours bends
    inwards, a ray from the grey axis leaves the gamut once, and asking for more chroma never gives less.
    """
    shares = np.empty(lab.shape[0], np.float32)
    for i in range(lab.shape[0]):
        f = (lab[i, 0] + np.float32(16)) * np.float32(1 / 116)
        to_x = lab[i, 1] * np.float32(1 / 500)
        to_z = lab[i, 2] * np.float32(-1 / 200)
        y = _cube(f)
        inside, step = np.float32(0), np.float32(0.5)
        for _ in range(_STEPS):
            tried = inside + step
            x, z = _cube(f + tried * to_x), _cube(f + tried * to_z)
            fits = True
            for channel in range(3):
                light = matrix[channel, 0] * x + matrix[channel, 1] * y + matrix[channel, 2] * z
                fits = fits and -BELOW <= light <= 1 + ABOVE
            if fits:
                inside = tried
            step *= np.float32(0.5)
        shares[i] = inside
    return shares


@njit(nogil=True, fastmath=True)
def _cube(f: np.float32) -> np.float32:
    """The inverse of the CIE's f: t from f(t) (CIE 15:2018, equations 8.6 to 8.11)."""
    if f > np.float32(6 / 29):
        return f * f * f
    return (f - np.float32(4 / 29)) * np.float32(108 / 841)
