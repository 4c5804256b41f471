"""Motion where there is nothing to see: optical flow whose doubtful parts follow the sure ones around them.

Inside clipped highlights and crushed shadows flow has no texture to hold on to. There the motion is an affine model of
the sure pixels' motion (the camera's, mostly) plus what nearby sure pixels depart from it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.threads import run_parts
from propagation.hdr import motion_rows as rows

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

_IN_ONE_MAP: Any = None  # x and y lie beside each other; OpenCV's types want a second map all the same


def grey8(code_values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) 8-bit luma of RGB code values (H, W, 3), uint8 or uint16."""
    if code_values.dtype == np.uint16:
        code_values = cv2.convertScaleAbs(code_values, alpha=1 / 257)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(code_values), cv2.COLOR_RGB2GRAY), np.uint8)


def visible(grey: NDArray[np.uint8], blind: NDArray[np.bool_]) -> Floats:
    """(H, W) 0..1: how far motion shows at a pixel: texture, away from `blind` pixels (clipped or crushed)."""
    across, down = (cv2.Scharr(grey, cv2.CV_32F, *way) / 32 for way in ((1, 0), (0, 1)))
    energy = cv2.GaussianBlur(across * across + down * down, (0, 0), 2.5)
    texture = energy / (energy + _TEXTURE)
    near_blind = np.minimum(cv2.GaussianBlur(blind.astype(np.float32), (0, 0), 2.0), 1)
    return np.asarray(texture * (1 - near_blind) ** 2, np.float32)


def sampled(picture: NDArray[Any], positions: Floats) -> NDArray[Any]:
    """Bilinear samples of (H, W) or (H, W, C <= 4) at (H, W, 2) positions (x, y), border replicated."""
    return np.asarray(cv2.remap(picture, positions, _IN_ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def inside(offsets: Floats) -> Floats:
    """(H, W): 1 where a pixel's offset (H, W, 2) leads into the frame, within half a pixel of it, 0 elsewhere."""
    out = np.empty(offsets.shape[:2], np.float32)
    run_parts(rows.inside, (offsets, out), offsets.shape[0], out.size)
    return out


def believed(trip: Floats) -> Floats:
    """(H, W) 0..1: how far flow is believed whose round trip is `trip` (H, W, 2) pixels long."""
    squared = trip[..., 0] * trip[..., 0] + trip[..., 1] * trip[..., 1]
    return np.exp(squared * np.float32(-1 / _TRIP_PX**2))


def follow_the_sure(flow: Floats, sure: Floats, prior: Affine | None = None) -> tuple[Floats, Affine]:
    """(`flow` (H, W, 2) itself where `sure` (H, W) is 1; the affine model and its neighbours' departure where it is 0,
    the model).

    `prior` is the model to keep to where little is sure: that of the frame before, or None for standing still.
    """
    height, width = sure.shape
    solution = _affine(flow, sure, np.zeros((3, 2)) if prior is None else prior)
    model = solution.astype(np.float32)
    small = np.empty((-(-height // _GRID_PX), -(-width // _GRID_PX), 3), np.float32)
    run_parts(rows.departures, (flow, sure, model, _GRID_PX, small), small.shape[0], sure.size)
    blurred = cv2.GaussianBlur(small, (0, 0), _REACH_PX / _GRID_PX)
    near = blurred[..., :2] / (blurred[..., 2:] + _WHISPER)
    # Cells of whole pixels: what hangs over the edge is cut off again.
    full = cv2.resize(near, (small.shape[1] * _GRID_PX, small.shape[0] * _GRID_PX), interpolation=cv2.INTER_LINEAR)
    out = np.empty_like(flow)
    run_parts(rows.followed, (flow, sure, model, full, out), height, sure.size)
    return out, solution


def _affine(flow: Floats, sure: Floats, prior: Affine) -> Affine:
    """(3, 2): what x, y (each -1 to 1) and 1 contribute to the motion that most sure pixels share (iteratively
    reweighted least squares), drawn towards `prior` by as much as a few pixels weigh."""
    change: Affine = np.zeros((3, 2))
    scale_px = np.inf  # the first round believes every pixel alike
    middle = slice(_GRID_PX // 2, None, _GRID_PX)
    sparse_flow, sparse_sure = (np.ascontiguousarray(each[middle, ::_GRID_PX]) for each in (flow, sure))
    spacing = (2 * _GRID_PX / sure.shape[0], 2 * _GRID_PX / sure.shape[1], 2 * (_GRID_PX // 2) / sure.shape[0] - 1)
    for _ in range(_ROUNDS):
        left, right = rows.normal_equations(sparse_flow, sparse_sure, prior, change, spacing, scale_px)
        change = np.asarray(np.linalg.solve(left + np.diag(_HOLD), right), np.float64)
        scale_px = _OUTLIER_PX
    return prior + change
