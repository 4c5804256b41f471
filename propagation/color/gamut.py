"""Colours that RGB cannot show: chroma is lowered at constant lightness and hue until it can.

Clipping RGB instead would change lightness and hue at once; L* is the photograph, and it is kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.threads import run_parts

# Linear light this far outside 0..1 counts as inside: colours on the boundary survive float32 arithmetic unchanged, and
# clipping so little moves L* by less than 0.02.
BELOW = 2e-5
ABOVE = 1e-4
_STEPS = 16  # halvings: the chroma found is within 2^-16 of itself, far below a 16-bit code

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}
_inline: Any = {"nogil": True, "fastmath": {"contract", "nsz", "arcp"}, "inline": "always"}
_ONE, _LEAST, _MOST = np.float32(1), np.float32(-BELOW), np.float32(1 + ABOVE)
_TO_X, _TO_Z = np.float32(1 / 500), np.float32(-1 / 200)


def light_in_gamut(
    lightness: NDArray[Any], ab: NDArray[Any], matrix: NDArray[Any]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(linear RGB in 0..1 (H, W, 3), the share 0..1 of its chroma (H, W) that each pixel keeps) of L* (H, W) and a*, b*
    (H, W, 2).

    `matrix` (3, 3) takes XYZ relative to white to linear RGB. L* counts as 0..100. The share is found by halving; greys
    are always inside. For all but a sliver of light yellows (L* 92 to 98), where the solid of RGB colours bends
    inwards, a ray from the grey axis leaves the gamut once, and asking for more chroma never gives less.
    """
    lightness, ab = (np.asarray(each, np.float32) for each in (lightness, ab))
    linear, shares = np.empty((*lightness.shape, 3), np.float32), np.empty(lightness.shape, np.float32)
    arguments = (lightness, ab, matrix.astype(np.float32), linear, shares)
    run_parts(_light_rows, arguments, lightness.shape[0], lightness.size)
    return linear, shares


@njit(**_options)
def _light_rows(lightness: Any, ab: Any, matrix: Any, linear: Any, shares: Any, first: int, last: int) -> None:
    for y in range(first, last):
        beyond = 0
        for x in range(lightness.shape[1]):
            f = _f_of(lightness[y, x])
            r, g, b = _light(f, ab[y, x, 0] * _TO_X, ab[y, x, 1] * _TO_Z, matrix)
            linear[y, x, 0], linear[y, x, 1], linear[y, x, 2] = r, g, b
            shares[y, x] = _ONE
            beyond |= not _fits(r, g, b)
        if beyond:
            for x in range(lightness.shape[1]):
                if not _fits(linear[y, x, 0], linear[y, x, 1], linear[y, x, 2]):
                    f, to_x, to_z = _f_of(lightness[y, x]), ab[y, x, 0] * _TO_X, ab[y, x, 1] * _TO_Z
                    share = _largest_share(f, to_x, to_z, matrix)
                    r, g, b = _light(f, share * to_x, share * to_z, matrix)
                    linear[y, x, 0], linear[y, x, 1], linear[y, x, 2], shares[y, x] = r, g, b, share
        for x in range(lightness.shape[1]):
            for c in range(3):
                linear[y, x, c] = min(max(linear[y, x, c], np.float32(0)), _ONE)


@njit(**_inline)
def _largest_share(f: Any, to_x: Any, to_z: Any, matrix: Any) -> Any:
    inside, step = np.float32(0), np.float32(0.5)
    for _ in range(_STEPS):
        tried = inside + step
        r, g, b = _light(f, tried * to_x, tried * to_z, matrix)
        if _fits(r, g, b):
            inside = tried
        step *= np.float32(0.5)
    return inside


@njit(**_inline)
def _light(f: Any, to_x: Any, to_z: Any, matrix: Any) -> Any:
    """Linear red, green and blue of f(Y), f(X) - f(Y) and f(Z) - f(Y)."""
    x, y, z = _cube(f + to_x), _cube(f), _cube(f + to_z)
    r = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z
    g = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z
    b = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z
    return r, g, b


@njit(**_inline)
def _fits(r: Any, g: Any, b: Any) -> Any:
    return min(min(r, g), b) >= _LEAST and max(max(r, g), b) <= _MOST


@njit(**_inline)
def _f_of(lightness: Any) -> Any:
    return (min(max(lightness, np.float32(0)), np.float32(100)) + np.float32(16)) * np.float32(1 / 116)


@njit(**_inline)
def _cube(f: Any) -> Any:
    """The inverse of the CIE's f: t from f(t) (CIE 15:2018, equations 8.6 to 8.11)."""
    dark = (f - np.float32(4 / 29)) * np.float32(108 / 841)
    return f * f * f if f > np.float32(6 / 29) else dark
