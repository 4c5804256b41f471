"""Sparse hints to a dense property with reach and confidence: the spatial propagation network behind a small
interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kernels.fallback import Placed
from propagation.errors import HintError
from propagation.precision import channels_last, fast_convolutions
from propagation.spn import Description, SpatialPropagationNetwork
from propagation.weights import expected_tensors, load_weights, weights_path

Floats = NDArray[np.float32]

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


@dataclass
class PreparedFrame:
    """All that depends on the picture alone; made by `Densifier.prepare`, kept while a person paints.

    `described`: the device it was described on, and the description there; made anew, from lightness (H, W), where the
    densifier had to leave that device.
    """

    lightness: Floats
    described: tuple[str, Description]


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
    return np.asarray(1 / (1 + error / _HALF_CONFIDENT), np.float32)


class Densifier:
    """Fills frames from hints. `prepare` and `fill` may be called from several threads at once.

    Where a GPU fails or lacks memory the CPU goes on, see `kernels.fallback`.
    """

    def __init__(self, model: SpatialPropagationNetwork, device: str = "cpu") -> None:
        self._placed = Placed(channels_last(model), device)

    @classmethod
    def load(cls, name: str = "spn-color", device: str = "cpu") -> Densifier:
        """The trained network `name` of assets/weights. Raises WeightsError when it is missing, damaged or another
        one."""
        model = SpatialPropagationNetwork()
        model.load_state_dict(load_weights(weights_path(name), expected_tensors(model)))
        return cls(model, device)

    def prepare(self, lightness: Floats) -> PreparedFrame:
        """Guidance and gates of a frame, lightness (H, W) as L*, 0 to 100. Raises HintError for NaN or another
        shape."""
        if lightness.ndim != 2 or not lightness.size:
            raise HintError(f"a lightness picture is (H, W), not {lightness.shape}")
        if not np.isfinite(lightness).all():
            raise HintError("the lightness picture holds NaN or infinite values")
        return PreparedFrame(lightness, self._placed.run(lambda model, device: _describe(model, device, lightness)))

    def fill(self, prepared: PreparedFrame, hints: Hints) -> Dense:
        """The dense property. Where strength is 1 the hint's own value comes through exactly.

        Two channels are a color (a*, b*) and get all that the network learned. Any other number of channels, of any
        range, is carried by the scans alone: a mask, three channels of log radiance.

        Raises HintError when the hints are of another size than the frame, hold NaN, or are empty.
        """
        values, strength = hints.values, hints.strength
        shape = prepared.lightness.shape
        if values.ndim != 3 or values.shape[:2] != shape or strength.shape != shape:
            raise HintError(f"the frame is {shape}, the hints are {values.shape} with strength {strength.shape}")
        if not (np.isfinite(values).all() and np.isfinite(strength).all()):
            raise HintError("the hints hold NaN or infinite values")
        if not (strength > 0).any():
            raise HintError("nothing is painted", advice="Give at least one pixel a strength above zero")
        dense, reach, error = self._placed.run(lambda model, device: _fill(model, device, prepared, hints))
        return Dense(dense, reach[..., 0], confidence_of(error[..., 0]), error[..., 0])


def _describe(model: SpatialPropagationNetwork, device: str, lightness: Floats) -> tuple[str, Description]:
    with torch.inference_mode(), fast_convolutions(device):
        return device, model.describe(_tensor(lightness[..., None], device))


def _fill(model: SpatialPropagationNetwork, device: str, prepared: PreparedFrame, hints: Hints) -> list[Floats]:
    """Values, reach and expected error, each (H, W, channels), in main memory."""
    if prepared.described[0] != device:
        prepared.described = _describe(model, device, prepared.lightness)
    _, description = prepared.described
    fill = model.fill if hints.values.shape[2] == model.config.channels else model.scan_alone
    known, wanted = _tensor(hints.strength[..., None], device).clamp(0, 1), _tensor(hints.values, device)
    with torch.inference_mode(), fast_convolutions(device):
        out = fill(description, wanted, known)
        dense = torch.where(known >= 1, wanted, out["values"])
        reach = (1 + out["reach"] / _REACH_DECADES).clamp(0, 1)
        error = out["error"] * (1 - known)
    return [x[0].permute(1, 2, 0).contiguous().cpu().numpy() for x in (dense, reach, error)]


def _tensor(image: Floats, device: str) -> torch.Tensor:
    """(H, W, C) numpy to (1, C, H, W) on the device."""
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None].to(device)
