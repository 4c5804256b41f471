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
from numpy.typing import NDArray

from propagation.color.srgb import srgb_to_linear
from propagation.errors import HintError

Floats = NDArray[np.float32]
# Code values and log10 light of some pixels of one channel.
Samples = tuple[NDArray[Any], NDArray[np.float64]]

LEVELS = 256
# The estimate is made from this code value of 0..255, below which quantisation and crushed blacks rule, to so many
# below where clipping begins.
DARKEST, BELOW_WHITE = 4, 3
# From here up a code value is clipped in any case; a graded clip may end earlier.
CLIPPED = 250
# Light below this share of white is not told from black; it also keeps logarithms finite.
FLOOR = 1e-4

_PIXELS = 60_000  # that an estimate looks at, evenly spread
_FEWEST = 200  # usable pixels of a channel below which nothing is estimated
_CURVATURE = 3e-4  # second difference of the curve, in log10 a code value squared, that cameras commonly have,
_TOE_CURVATURE = 0.3  # and what its toe adds, over the code value squared
_LEAST_SLOPE = 1e-4  # log10 light a code value: curves rise
# Where white begins: bins of code values, from the top, whose light is spread (between its quartiles, log10) so much
# more than in the mid-tones that it cannot follow from the code value.
_SPREAD, _SPREAD_RATIO = 0.08, 5.0
_BIN = 60  # pixels that a bin needs to have a say in that
_MIDDLE = 40  # code value from which the curve is known well enough to weigh exposures
_ROUNDS = 4  # of curve and exposures in turn


@dataclass(frozen=True, eq=False)
class Response:
    """What is known of a camera.

    `curve`: (256, 3) float64, log10 light, in the key's unit and at exposure 1, of code values 0..255 (deeper codes
    lie between); rising. `exposures`: of the pictures it was estimated from, the first one 1. `residual_stops`: median
    absolute departure of their pixels from it. `usable`: the share of pixels that were neither clipped nor crushed.
    `clipped_from`: the code value, 0..255, from which each channel is clipped: 250, or less in a clip whose grade has
    put white lower. `noise`: (256, 3), see `propagation.hdr.noise`.
    """

    curve: NDArray[np.float64]
    exposures: tuple[float, ...]
    residual_stops: float
    usable: float
    noise: NDArray[np.float64]
    clipped_from: tuple[int, int, int] = (CLIPPED,) * 3

    def log_light(self, code_values: NDArray[Any]) -> Floats:
        """log10 light at exposure 1 of (..., 3) code values, uint8 or uint16, at the precision of their own depth."""
        table = self.table(LEVELS if code_values.dtype == np.uint8 else 65536)
        return np.stack([np.take(table[:, c], code_values[..., c]) for c in range(3)], axis=-1)

    def table(self, levels: int) -> Floats:
        """(levels, 3) log10 light at exposure 1 of all code values of a depth: 256 or 65536 of them."""
        return _at_depth(self.curve, levels)

    def variances(self, levels: int) -> Floats:
        """(levels, 3) variance of log10 light of a pixel of every code value of a depth, by noise and rounding."""
        return np.square(_at_depth(self.noise, levels))

    @property
    def white(self) -> NDArray[np.float64]:
        """(3,) log10 light at which the channels clip."""
        ends = [LEVELS - 1 if code >= CLIPPED else code for code in self.clipped_from]
        return np.array([self.curve[end, channel] for channel, end in enumerate(ends)])

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
    from propagation.hdr.noise import noise_of  # here because numba takes a second to import

    samples = [_samples(pair) for pair in pairs]
    white = tuple(min(_white_code(each[channel]) for each in samples) for channel in range(3))
    samples = [[_below(s, white[c] - BELOW_WHITE) for c, s in enumerate(each)] for each in samples]
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
    noise = noise_of([thinned(pair) for pair in pairs], curve, logs)
    return Response(curve, tuple(10.0**logs), spread, usable, noise, (white[0], white[1], white[2]))


def thinned(pair: Pair) -> Pair:
    """The pixels of a pair that an estimate looks at, without the rest."""
    step = _step(pair)
    trusted = None if pair.trusted is None else pair.trusted[::step, ::step].copy()
    return Pair(pair.code_values[::step, ::step].copy(), pair.light[::step, ::step].copy(), trusted)


def to_256(code_values: NDArray[Any]) -> NDArray[np.uint8]:
    """8-bit code values of deeper ones, rounded."""
    if code_values.dtype == np.uint8:
        return code_values
    return ((code_values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _at_depth(columns: NDArray[np.float64], levels: int) -> Floats:
    """(256, 3) numbers by 8-bit code value as (levels, 3) of another depth."""
    if levels == LEVELS:
        return columns.astype(np.float32)
    place = np.arange(levels) / (levels - 1) * (LEVELS - 1)
    return np.column_stack([np.interp(place, np.arange(LEVELS), columns[:, c]) for c in range(3)]).astype(np.float32)


def _step(pair: Pair) -> int:
    height, width = pair.code_values.shape[:2]
    return max(1, round((height * width / _PIXELS) ** 0.5))


def _count(pair: Pair) -> int:
    step = _step(pair)
    return int(pair.code_values[::step, ::step, 0].size)


def _samples(pair: Pair) -> list[Samples]:
    """Per channel the code values and log10 light of usable pixels."""
    step = _step(pair)
    codes = to_256(pair.code_values[::step, ::step, :3])
    light = np.asarray(pair.light[::step, ::step], np.float64)
    trusted = np.ones(codes.shape[:2], bool) if pair.trusted is None else pair.trusted[::step, ::step]
    out = []
    for channel in range(3):
        code, x = codes[..., channel], light[..., channel]
        used = trusted & (code >= DARKEST) & (x > 0)
        out.append((code[used].astype(np.int64), np.log10(x[used])))
    return out


def _white_code(samples: Samples) -> int:
    """The code value from which a channel of one picture is clipped."""
    code, light = samples
    order = np.lexsort((light, code))
    code, light = code[order], light[order]
    edges = np.searchsorted(code, np.arange(LEVELS + 1))
    counts = np.diff(edges)
    wide = np.zeros(LEVELS)
    for level in np.flatnonzero(counts >= _BIN):
        inside = light[edges[level] : edges[level + 1]]
        wide[level] = inside[3 * len(inside) // 4] - inside[len(inside) // 4]
    usual = wide[_MIDDLE:CLIPPED][counts[_MIDDLE:CLIPPED] >= _BIN]
    limit = max(_SPREAD, _SPREAD_RATIO * float(np.median(usual))) if usual.size else np.inf
    found = CLIPPED
    for level in np.flatnonzero(counts >= _BIN)[::-1]:
        if level < CLIPPED:
            if wide[level] <= limit:
                break
            found = int(level)
    return found


def _below(samples: Samples, last: int) -> Samples:
    kept = samples[0] <= last
    return samples[0][kept], samples[1][kept]


def _log_exposure(samples: list[Samples], curve: NDArray[np.float64]) -> float:
    """log10 exposure of a picture under `curve`, from its mid-tones where it has any."""
    apart = [curve[code, c] - x for c, (code, x) in enumerate(samples)]
    middle = [each[code >= _MIDDLE] for each, (code, _) in zip(apart, samples, strict=True)]
    chosen = np.concatenate(middle)
    return float(np.median(chosen if len(chosen) >= _FEWEST else np.concatenate(apart)))


def _curves(
    samples: list[list[Samples]], logs: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.column_stack([_curve([each[c] for each in samples], logs) for c in range(3)])


def _curve(samples: list[Samples], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(256,) one channel's curve: Whittaker smoothing of the bins' departure from sRGB, then made to rise."""
    import scipy.sparse  # here because an estimate alone needs it
    import scipy.sparse.linalg

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
