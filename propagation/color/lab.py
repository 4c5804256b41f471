"""CIE 1976 L*a*b* (CIE 15:2018, 8.2.1; D65) of pictures, and back without ever clipping a colour.

t = X / Xn etc.;  f(t) = t^(1/3) for t > (6/29)^3, else t (29/6)^2 / 3 + 4/29;
L* = 116 f(Y) - 16 (0..100),  a* = 500 (f(X) - f(Y)),  b* = 200 (f(Y) - f(Z)).

OpenCV does the arithmetic in float32: its powers and 3 x 3 products are several times faster than numpy's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.threads import run_parts
from propagation.color.bt1886 import bt1886_to_linear, linear_to_bt1886
from propagation.color.gamut import light_in_gamut
from propagation.color.primaries import rgb_to_xyz, xyz_to_rgb
from propagation.color.srgb import linear_to_srgb, srgb_to_linear
from propagation.color.tags import ColorTags

_DELTA = 6 / 29
# (f(X), f(Y), f(Z)) from (L, a, b, 1) and back.
_F_TO_LAB = np.array([[0, 116, 0, -16], [500, -500, 0, 0], [0, 200, -200, 0]], np.float32)
_LAB_TO_F = np.array(
    [[1 / 116, 1 / 500, 0, 16 / 116], [1 / 116, 0, 0, 16 / 116], [1 / 116, 0, -1 / 200, 16 / 116]], np.float32
)
# What dividing a float32 by three as an integer lacks for its cube root.
_CUBE_ROOT_BITS = 709_921_077
_BINS = 4096  # of light, so small that few of them hold more than one step of an 8-bit code
_SRGB, _BT709 = 13, 1  # transfer and primaries (ITU-T H.273)
Curve = Callable[[NDArray[Any]], NDArray[Any]]


def frame_to_lab(image: NDArray[Any], tags: ColorTags) -> NDArray[np.float32]:
    """L* 0..100, a*, b* (H, W, 3) float32 of full-range RGB or RGBA code values (H, W, 3 or 4), uint8 or uint16.

    Light is taken from the curve and primaries that `tags` name: sRGB for transfer 13, else BT.1886.
    """
    linear = _linear(image, tags)
    return _transform(_f(_transform(linear, rgb_to_xyz(tags.primaries))), _F_TO_LAB)


def frame_to_lightness(image: NDArray[Any], tags: ColorTags) -> NDArray[np.float32]:
    """L* 0..100 (H, W) float32 alone; see `frame_to_lab`. One pass, because every frame goes through it."""
    table = _curve_table(image.dtype.itemsize * 8, tags.transfer == _SRGB)
    luminance = np.ascontiguousarray(rgb_to_xyz(tags.primaries)[1], np.float32)
    height, width = image.shape[:2]
    out = np.empty((height, width), np.float32)
    run_parts(_lightness_rows, (image, table, luminance, out), height, out.size)
    return out


def lab_to_frame(lab: NDArray[Any], tags: ColorTags, dtype: type[np.uint8] | type[np.uint16]) -> NDArray[Any]:
    """Full-range RGB code values (H, W, 3) of `dtype` for L*, a*, b* (H, W, 3); the inverse of `frame_to_lab`.

    Colours outside the gamut of `tags.primaries` lose chroma at their own lightness and hue (`reduce_chroma`).
    """
    return colored_frame(lab[..., 0], lab[..., 1:], tags, dtype)


def colored_frame(
    lightness: NDArray[Any], ab: NDArray[Any], tags: ColorTags, dtype: type[np.uint8] | type[np.uint16]
) -> NDArray[Any]:
    """`lab_to_frame` of L* (H, W) and a*, b* (H, W, 2) that lie apart."""
    linear, _ = light_in_gamut(lightness, ab, xyz_to_rgb(tags.primaries))
    is_srgb = tags.transfer == _SRGB
    if dtype is np.uint8:
        codes = np.empty(linear.shape, np.uint8)
        run_parts(_code_rows, (linear, *_steps(is_srgb), codes), linear.shape[0], linear.size)
        return codes
    code_values = (linear_to_srgb if is_srgb else linear_to_bt1886)(linear)
    code_values *= np.float32(np.iinfo(dtype).max)
    return np.rint(code_values, out=code_values).astype(dtype)


def reduce_chroma(lab: NDArray[Any], tags: ColorTags) -> NDArray[np.float32]:
    """L*, a*, b* (H, W, 3) with a* and b* shrunk together until the colour exists in RGB; inside it, unchanged."""
    reduced = np.array(lab, dtype=np.float32, order="C")
    np.clip(reduced[..., 0], 0, 100, out=reduced[..., 0])
    reduced[..., 1:] *= light_in_gamut(reduced[..., 0], reduced[..., 1:], xyz_to_rgb(tags.primaries))[1][..., None]
    return reduced


def shade(lab: NDArray[Any], before: NDArray[Any], after: NDArray[Any]) -> NDArray[np.float32]:
    """L*, a*, b* (H, W, 3) under the tone curve that takes the L* of greys from `before`, rising, to `after`.

    It is applied to red, green and blue (BT.709) alike, as graders and cameras do, so saturation changes with it.
    """
    linear = np.maximum(_lab_to_linear(np.ascontiguousarray(lab, np.float32), xyz_to_rgb(_BT709)), 0)
    levels = _f(linear) * np.float32(116) - np.float32(16)
    f = (np.interp(levels, before, after).astype(np.float32) + np.float32(16)) / np.float32(116)
    return _transform(_f(_transform(_unroot(f), rgb_to_xyz(_BT709))), _F_TO_LAB)


def _lab_to_linear(lab: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.float32]:
    """Linear RGB (H, W, 3), not limited to 0..1."""
    return _transform(_unroot(_transform(lab, _LAB_TO_F)), matrix)


def _unroot(f: NDArray[np.float32]) -> NDArray[np.float32]:
    """The inverse of `_f`."""
    t = f * f * f
    dark = f <= np.float32(_DELTA)
    if dark.any():
        t[dark] = (f[dark] - np.float32(4 / 29)) * np.float32(3 * _DELTA**2)
    return t


def _transform(image: NDArray[np.float32], matrix: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, rows of `matrix`) float32: the matrix, affine if it has a fourth column, applied to every pixel."""
    return np.asarray(cv2.transform(image, matrix), np.float32)


def _f(t: NDArray[np.float32]) -> NDArray[np.float32]:
    root = np.asarray(cv2.pow(np.maximum(t, 0), 1 / 3), np.float32)
    dark = t <= np.float32(_DELTA**3)
    if dark.any():
        root[dark] = t[dark] * np.float32(1 / (3 * _DELTA**2)) + np.float32(4 / 29)
    return root


def _linear(image: NDArray[Any], tags: ColorTags) -> NDArray[np.float32]:
    """Linear RGB (H, W, 3) 0..1 of code values; alpha is left out."""
    table = _curve_table(image.dtype.itemsize * 8, tags.transfer == _SRGB)
    return np.take(table, image[..., :3])


@cache
def _curve_table(bits: int, is_srgb: bool) -> NDArray[np.float32]:
    """Linear light of every code value of `bits`, worked out in float64."""
    signal = np.arange(2**bits) / (2**bits - 1)
    table = (srgb_to_linear if is_srgb else bt1886_to_linear)(signal).astype(np.float32)
    table.setflags(write=False)
    return table


@cache
def _steps(is_srgb: bool) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Linear light from which on an 8-bit code is rounded up to the next one (255,), worked out in float64, and the
    code of the darkest light of each of `_BINS` equal parts of 0..1."""
    signal = (np.arange(255) + 0.5) / 255
    steps = (srgb_to_linear if is_srgb else bt1886_to_linear)(signal).astype(np.float32)
    codes = np.searchsorted(steps, np.arange(_BINS) / _BINS, side="right").astype(np.uint8)
    for each in (steps, codes):
        each.setflags(write=False)
    return steps, codes


@njit(nogil=True, cache=True, error_model="numpy")
def _code_rows(linear: Any, steps: Any, codes: Any, out: Any, first: int, last: int) -> None:
    """8-bit codes of rows first <= y < last of linear light 0..1 (H, W, 3): looked up, because a power is slow."""
    most = np.uint32(codes.size - 1)
    for y in range(first, last):
        for x in range(out.shape[1]):
            for c in range(3):
                light = linear[y, x, c]
                code = np.uint32(codes[min(np.uint32(light * np.float32(codes.size)), most)])
                while code < np.uint32(255) and light >= steps[code]:
                    code += np.uint32(1)
                out[y, x, c] = code


@njit(nogil=True, cache=True, fastmath={"contract", "nsz", "arcp"}, error_model="numpy")
def _lightness_rows(image: Any, table: Any, luminance: Any, out: Any, first: int, last: int) -> None:
    """L* of rows first <= y < last of code values (H, W, 3 or more): cube roots by two of Halley's steps from a first
    guess that divides the exponent by three (both far below float32's rounding), linear near black."""
    width = out.shape[1]
    light, guess = np.empty(width, np.float32), np.empty(width, np.int32)
    bits, roots = light.view(np.int32), guess.view(np.float32)
    for y in range(first, last):
        for x in range(width):
            red, green, blue = table[image[y, x, 0]], table[image[y, x, 1]], table[image[y, x, 2]]
            light[x] = luminance[0] * red + luminance[1] * green + luminance[2] * blue
        for x in range(width):
            guess[x] = np.int32(np.float32(bits[x]) * np.float32(1 / 3)) + np.int32(_CUBE_ROOT_BITS)
        for x in range(width):
            t, root = light[x], roots[x]
            for _ in range(2):
                cube = root * root * root
                root *= (cube + t + t) / (cube + cube + t)
            if t <= np.float32(_DELTA**3):
                root = t * np.float32(1 / (3 * _DELTA**2)) + np.float32(4 / 29)
            out[y, x] = root * np.float32(116) - np.float32(16)
