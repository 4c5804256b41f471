"""Motion where there is nothing to see: optical flow whose doubtful parts follow the sure ones around them.

Inside clipped highlights and crushed shadows flow has no texture to hold on to. There the motion is an affine model of
the sure pixels' motion (the camera's, mostly) plus what nearby sure pixels depart from it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Affine = NDArray[np.float64]

_GRID_PX = 4  # spacing of the pixels that the affine model is fitted to
_ROUNDS = 6
# Sure pixels that the prior weighs as much as, for the linear parts and the shift: so few that a lamp in a white
# ceiling still tells how the camera moves.
_HOLD = (0.1, 0.1, 0.01)
_OUTLIER_PX = 0.25  # departure at which a pixel's say in the model is halved
_REACH_PX = 12.0  # over which sure pixels speak for doubtful ones
_WHISPER = 0.02  # of weight for the model alone where no sure pixel is in reach
_TEXTURE = 4.0  # squared gradient, in 8-bit codes a pixel, at which texture is half sure
_TRIP_PX = 0.5  # round trip at which flow is doubted


def grey8(code_values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) 8-bit luma of RGB code values (H, W, 3), uint8 or uint16."""
    if code_values.dtype == np.uint16:
        code_values = cv2.convertScaleAbs(code_values, alpha=1 / 257)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(code_values), cv2.COLOR_RGB2GRAY), np.uint8)


def sureness(grey: NDArray[np.uint8], blind: NDArray[np.bool_], round_trip: Floats) -> Floats:
    """(H, W) 0..1: how far flow at a pixel can be believed: texture, away from `blind` pixels (clipped or crushed, on
    which no motion shows), and the length in pixels of its `round_trip`."""
    across, down = (cv2.Scharr(grey, cv2.CV_32F, *way) / 32 for way in ((1, 0), (0, 1)))
    energy = cv2.GaussianBlur(across * across + down * down, (0, 0), 2.5)
    texture = energy / (energy + _TEXTURE)
    near_blind = np.minimum(cv2.GaussianBlur(blind.astype(np.float32), (0, 0), 2.0), 1)
    return np.asarray(texture * (1 - near_blind) ** 2 * np.exp(-((round_trip / _TRIP_PX) ** 2)), np.float32)


def follow_the_sure(flow: Floats, sure: Floats, prior: Affine | None = None) -> tuple[Floats, Affine]:
    """(`flow` (H, W, 2) itself where `sure` (H, W) is 1; the affine model and its neighbours' departure where it is 0,
    the model).

    `prior` is the model to keep to where little is sure: that of the frame before, or None for standing still.
    """
    height, width = sure.shape
    solution = _affine(flow, sure, np.zeros((3, 2)) if prior is None else prior)
    x, y = _across(width).astype(np.float32), _across(height).astype(np.float32)
    (by_x, by_y, constant) = solution.astype(np.float32)
    model = x[None, :, None] * by_x + (y[:, None, None] * by_y + constant)
    departure = flow - model
    small = (max(1, width // _GRID_PX), max(1, height // _GRID_PX))
    stack = np.dstack([departure * sure[..., None], sure])
    blurred = cv2.GaussianBlur(cv2.resize(stack, small, interpolation=cv2.INTER_AREA), (0, 0), _REACH_PX / _GRID_PX)
    near = cv2.resize(blurred[..., :2] / (blurred[..., 2:] + _WHISPER), (width, height), interpolation=cv2.INTER_LINEAR)
    share = sure[..., None]
    return np.asarray(model + near + (departure - near) * share, np.float32), solution


def _across(size: int) -> NDArray[np.float64]:
    """Pixel positions from -1 to 1."""
    return np.asarray(2 * np.arange(size) / size - 1)


def _affine(flow: Floats, sure: Floats, prior: Affine) -> Affine:
    """(3, 2): what x, y (each -1 to 1) and 1 contribute to the motion that most sure pixels share (iteratively
    reweighted least squares), drawn towards `prior` by as much as a few pixels weigh."""
    height, width = sure.shape
    rows, columns = slice(_GRID_PX // 2, None, _GRID_PX), slice(_GRID_PX // 2, None, _GRID_PX)
    x, y = np.meshgrid(_across(width)[columns], _across(height)[rows])
    at = np.stack([x, y, np.ones_like(x)], axis=-1).reshape(-1, 3)
    moved = flow[rows, columns].reshape(-1, 2).astype(np.float64) - at @ prior
    weight = sure[rows, columns].ravel().astype(np.float64)
    change: NDArray[np.float64] = np.zeros((3, 2))
    share = weight
    for _ in range(_ROUNDS):
        scaled = at * share[:, None]
        change = np.asarray(np.linalg.solve(at.T @ scaled + np.diag(_HOLD), scaled.T @ moved), np.float64)
        apart = np.hypot(*(moved - at @ change).T)
        share = weight / (1 + (apart / _OUTLIER_PX) ** 2)
    return prior + change
