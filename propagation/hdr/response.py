"""The camera between light and code values: its response curve, estimated from key frames and their pictures.

    log10 light of a pixel = curve of its code value - log10 exposure of its frame

for each channel, so that white balance is part of the curves. The curve is the median light of every code value, as a
smooth departure from sRGB: bins with many agreeing pixels are followed closely, gaps are bridged, ends continued.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray

from propagation.color.srgb import srgb_to_linear
from propagation.errors import HintError

Floats = NDArray[np.float32]

LEVELS = 256
# Code values of 0..255 between which the estimate is made: below, quantisation and crushed blacks rule, above clipping.
DARKEST, BRIGHTEST = 4, 247
# Light below this share of white is not told from black; it also keeps logarithms finite.
FLOOR = 1e-4

_PIXELS = 100_000  # that an estimate looks at, evenly spread
_FEWEST = 200  # usable pixels of a channel below which nothing is estimated
_CURVATURE = 3e-4  # second difference of the curve, in log10 a code value squared, that cameras commonly have,
_TOE_CURVATURE = 0.3  # and what its toe adds, over the code value squared
_LEAST_SLOPE = 1e-4  # log10 light a code value: curves rise
_MIDDLE = 40  # code value from which the curve is known well enough to weigh exposures
_ROUNDS = 4  # of curve and exposures in turn


@dataclass(frozen=True, eq=False)
class Response:
    """`curve`: (256, 3) float64, log10 light, in the key's unit and at exposure 1, of code values 0..255 (deeper codes
    lie between); rising. `exposures`: of the pictures it was estimated from, the first one 1. `residual_stops`: median
    absolute departure of their pixels from it. `usable`: the share of pixels that were neither clipped nor crushed.
    """

    curve: NDArray[np.float64]
    exposures: tuple[float, ...]
    residual_stops: float
    usable: float

    def log_light(self, code_values: NDArray[Any]) -> Floats:
        """log10 light at exposure 1 of (..., 3) code values, uint8 or uint16, at the precision of their own depth."""
        table = self.table(LEVELS if code_values.dtype == np.uint8 else 65536)
        return np.stack([np.take(table[:, c], code_values[..., c]) for c in range(3)], axis=-1)

    def table(self, levels: int) -> Floats:
        """(levels, 3) log10 light at exposure 1 of all code values of a depth: 256 or 65536 of them."""
        if levels == LEVELS:
            return self.curve.astype(np.float32)
        place = np.arange(levels) / (levels - 1) * (LEVELS - 1)
        columns = [np.interp(place, np.arange(LEVELS), self.curve[:, c]) for c in range(3)]
        return np.column_stack(columns).astype(np.float32)

    @property
    def white(self) -> NDArray[np.float64]:
        """(3,) log10 light at which the channels clip."""
        return np.asarray(self.curve[-1])

    @property
    def balance_stops(self) -> tuple[float, float]:
        """How much more light, in stops, red and blue need than green for a grey of middle signal."""
        middle = self.curve[100:156].mean(axis=0) / np.log10(2)
        return float(middle[0] - middle[1]), float(middle[2] - middle[1])

    @property
    def contrast(self) -> float:
        """d log light / d log signal in the mid-tones: about 2 for ordinary cameras, 1 for light taken as signal."""
        codes = np.arange(64, 192)
        slopes = [np.polyfit(np.log10(codes), self.curve[codes, c], 1)[0] for c in range(3)]
        return float(np.median(slopes))


@dataclass(frozen=True, eq=False)
class Pair:
    """A frame's code values (H, W, 3), uint8 or uint16, with the light (H, W, 3) of its HDR picture, and where both
    show the same thing (H, W) bool (None: everywhere)."""

    code_values: NDArray[Any]
    light: Floats
    trusted: NDArray[np.bool_] | None = None


def estimate_response(pairs: Sequence[Pair]) -> Response:
    """The curve that explains all pairs, each at its own exposure. Raises HintError with too few usable pixels."""
    samples = [_samples(pair) for pair in pairs]
    for channel in range(3):
        if sum(len(each[channel][0]) for each in samples) < _FEWEST:
            raise HintError(
                "the key has almost no pixel that is well exposed in the clip, so the camera cannot be worked out",
                advice="Give a key for a frame that is neither black nor white throughout",
            )
    logs = np.zeros(len(pairs))
    first = max(range(len(pairs)), key=lambda k: sum(len(code) for code, _ in samples[k]))
    curve = _curves(samples[first : first + 1], logs[:1])
    for _ in range(_ROUNDS if len(pairs) > 1 else 0):
        logs = np.array([_log_exposure(each, curve) for each in samples])
        curve = _curves(samples, logs)
    curve -= logs[0]
    logs -= logs[0]
    residuals = [np.abs(curve[code, c] - x - logs[k]) for k, s in enumerate(samples) for c, (code, x) in enumerate(s)]
    usable = sum(len(code) for s in samples for code, _ in s) / sum(3 * _count(pair) for pair in pairs)
    spread = float(np.median(np.concatenate(residuals)) / np.log10(2))
    return Response(curve, tuple(10.0**logs), spread, usable)


def to_256(code_values: NDArray[Any]) -> NDArray[np.uint8]:
    """8-bit code values of deeper ones, rounded."""
    if code_values.dtype == np.uint8:
        return code_values
    return ((code_values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _step(pair: Pair) -> int:
    height, width = pair.code_values.shape[:2]
    return max(1, round((height * width / _PIXELS) ** 0.5))


def _count(pair: Pair) -> int:
    step = _step(pair)
    return int(pair.code_values[::step, ::step, 0].size)


def _samples(pair: Pair) -> list[tuple[NDArray[Any], NDArray[np.float64]]]:
    """Per channel the code values and log10 light of usable pixels."""
    step = _step(pair)
    codes = to_256(pair.code_values[::step, ::step, :3])
    light = np.asarray(pair.light[::step, ::step], np.float64)
    trusted = np.ones(codes.shape[:2], bool) if pair.trusted is None else pair.trusted[::step, ::step]
    out = []
    for channel in range(3):
        code, x = codes[..., channel], light[..., channel]
        used = trusted & (code >= DARKEST) & (code <= BRIGHTEST) & (x > 0)
        out.append((code[used].astype(np.int64), np.log10(x[used])))
    return out


def _log_exposure(samples: list[tuple[NDArray[Any], NDArray[np.float64]]], curve: NDArray[np.float64]) -> float:
    """log10 exposure of a picture under `curve`, from its mid-tones where it has any."""
    apart = [curve[code, c] - x for c, (code, x) in enumerate(samples)]
    middle = [each[code >= _MIDDLE] for each, (code, _) in zip(apart, samples, strict=True)]
    chosen = np.concatenate(middle)
    return float(np.median(chosen if len(chosen) >= _FEWEST else np.concatenate(apart)))


def _curves(
    samples: list[list[tuple[NDArray[Any], NDArray[np.float64]]]], logs: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.column_stack([_curve([each[c] for each in samples], logs) for c in range(3)])


def _curve(samples: list[tuple[NDArray[Any], NDArray[np.float64]]], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(256,) one channel's curve: Whittaker smoothing of the bins' departure from sRGB, then made to rise."""
    code = np.concatenate([code for code, _ in samples])
    light = np.concatenate([x + logs[k] for k, (_, x) in enumerate(samples)])
    order = np.lexsort((light, code))
    code, light = code[order], light[order]
    edges = np.searchsorted(code, np.arange(LEVELS + 1))
    prior = np.log10(srgb_to_linear(np.maximum(np.arange(LEVELS), 0.5) / 255))
    departure, weight = np.zeros(LEVELS), np.zeros(LEVELS)
    for level in range(LEVELS):
        inside = light[edges[level] : edges[level + 1]]  # sorted
        if len(inside):
            middle = inside[len(inside) // 2]
            quarters = inside[3 * len(inside) // 4] - inside[len(inside) // 4]
            departure[level] = middle - prior[level]
            # The variance of a median from its quartiles; a bin of one pixel knows as much as one of 0.1 spread.
            weight[level] = len(inside) / (1.57 * (0.74 * quarters) ** 2 + 1e-4 + 0.01 / len(inside))
    bend = _CURVATURE + _TOE_CURVATURE / np.maximum(np.arange(1, LEVELS - 1), 1) ** 2
    second = scipy.sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(LEVELS - 2, LEVELS))
    stiffness = second.T @ scipy.sparse.diags(1 / bend**2) @ second
    # A whisper of "no departure changes": keeps the ends level where nothing is known of them.
    level_ends = scipy.sparse.diags([-1.0, 1.0], [0, 1], shape=(LEVELS - 1, LEVELS))
    system = scipy.sparse.diags(weight) + stiffness + 10.0 * (level_ends.T @ level_ends)
    smooth = scipy.sparse.linalg.spsolve(system.tocsc(), weight * departure)
    rising = np.maximum.accumulate(prior + smooth - _LEAST_SLOPE * np.arange(LEVELS))
    return np.asarray(rising + _LEAST_SLOPE * np.arange(LEVELS))
