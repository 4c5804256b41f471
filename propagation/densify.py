"""Sparse hints to a dense property with reach and confidence: the spatial propagation network behind a small
interface.

A frame too large to be worked on whole is filled at a fraction of its size, where hints still reach everywhere; the
last pass then brings the result to the full picture's edges, tile by tile, so that memory does not grow with the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kernels.fallback import Placed
from propagation.errors import HintError
from propagation.precision import channels_last, fast_convolutions
from propagation.spn import Description, SpatialPropagationNetwork
from propagation.tiles import Tile, reduction, shrink_hints, shrink_mean, tiles
from propagation.weights import expected_tensors, load_weights, weights_path

Floats = NDArray[np.float32]
Result = TypeVar("Result")

# Pixels of the largest frame that is filled whole; what that takes is printed by `bench densify`.
MOST_PIXELS = 2560 * 1440
TILE_PX = 1024
# Times smaller that a frame is described where a GPU lacks memory for it, one after the other; its tiles are then, too.
_SMALLER = (2, 4)
_OVERLAP = 8  # a tile shares this share of its side with the next
# How a picture that is kept is looked at besides; each undoes itself. What a network makes of a picture and of its
# mirror image differs by chance, and their mean is closer to the truth than either. More views bring little more.
_VIEWS: tuple[Callable[[Floats], Floats], ...] = (
    lambda picture: np.ascontiguousarray(picture[:, ::-1]),
    lambda picture: np.ascontiguousarray(picture.swapaxes(0, 1)),
)
# Decades of decay over which reach falls from 1 (a hint) to 0 (nothing arrives).
_REACH_DECADES = 8.0
# Expected error, in the property's units, at which confidence is one half: a difference that a viewer begins to see.
_HALF_CONFIDENT = 5.0


@dataclass(frozen=True)
class Hints:
    """values: (H, W, C) float32 in the property's units (a* and b* for colour); strength: (H, W) float32 in 0..1, 0:
    no hint."""

    values: Floats
    strength: Floats


class Described(NamedTuple):
    """A description, the device that it is on, and the part of a frame's size that it was made at."""

    device: str
    factor: int
    picture: Description


@dataclass
class PreparedFrame:
    """All that depends on the picture alone; made by `Densifier.prepare`, kept while a person paints.

    Of a frame larger than `MOST_PIXELS` a `factor`-th of its size is described; `described` is made anew, from
    lightness (H, W), where that device had to be left or has no memory for this size. `views`: the same of the frame
    mirrored and turned over, or nothing.
    """

    lightness: Floats
    factor: int
    described: Described | None
    views: tuple[PreparedFrame, ...] = ()


@dataclass(frozen=True)
class Dense:
    """values: (H, W, C); reach: (H, W), 1 at a hint, falling with distance and across edges; confidence: (H, W), 0 to
    1;
    error: (H, W), the expected absolute error in the property's units. All float32."""

    values: Floats
    reach: Floats
    confidence: Floats
    error: Floats


def confidence_of(error: NDArray[Any]) -> Floats:
    """Expected absolute error, in the property's units, to confidence: 1 for none, one half at 5 units of a* or b*."""
    confidence = np.asarray(error / np.float32(_HALF_CONFIDENT), np.float32)
    confidence += 1
    return np.reciprocal(confidence, out=confidence)


class Densifier:
    """Fills frames from hints. `prepare` and `fill` may be called from several threads at once.

    Frames of more than `most_pixels` are filled in tiles of `tile_px`, and so are others where a GPU lacks memory;
    where it fails the CPU goes on, see `kernels.fallback`.
    """

    def __init__(
        self,
        model: SpatialPropagationNetwork,
        device: str = "cpu",
        *,
        most_pixels: int = MOST_PIXELS,
        tile_px: int = TILE_PX,
    ) -> None:
        self._placed = Placed(channels_last(model), device)
        self._most_pixels, self._tile_px = most_pixels, tile_px

    @classmethod
    def load(cls, name: str = "spn-color", device: str = "cpu", *, most_pixels: int = MOST_PIXELS) -> Densifier:
        """The trained network `name` of assets/weights. Raises WeightsError when it is missing, damaged or another
        one."""
        model = SpatialPropagationNetwork()
        model.load_state_dict(load_weights(weights_path(name), expected_tensors(model)))
        return cls(model, device, most_pixels=most_pixels)

    def prepare(self, lightness: Floats, *, thorough: bool = False) -> PreparedFrame:
        """Guidance and gates of a frame, lightness (H, W) as L*, 0 to 100; `thorough` for a picture that is kept: three
        times the work here and at every fill, and a tenth of a dB. Raises HintError for NaN or another shape."""
        if lightness.ndim != 2 or not lightness.size:
            raise HintError(f"a lightness picture is (H, W), not {lightness.shape}")
        if not np.isfinite(lightness).all():
            raise HintError("the lightness picture holds NaN or infinite values")
        factor = reduction(lightness.shape, self._most_pixels)
        describe = partial(_describe, lightness=lightness)
        views = tuple(self.prepare(view(lightness)) for view in _VIEWS if thorough)
        return PreparedFrame(lightness, factor, self._run(describe, factor), views)

    def fill(self, prepared: PreparedFrame, hints: Hints) -> Dense:
        """The dense property. Where strength is 1 the hint's own value comes through exactly.

        Two channels are a color (a*, b*) and get all that the network learned. Any other number of channels, of any
        range, is carried by the scans alone: a mask, three channels of log radiance.

        Raises HintError when the hints are of another size than the frame, hold NaN, or are empty.
        """
        shape = prepared.lightness.shape
        values, strength = np.asarray(hints.values, np.float32), np.asarray(hints.strength, np.float32)
        if values.ndim != 3 or values.shape[:2] != shape or strength.shape != shape:
            raise HintError(f"the frame is {shape}, the hints are {values.shape} with strength {strength.shape}")
        least, most = strength.min(), strength.max()
        # The smallest and the largest of numbers with a NaN among them are NaN.
        if not np.isfinite((least, most, values.min(initial=0), values.max(initial=0))).all():
            raise HintError("the hints hold NaN or infinite values")
        if most <= 0:
            raise HintError("nothing is painted", advice="Give at least one pixel a strength above zero")
        if least < 0 or most > 1:
            strength = strength.clip(0, 1)
        dense, reach, error = self._filled(prepared, values, strength)
        if values.shape[2] == self._placed.spare.config.channels:
            for view, seen in zip(_VIEWS, prepared.views, strict=False):
                other, _, expected = self._filled(seen, view(values), view(strength))
                dense += view(other)
                error += view(expected)
            dense /= 1 + len(prepared.views)
            error /= 1 + len(prepared.views)
        painted = np.flatnonzero(strength)
        sureness = strength.ravel()[painted]
        certain = painted[sureness >= 1]
        dense.reshape(-1, dense.shape[2])[certain] = values.reshape(-1, dense.shape[2])[certain]
        error.ravel()[painted] *= 1 - sureness
        np.clip(1 + reach / _REACH_DECADES, 0, 1, out=reach)
        return Dense(dense, reach, confidence_of(error), error)

    def _filled(self, prepared: PreparedFrame, values: Floats, strength: Floats) -> tuple[Floats, Floats, Floats]:
        fill = partial(_fill_frame, prepared=prepared, values=values, strength=strength, tile_px=self._tile_px)
        return self._run(fill, prepared.factor)

    def _run(self, work: Callable[..., Result], factor: int) -> Result:
        """work(model, device, factor=factor), at a smaller and smaller part of the size where a GPU lacks memory."""
        smaller = (partial(work, factor=times * factor) for times in _SMALLER)
        return self._placed.run(partial(work, factor=factor), *smaller)


def _describe(model: SpatialPropagationNetwork, device: str, lightness: Floats, factor: int) -> Described:
    if factor > 1:
        lightness = shrink_mean(lightness, factor)
    with torch.inference_mode(), fast_convolutions(device):
        return Described(device, factor, model.describe(_tensor(lightness[..., None], device)))


def _fill_frame(
    model: SpatialPropagationNetwork,
    device: str,
    prepared: PreparedFrame,
    values: Floats,
    strength: Floats,
    factor: int,
    tile_px: int,
) -> tuple[Floats, Floats, Floats]:
    """Values (H, W, C), log10 of what arrives and expected error (H, W), in main memory; of a frame that is too large
    a `factor`-th of its size first, then its last pass in tiles."""
    described = prepared.described
    if described is None or (described.device, described.factor) != (device, factor):
        prepared.described = described = None  # its memory is what may lack
        prepared.described = described = _describe(model, device, prepared.lightness, factor)
    if factor == 1:
        return _fill(model, device, described.picture, values, strength)
    h, w = strength.shape
    drafts, reach, error = _fill(model, device, described.picture, *shrink_hints(values, strength, factor))
    dense = np.zeros_like(values)
    side = tile_px * prepared.factor // factor
    for tile in tiles((h, w), side, side // _OVERLAP):
        maps = (prepared.lightness[..., None], values, strength[..., None])
        parts = (_enlarged(drafts, tile, factor), *(m[tile.rows, tile.columns] for m in maps))
        dense[tile.rows, tile.columns] += _refine(model, device, parts) * tile.weight[..., None]
    whole = Tile(slice(0, h), slice(0, w), np.empty((0, 0), np.float32))
    reach, error = (_enlarged(m[..., None], whole, factor)[..., 0] for m in (reach, error))
    reach[strength > 0] = 0
    return dense, reach, error


def _fill(
    model: SpatialPropagationNetwork, device: str, picture: Description, values: Floats, strength: Floats
) -> tuple[Floats, Floats, Floats]:
    """As `_fill_frame`, at the size that was described."""
    fill = model.fill if values.shape[2] == model.config.channels else model.scan_alone
    with torch.inference_mode(), fast_convolutions(device):
        out = fill(picture, _tensor(values, device), _tensor(strength[..., None], device))
    dense, reach, error = (out[name][0].permute(1, 2, 0).cpu().contiguous() for name in ("values", "reach", "error"))
    return dense.numpy(), reach[..., 0].numpy(), error[..., 0].numpy()


def _refine(model: SpatialPropagationNetwork, device: str, maps: tuple[Floats, ...]) -> Floats:
    """A tile's values (h, w, C) from its draft, lightness, hints and their strength, each (h, w, channels)."""
    draft, lightness, values, strength = (_tensor(m, device) for m in maps)
    with torch.inference_mode(), fast_convolutions(device):
        found = model.refine(lightness, draft, values, strength)
    return np.asarray(found[0].permute(1, 2, 0).cpu().numpy())


def _enlarged(image: Floats, tile: Tile, factor: int) -> Floats:
    """What a picture (h, w, C) of a factor-th of the size shows in a tile of the whole, bilinear."""
    top, left = max(tile.rows.start // factor - 1, 0), max(tile.columns.start // factor - 1, 0)
    # One pixel more on each side, so that every tile interpolates between the same pixels.
    part = image[top : -(-tile.rows.stop // factor) + 1, left : -(-tile.columns.stop // factor) + 1]
    size = (part.shape[1] * factor, part.shape[0] * factor)
    large = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_LINEAR)
    y, x = tile.rows.start - top * factor, tile.columns.start - left * factor
    shown = large[y : y + tile.rows.stop - tile.rows.start, x : x + tile.columns.stop - tile.columns.start]
    return np.ascontiguousarray(shown.reshape(*shown.shape[:2], -1))


def _tensor(image: Floats, device: str) -> torch.Tensor:
    """(H, W, C) numpy to (1, C, H, W) on the device, without a copy where it is there already."""
    return torch.from_numpy(np.ascontiguousarray(image, np.float32)).permute(2, 0, 1)[None].to(device)
