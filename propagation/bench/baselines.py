"""What a person would use instead of a network: the classical methods every table shows beside ours.

Sparse color: nearest hint, Levin's exact solve, a guided and a bilateral fill. Carrying: holding the key's colors, and
three ways of following OpenCV's DIS flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from propagation.bench.protocol import Floats, sample, sampling_grid
from propagation.errors import HintError

Mask = NDArray[np.bool_]
_NEIGHBORS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


def nearest_hint(lightness: Floats, mask: Mask, ab: Floats) -> Floats:
    """Every pixel takes the color of the hint nearest to it; `lightness` plays no part.

    All fills: `lightness` (H, W) L*, `mask` (H, W) bool, `ab` (H, W, 2) read under the mask only; returns (H, W, 2).
    Raise HintError when there is no hint at all.
    """
    _require_hints(mask)
    rows, columns = distance_transform_edt(~mask, return_distances=False, return_indices=True)
    return ab[rows, columns]


def levin(lightness: Floats, mask: Mask, ab: Floats) -> Floats:
    """The exact solve of Levin, Lischinski and Weiss (2004), hints held fixed.

    Every other pixel is the weighted mean of its 3x3 neighbors, w ~ exp(-dY^2 / s) with Y = L*/100 and
    s = max(0.6 var(Y), min dY^2 / ln 100, 2e-6) over the window: one sparse system, solved once for a* and b*.
    """
    _require_hints(mask)
    weights = _levin_weights(np.asarray(lightness, np.float64) / 100)
    number = np.arange(mask.size).reshape(mask.shape)
    neighbor = _shifted(number.astype(np.float64))
    row, column, value = [number.ravel()], [number.ravel()], [np.ones(mask.size)]
    for weight, beside in zip(weights, neighbor, strict=True):
        used = ~mask & (weight > 0)
        row.append(number[used])
        column.append(beside[used].astype(np.int64))
        value.append(-weight[used])
    places = (np.concatenate(row), np.concatenate(column))
    system = scipy.sparse.csc_matrix((np.concatenate(value), places), shape=(mask.size, mask.size))
    factors = scipy.sparse.linalg.splu(system)
    known = np.where(mask[..., None], ab, 0).reshape(-1, 2).astype(np.float64)
    return np.asarray(factors.solve(known), np.float32).reshape(*mask.shape, 2)


def _levin_weights(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """(8, H, W), summing to 1 over the first axis; 0 where the neighbor lies outside."""
    around = _shifted(luma)
    window = np.concatenate([around, luma[None]])
    variance = np.nanmean((window - np.nanmean(window, axis=0)) ** 2, axis=0)
    squared = (around - luma) ** 2
    spread = np.maximum(np.maximum(0.6 * variance, np.nanmin(squared, axis=0) / np.log(100)), 2e-6)
    weights = np.nan_to_num(np.exp(-squared / spread))
    return np.asarray(weights / weights.sum(axis=0))


def _shifted(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(8, H, W): the eight neighbors of every pixel, NaN outside the picture."""
    height, width = image.shape
    padded = np.pad(image, 1, constant_values=np.nan)
    return np.stack([padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width] for dy, dx in _NEIGHBORS])


def guided_fill(lightness: Floats, mask: Mask, ab: Floats, radius: int = 16, softness: float = 2.0) -> Floats:
    """The nearest hint's color, smoothed by the guided filter of He, Sun and Tang (2010) with L* as its guide.

    `radius` in pixels; L* changes well above `softness` are kept as edges.
    """
    nearest = nearest_hint(lightness, mask, ab)
    guide = np.asarray(lightness, np.float32)
    filtered = [_guided_filter(guide, nearest[..., channel], radius, softness**2) for channel in range(2)]
    return np.stack(filtered, axis=-1)


def _guided_filter(guide: Floats, values: Floats, radius: int, softening: float) -> Floats:
    def mean(image: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(cv2.boxFilter(image, cv2.CV_32F, (2 * radius + 1, 2 * radius + 1)))

    guide_mean, values_mean = mean(guide), mean(values)
    variance = mean(guide * guide) - guide_mean**2
    slope = (mean(guide * values) - guide_mean * values_mean) / (variance + softening)
    offset = values_mean - slope * guide_mean
    return np.asarray(mean(slope) * guide + mean(offset), np.float32)


def bilateral_fill(lightness: Floats, mask: Mask, ab: Floats, cell: int = 4, lightness_step: float = 6.0) -> Floats:
    """The mean of all hints, weighted by nearness and likeness of L*: normalised convolution in a bilateral grid.

    Hints are splatted into a grid of (y, x, L*) cells of `cell` pixels and `lightness_step` (Chen, Paris and Durand
    2007), blurred narrowly and, where no hint is near, widely, and read back at every pixel.
    """
    _require_hints(mask)
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    shape = (height // cell + 2, width // cell + 2, int(100 / lightness_step) + 2)
    grid = np.zeros((*shape, 3), np.float32)
    level = np.clip(lightness, 0, 100) / lightness_step
    splat = (np.rint(rows / cell).astype(int), np.rint(columns / cell).astype(int), np.rint(level[mask]).astype(int))
    np.add.at(grid, splat, np.column_stack([ab[mask], np.ones(len(rows), np.float32)]))
    blurred = np.zeros_like(grid)
    for sigma, share in ((3.0, 1.0), (8.0, 1e-2), (24.0, 1e-4)):
        blurred += share * _blurred_grid(grid, sigma)
    blurred += 1e-12 * grid.sum((0, 1, 2))  # where nothing is in reach, the mean of all hints
    y, x = np.mgrid[:height, :width]
    dense = _trilinear(blurred, np.stack([y / cell, x / cell, level]))
    return (dense[..., :2] / dense[..., 2:]).astype(np.float32)


def _blurred_grid(grid: Floats, sigma: float) -> Floats:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(grid, (sigma, sigma, 1.0, 0.0), mode="constant", truncate=3.0), np.float32)


def _trilinear(grid: Floats, positions: NDArray[Any]) -> Floats:
    from scipy.ndimage import map_coordinates

    read = [map_coordinates(grid[..., channel], positions, order=1, mode="nearest") for channel in range(3)]
    return np.stack(read, axis=-1)


def _require_hints(mask: Mask) -> None:
    if not mask.any():
        raise HintError("there is no hint to fill from")


def dis_medium() -> cv2.DISOpticalFlow:
    """OpenCV's DIS as the protocol has it: preset MEDIUM."""
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)


def dis_flow(dis: cv2.DISOpticalFlow, frame: NDArray[np.uint8], neighbor: NDArray[np.uint8]) -> Floats:
    """(H, W, 2) in pixels: a pixel of `frame` at p was at p + flow in `neighbor`; both (H, W) 8-bit L*."""
    # None, never an array to fill: DIS takes one for a first guess, in this call and in all later ones.
    return np.asarray(dis.calc(frame, neighbor, None), np.float32)  # type: ignore[call-overload]


class Motion:
    """DIS flow (preset MEDIUM) between neighboring frames of a clip, worked out when first asked for and kept."""

    def __init__(self, lightness: Sequence[Floats]) -> None:
        """`lightness`: (H, W) L* 0..100 per frame; flow is estimated on 8-bit codes of it."""
        self._codes = [np.clip(np.rint(frame * 2.55), 0, 255).astype(np.uint8) for frame in lightness]
        self._dis = dis_medium()
        self._flows: dict[tuple[int, int], Floats] = {}
        self.grid = sampling_grid(*self._codes[0].shape)

    def flow(self, frame: int, neighbor: int) -> Floats:
        """(H, W, 2) in pixels, see `dis_flow`; frames by number."""
        pair = (frame, neighbor)
        if pair not in self._flows:
            self._flows[pair] = dis_flow(self._dis, self._codes[frame], self._codes[neighbor])
        return self._flows[pair]

    def positions(self, frame: int, neighbor: int) -> Floats:
        """(H, W, 2) x, y in `neighbor` where each pixel of `frame` comes from."""
        return self.grid + self.flow(frame, neighbor)


def hold(key_ab: Floats, order: Iterable[int]) -> Iterator[tuple[int, Floats]]:
    """The key's colors, unmoved."""
    for frame in order:
        yield frame, key_ab


def dis_chain(motion: Motion, key: int, key_ab: Floats, order: Iterable[int]) -> Iterator[tuple[int, Floats]]:
    """Flow composed back to the key frame, colors sampled once; `order` leads away from `key` frame by frame."""
    to_key = motion.grid
    for frame in order:
        to_key = sample(to_key, motion.positions(frame, _nearer(frame, key)))
        yield frame, sample(key_ab, to_key)


def dis_frame_by_frame(motion: Motion, key: int, key_ab: Floats, order: Iterable[int]) -> Iterator[tuple[int, Floats]]:
    """Colors sampled anew at every frame from the one before, which blurs them a little each time."""
    carried = key_ab
    for frame in order:
        carried = sample(carried, motion.positions(frame, _nearer(frame, key)))
        yield frame, carried


def dis_two_sided(
    motion: Motion, keys: tuple[int, int], key_abs: tuple[Floats, Floats]
) -> Iterator[tuple[int, Floats]]:
    """The chains of the keys on both sides, blended by distance."""
    first, last = keys
    from_last = dict(dis_chain(motion, last, key_abs[1], range(last - 1, first, -1)))
    for frame, ab in dis_chain(motion, first, key_abs[0], range(first + 1, last)):
        share = np.float32((frame - first) / (last - first))
        yield frame, ab + (from_last[frame] - ab) * share


def _nearer(frame: int, key: int) -> int:
    return frame - 1 if frame > key else frame + 1
