"""Puts a frame together: the linearised source where it is well exposed, carried light where it is clipped or crushed.

Between them the two are blended by code value, and carried light is held to what the source allows, so that there is
neither seam nor halo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.threads import run_parts
from propagation.alignment import warp
from propagation.hdr.carrying import CRUSHED, CarriedLight
from propagation.hdr.noise import FARTHEST, under_noise
from propagation.hdr.response import LEVELS, Response

Floats = NDArray[np.float32]

# Code values of 0..255 over which the source fades into what is carried.
_BRIGHT_FADE = 16.0  # so many below clipping, up to it
_DARK_FADE = (12.0, 44.0)  # one 8-bit code value is 18 % of the light at the start, 5 % at the end
_DEEPER = 0.25  # the same fade for deeper sources, which are finer there by two bits at least
_DARK_CODES = 3  # rounding and noise: carried light of dark pixels stays within so many code values of the source's
_SURE_ENOUGH = 0.15  # expected error of carried light up to which the key's own detail is laid on it
_AGREES = 0.05  # spread of log10 light between source and carried light at which their mean still half counts


def source_share(levels: int, response: Response) -> Floats:
    """(levels, 3) 0..1: how far a channel of each code value, of 256 or 65536, is well exposed; smooth."""
    eight = levels == LEVELS
    codes = np.arange(levels) / (levels - 1) * (LEVELS - 1)
    start, end = (fade * (1 if eight else _DEEPER) for fade in _DARK_FADE)
    dark = _smooth_step(codes, start, end)
    columns = [dark * _smooth_step(codes, clipped, clipped - _BRIGHT_FADE) for clipped in response.clipped_from]
    return np.column_stack(columns).astype(np.float32)


def fused(
    sides: Sequence[CarriedLight], shape: tuple[int, int], keys: Sequence[Floats]
) -> tuple[Floats, float]:
    """What one or two keys carry to a frame, at full size `shape`: log10 light (H, W, 3) and log10 exposure.

    `keys` are the sides' keys, log10 light at full size, for detail that work size has lost. Between two keys each side
    weighs as the inverse square of the error it expects.
    """
    full = [_at_full_size(side, shape, key) for side, key in zip(sides, keys, strict=True)]
    if len(full) == 1:
        return full[0][0], sides[0].log_exposure
    ways = np.array([abs(side.index - side.key) for side in sides], np.float64)
    exposure = float((sides[0].log_exposure * ways[1] + sides[1].log_exposure * ways[0]) / ways.sum())
    # Nearness speaks where both sides are equally sure.
    farness = np.array(1 + ways / ways.sum(), np.float32)
    (one, doubt), (other, other_doubt) = full
    light = np.empty(one.shape, np.float32)
    run_parts(_fuse_rows, (one, other, doubt, other_doubt, farness, light), shape[0], light.size)
    return light, exposure


def merge(
    code_values: NDArray[Any], response: Response, log_exposure: float, carried: Floats, *, keep_noise: bool = False
) -> Floats:
    """log10 light (H, W, 3) of a frame, in the keys' unit.

    `code_values` (H, W, 3), uint8 or uint16; `carried` (H, W, 3) log10 light. Well exposed pixels are the source's own,
    freed from its noise and rounding where the carried light tells what lies under them (see
    `propagation.hdr.noise`); with `keep_noise` they are exactly the source's.
    """
    levels = LEVELS if code_values.dtype == np.uint8 else 65536
    code_values, carried = np.ascontiguousarray(code_values), np.ascontiguousarray(carried)
    share = source_share(levels, response)
    own = response.table(levels) - np.float32(log_exposure)
    variance = response.variances(levels) * np.float32(0 if keep_noise else 1)
    low, high = (bound - np.float32(log_exposure) for bound in _bounds(response, levels))
    out = np.empty(carried.shape, np.float32)
    known = under_noise(code_values, carried, own, variance, share)
    arguments = (code_values, carried, own, share, low, high, variance, *known, out)
    run_parts(_merge_rows, arguments, carried.shape[0], carried.size)
    return out


def _bounds(response: Response, levels: int) -> tuple[Floats, Floats]:
    """(levels, 3) least and most log10 light, at exposure 1, that a code value allows what is carried.

    Above white where it is clipped, near it where it is dark (and says little by rounding and noise), below black where
    crushed.
    """
    codes, dark = np.arange(LEVELS), int(_DARK_FADE[1])
    noise = FARTHEST * response.noise
    low = np.minimum(response.curve[np.maximum(codes - _DARK_CODES, 0)], response.curve - noise)
    high = np.maximum(response.curve[np.minimum(codes + _DARK_CODES, LEVELS - 1)], response.curve + noise)
    low[: CRUSHED + 1] = -np.inf
    # Between dark and bright the fades hand over to the source anyway.
    low[dark + 1 :] = -np.inf
    high[dark + 1 :] = np.inf
    for channel, clipped in enumerate(response.clipped_from):
        low[clipped:, channel] = response.curve[clipped, channel]
    eighths = codes if levels == LEVELS else (np.arange(levels) + 128) // 257
    return low.astype(np.float32)[eighths], high.astype(np.float32)[eighths]


@njit(nogil=True, cache=True, error_model="numpy")
def _fuse_rows(
    one: Any, other: Any, doubt: Any, other_doubt: Any, farness: Any, out: Any, first: int, last: int
) -> None:
    for y in range(first, last):
        for x in range(out.shape[1]):
            a, b = doubt[y, x] * farness[0], other_doubt[y, x] * farness[1]
            share = b * b / (a * a + b * b)
            for c in range(3):
                out[y, x, c] = other[y, x, c] + (one[y, x, c] - other[y, x, c]) * share


@njit(nogil=True, cache=True, error_model="numpy")
def _merge_rows(
    codes: Any, carried: Any, own: Any, share: Any, low: Any, high: Any, variance: Any, mean: Any, signal: Any,
    known: Any, out: Any, first: int, last: int,
) -> None:
    agrees = np.float32(_AGREES * _AGREES)
    for y in range(first, last):
        for x in range(codes.shape[1]):
            for c in range(3):
                code = codes[y, x, c]
                part, light, source = share[code, c], carried[y, x, c], own[code, c]
                shift = _between_cells(mean[c], y, x)
                varies = _between_cells(signal[c], y, x)
                if part > 0 and variance[code, c] > 0:
                    noise = variance[code, c]
                    freed = light + shift + (source - light - shift) * (varies / (varies + noise))
                    farthest = np.float32(FARTHEST) * np.sqrt(noise)
                    source = min(max(freed, source - farthest), source + farthest)
                if part < 1:
                    # At the seam carried light begins at the source's level, and goes over to its own beyond it.
                    light += shift * _between_cells(known[c], y, x) * agrees / (agrees + varies)
                    source = source * part + min(max(light, low[code, c]), high[code, c]) * (np.float32(1) - part)
                out[y, x, c] = source


@njit(nogil=True, cache=True)
def _between_cells(cells: Any, y: int, x: int) -> Any:
    """A map (h, w) of cells of 2 x 2 pixels at a pixel, bilinear between their middles."""
    top, left = (y - 1) // 2, (x - 1) // 2
    down = np.float32(0.25) if y % 2 else np.float32(0.75)
    right = np.float32(0.25) if x % 2 else np.float32(0.75)
    bottom, other = min(top + 1, cells.shape[0] - 1), min(left + 1, cells.shape[1] - 1)
    top, left = max(top, 0), max(left, 0)
    above = cells[top, left] + (cells[top, other] - cells[top, left]) * right
    below = cells[bottom, left] + (cells[bottom, other] - cells[bottom, left]) * right
    return above + (below - above) * down


def _at_full_size(side: CarriedLight, shape: tuple[int, int], key: Floats) -> tuple[Floats, Floats]:
    """Carried light and its error at full size: where the key is trusted its own full-size detail is laid on."""
    if side.log_light.shape[:2] == shape:
        return side.log_light, side.error
    size = shape[::-1]
    light = np.asarray(cv2.resize(side.log_light, size, interpolation=cv2.INTER_LINEAR), np.float32)
    error = np.asarray(cv2.resize(side.error, size, interpolation=cv2.INTER_LINEAR), np.float32)
    if side.positions is None:
        return light, error
    h, w = side.error.shape
    scale = np.array([shape[1] / w, shape[0] / h], np.float32)
    places = (side.positions + np.float32(0.5)) * scale - np.float32(0.5)
    positions = np.asarray(cv2.resize(places, size, interpolation=cv2.INTER_LINEAR), np.float32)
    small = np.asarray(cv2.resize(key, (w, h), interpolation=cv2.INTER_AREA), np.float32)
    soft = cv2.resize(warp(small, side.positions), size, interpolation=cv2.INTER_LINEAR)
    trust = np.exp(-((error / np.float32(_SURE_ENOUGH)) ** 2))[..., None]
    return np.asarray(light + (warp(key, positions) - soft) * trust, np.float32), error


def _smooth_step(x: NDArray[Any], zero: float, one: float) -> NDArray[np.float64]:
    t = np.clip((x - zero) / (one - zero), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))
