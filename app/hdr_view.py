"""HDR light on an ordinary screen: at an exposure, and what of it or of the clip is clipped. No Qt, no torch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.threads import run_parts
from propagation.color.srgb import linear_to_srgb

Floats = NDArray[np.float32]
Rgb8 = NDArray[np.uint8]

CLIPPED = (250, 250, 250)  # code values of 0..255 from which a clip is clipped whose camera is not known
_STEPS = 8192  # of light 0..1 that are told apart on the screen; under one code value each, the darkest included


def show_light(light: Floats, stops: float) -> Rgb8:
    """(H, W, 3) light, 1 the white of an ordinary picture, brightened by `stops`, as 8-bit sRGB clipped at white."""
    height, width = light.shape[:2]
    out = np.empty((height, width, 3), np.uint8)
    gain = np.float32(2.0**stops * (_STEPS - 1))
    run_parts(_show_rows, (np.ascontiguousarray(light, np.float32), _TABLE, gain, out), height, light.size)
    return out


def above_white(light: Floats, stops: float) -> NDArray[np.bool_]:
    """(H, W): a channel of the light is clipped on the screen at that exposure."""
    out = np.empty(light.shape[:2], np.bool_)
    limit = np.float32(2.0**-stops)
    run_parts(_above_rows, (np.ascontiguousarray(light, np.float32), limit, out), light.shape[0], light.size)
    return out


def clipped_in_clip(code_values: NDArray[Any], clipped_from: tuple[int, int, int] = CLIPPED) -> NDArray[np.bool_]:
    """(H, W): a channel of the clip's own picture (H, W, 3 or 4), uint8 or uint16, is clipped, by its level of 255."""
    scale = 1 if code_values.dtype == np.uint8 else 257
    red, green, blue = (code_values[..., c] >= level * scale for c, level in enumerate(clipped_from))
    return np.asarray(red | green | blue)


_TABLE = np.rint(linear_to_srgb(np.linspace(0, 1, _STEPS)) * 255).astype(np.uint8)


@njit(nogil=True, cache=True, error_model="numpy")
def _show_rows(light: Any, table: Any, gain: Any, out: Any, first: int, last: int) -> None:
    top = np.float32(table.size - 1)
    for y in range(first, last):
        for x in range(out.shape[1]):
            for c in range(3):
                out[y, x, c] = table[int(min(max(light[y, x, c] * gain, np.float32(0)), top) + np.float32(0.5))]


@njit(nogil=True, cache=True, error_model="numpy")
def _above_rows(light: Any, limit: Any, out: Any, first: int, last: int) -> None:
    for y in range(first, last):
        for x in range(out.shape[1]):
            out[y, x] = light[y, x, 0] > limit or light[y, x, 1] > limit or light[y, x, 2] > limit
