"""Named tone curves: scene-linear light to the 0..1 that an ordinary screen shows, for previews and contact sheets.

Each works on the largest channel of a pixel and scales all three alike, so that hues stay.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from propagation.color.srgb import linear_to_srgb

Floats = NDArray[np.float32]

# Light, in units of white, above which everything shows as white: 5 stops.
_BURNS_AT = 32.0
_KNEE = 0.5  # light up to which `knee` leaves everything alone


def _clip(light: Floats) -> Floats:
    return np.minimum(light, 1)


def _reinhard(light: Floats) -> Floats:
    """L (1 + L / Lw^2) / (1 + L) (Reinhard et al. 2002, equation 4)."""
    return np.minimum(light * (1 + light / np.float32(_BURNS_AT**2)) / (1 + light), 1)


def _bend() -> float:
    """The c with which log(1 + c x) / log(1 + c X), times the room above the knee, starts with slope 1."""
    c = 1.0
    for _ in range(50):
        c = float(np.log1p(c * (_BURNS_AT - _KNEE))) / (1 - _KNEE)
    return c


def _knee(light: Floats) -> Floats:
    """The light itself up to the knee, above it a logarithm of the same slope that ends at `_BURNS_AT`."""
    above = np.log1p(np.float32(_BEND) * np.maximum(light - np.float32(_KNEE), 0))
    return np.where(light <= _KNEE, light, np.minimum(np.float32(_KNEE) + above / np.float32(_BEND), 1))


_BEND = _bend()
CURVES: dict[str, Callable[[Floats], Floats]] = {"clip": _clip, "knee": _knee, "reinhard": _reinhard}


def tone_mapped(linear: Floats, curve: str = "knee", exposure_stops: float = 0.0) -> NDArray[np.uint8]:
    """(H, W, 3) scene-linear light, 1 the white of an ordinary picture, as 8-bit sRGB by the tone curve of that name.

    `exposure_stops` brightens first; negative light counts as none. Raises KeyError for a curve not in `CURVES`.
    """
    light = np.maximum(np.nan_to_num(linear), 0) * np.float32(2.0**exposure_stops)
    most = light.max(axis=-1, keepdims=True)
    shown = light * (CURVES[curve](most) / np.maximum(most, np.float32(1e-12)))
    return np.rint(linear_to_srgb(np.clip(shown, 0, 1)) * 255).astype(np.uint8)
