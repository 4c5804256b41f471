"""The source's own noise and rounding: how much there is at every code value, and what lies under it.

A key tells the light that a code value stands for, so what its frame departs from the camera's curve is noise. With
that known, a well exposed pixel has two witnesses: its own code value, which is right but for noise, and the key's
light moved here, which has no noise of this frame but may have missed. Around every pixel their difference is split
into its mean, which the code values are right about, and what varies; of that only so much is noise as the noise
explains (the local linear estimate of Lee, *Digital Image Enhancement and Noise Filtering*, 1980, with the carried
light in place of the local mean). Where the carried light has missed, the difference varies more than noise does, and
the code value stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from kernels.threads import run_parts

if TYPE_CHECKING:
    from propagation.hdr.response import Pair

Floats = NDArray[np.float32]

# No pixel is moved farther than this many standard deviations of its own noise.
FARTHEST = 2.0
_AROUND = 4  # code values on either side that noise is measured over,
_FEWEST = 100  # by so many pixels at least
_DARKEST, _BRIGHTEST = 4, 246  # code values whose departure is noise, and not crushing or clipping
_STEP = 2  # pixels a side of the cells that differences are gathered in
_REACH_CELLS = 1.0  # standard deviation, in such cells, of what is looked at around a pixel
_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation


def noise_of(pairs: Sequence[Pair], curve: NDArray[np.float64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """(256, 3) standard deviation, in log10 light, of a pixel of every 8-bit code value (deeper ones lie between).

    `curve` (256, 3) is the camera's, `logs` the pairs' log10 exposures. It is at least that of rounding to the pairs'
    own depth.
    """
    depth = min(np.iinfo(pair.code_values.dtype).max for pair in pairs)
    rounding = np.gradient(curve, axis=0) * (255 / depth) / np.sqrt(12)
    out = np.empty_like(curve)
    for channel in range(3):
        found = [_departures(pair, curve[:, channel], log, channel) for pair, log in zip(pairs, logs, strict=True)]
        code, apart = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(code, kind="stable")
        code, apart = code[order], apart[order]
        known = np.full(256, np.nan)
        for level in range(_DARKEST, _BRIGHTEST + 1):
            first, last = np.searchsorted(code, (level - _AROUND - 0.5, level + _AROUND + 0.5))
            if last - first >= _FEWEST:
                known[level] = _MAD * np.median(apart[first:last]) / rounding[level, channel]
        there = np.flatnonzero(np.isfinite(known))
        # Over gaps noise changes like rounding does: both are steps of the signal.
        times = np.interp(np.arange(256), there, known[there]) if there.size else np.ones(256)
        out[:, channel] = rounding[:, channel] * np.maximum(times, 1)
    return out


def _departures(
    pair: Pair, curve: NDArray[np.float64], log_exposure: float, channel: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Code values 0..255, with their fractions, of a channel's usable pixels, and how far their light is off."""
    codes = pair.code_values[..., channel] * (255.0 / np.iinfo(pair.code_values.dtype).max)
    light = np.asarray(pair.light[..., channel], np.float64)
    used = (light > 0) & (codes >= _DARKEST - _AROUND) & (codes <= _BRIGHTEST + _AROUND)
    if pair.trusted is not None:
        used &= pair.trusted
    own = np.interp(codes[used], np.arange(256), curve)
    return codes[used], np.abs(own - log_exposure - np.log10(light[used]))


def under_noise(
    code_values: NDArray[Any], carried: Floats, own: Floats, variance: Floats, share: Floats
) -> tuple[Floats, Floats, Floats]:
    """What well exposed pixels tell around every pixel, in cells of 2 x 2: (mean (3, h, w) of own light less carried
    light, variance (3, h, w) of that beyond what noise explains, and how many they are (3, h, w), 0..1).

    `code_values` (H, W, 3); `carried` (H, W, 3) log10 light; `own`, `variance` and `share` (levels, 3): log10 light,
    its noise squared, and how far a code value counts, 0..1.
    """
    height, width = carried.shape[:2]
    cells = (-(-height // _STEP), -(-width // _STEP))
    sums = np.empty((3, *cells, 4), np.float32)
    run_parts(_gather_rows, (code_values, carried, own, variance, share, sums), cells[0], carried.size)
    mean, signal, known = np.empty((3, 3, *cells), np.float32)
    for channel in range(3):
        blurred = cv2.GaussianBlur(sums[channel], (0, 0), _REACH_CELLS, borderType=cv2.BORDER_REPLICATE)
        count = np.maximum(blurred[..., 0], np.float32(1e-6))
        np.divide(blurred[..., 1], count, out=mean[channel])
        spread = (blurred[..., 2] - blurred[..., 3]) / count - mean[channel] ** 2
        np.maximum(spread, 0, out=signal[channel])
        np.minimum(count, 1, out=known[channel])
    return mean, signal, known


@njit(nogil=True, cache=True, error_model="numpy")
def _gather_rows(
    codes: Any, carried: Any, own: Any, variance: Any, share: Any, sums: Any, first: int, last: int
) -> None:
    height, width = codes.shape[:2]
    for v in range(first, last):
        for u in range(sums.shape[2]):
            for c in range(3):
                count = total = squares = noise = np.float32(0)
                for y in range(2 * v, min(2 * v + 2, height)):
                    for x in range(2 * u, min(2 * u + 2, width)):
                        code = codes[y, x, c]
                        weight = share[code, c]
                        apart = own[code, c] - carried[y, x, c]
                        count += weight
                        total += weight * apart
                        squares += weight * apart * apart
                        noise += weight * variance[code, c]
                sums[c, v, u, 0] = count
                sums[c, v, u, 1] = total
                sums[c, v, u, 2] = squares
                sums[c, v, u, 3] = noise
