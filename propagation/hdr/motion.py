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

Floats = NDArray[np.float32]
Affine = NDArray[np.float64]

GRID_PX = 4  # spacing of the pixels that the affine model is fitted to
ROUNDS = 6
# Sure pixels that the prior weighs as much as, for the linear parts and the shift: so few that a lamp in a white
# ceiling still tells how the camera moves.
HOLD = (0.1, 0.1, 0.01)
OUTLIER_PX = 0.25  # departure at which a pixel's say in the model is halved
REACH_PX = 12.0  # over which sure pixels speak for doubtful ones
WHISPER = 0.02  # of weight for the model alone where no sure pixel is in reach
TEXTURE_PX, NEAR_BLIND_PX = 2.5, 2.0  # standard deviations over which texture and blind pixels speak
TEXTURE = 4.0  # squared gradient, in 8-bit codes a pixel, at which texture is half sure
TRIP_PX = 0.5  # round trip at which flow is doubted

_IN_ONE_MAP: Any = None  # x and y lie beside each other; OpenCV's types want a second map all the same


def grey8(code_values: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W) 8-bit luma of RGB code values (H, W, 3), uint8 or uint16."""
    if code_values.dtype == np.uint16:
        code_values = cv2.convertScaleAbs(code_values, alpha=1 / 257)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(code_values), cv2.COLOR_RGB2GRAY), np.uint8)


def visible(grey: NDArray[np.uint8], blind: NDArray[np.bool_]) -> Floats:
    """(H, W) 0..1: how far motion shows at a pixel: texture, away from `blind` pixels (clipped or crushed)."""
    across, down = (cv2.Scharr(grey, cv2.CV_32F, *way) / 32 for way in ((1, 0), (0, 1)))
    energy = cv2.GaussianBlur(across * across + down * down, (0, 0), TEXTURE_PX)
    texture = energy / (energy + TEXTURE)
    near_blind = np.minimum(cv2.GaussianBlur(blind.astype(np.float32), (0, 0), NEAR_BLIND_PX), 1)
    return np.asarray(texture * (1 - near_blind) ** 2, np.float32)


def sampled(picture: NDArray[Any], positions: Floats) -> NDArray[Any]:
    """Bilinear samples of (H, W) or (H, W, C <= 4) at (H, W, 2) positions (x, y), border replicated."""
    return np.asarray(cv2.remap(picture, positions, _IN_ONE_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def inside(offsets: Floats) -> Floats:
    """(H, W): 1 where a pixel's offset (H, W, 2) leads into the frame, within half a pixel of it, 0 elsewhere."""
    from propagation.hdr import motion_rows as rows  # here because numba takes a second to import

    out = np.empty(offsets.shape[:2], np.float32)
    run_parts(rows.inside, (offsets, out), offsets.shape[0], out.size)
    return out


def believed(trip: Floats) -> Floats:
    """(H, W) 0..1: how far flow is believed whose round trip is `trip` (H, W, 2) pixels long."""
    squared = trip[..., 0] * trip[..., 0] + trip[..., 1] * trip[..., 1]
    return np.exp(squared * np.float32(-1 / TRIP_PX**2))


def follow_the_sure(flow: Floats, sure: Floats, prior: Affine | None = None) -> tuple[Floats, Affine]:
    """(`flow` (H, W, 2) itself where `sure` (H, W) is 1; the affine model and its neighbours' departure where it is 0,
    the model).

    `prior` is the model to keep to where little is sure: that of the frame before, or None for standing still.
    """
    from propagation.hdr import motion_rows as rows  # here because numba takes a second to import

    height, width = sure.shape
    solution = _affine(flow, sure, np.zeros((3, 2)) if prior is None else prior)
    model = solution.astype(np.float32)
    small = np.empty((-(-height // GRID_PX), -(-width // GRID_PX), 3), np.float32)
    run_parts(rows.departures, (flow, sure, model, GRID_PX, small), small.shape[0], sure.size)
    blurred = cv2.GaussianBlur(small, (0, 0), REACH_PX / GRID_PX)
    near = blurred[..., :2] / (blurred[..., 2:] + WHISPER)
    # Cells of whole pixels: what hangs over the edge is cut off again.
    full = cv2.resize(near, (small.shape[1] * GRID_PX, small.shape[0] * GRID_PX), interpolation=cv2.INTER_LINEAR)
    out = np.empty_like(flow)
    run_parts(rows.followed, (flow, sure, model, full, out), height, sure.size)
    return out, solution


def _affine(flow: Floats, sure: Floats, prior: Affine) -> Affine:
    """(3, 2): what x, y (each -1 to 1) and 1 contribute to the motion that most sure pixels share (iteratively
    reweighted least squares), drawn towards `prior` by as much as a few pixels weigh."""
    from propagation.hdr import motion_rows as rows  # here because numba takes a second to import

    change: Affine = np.zeros((3, 2))
    scale_px = np.inf  # the first round believes every pixel alike
    middle = slice(GRID_PX // 2, None, GRID_PX)
    sparse_flow, sparse_sure = (np.ascontiguousarray(each[middle, ::GRID_PX]) for each in (flow, sure))
    spacing = (2 * GRID_PX / sure.shape[0], 2 * GRID_PX / sure.shape[1], 2 * (GRID_PX // 2) / sure.shape[0] - 1)
    for _ in range(ROUNDS):
        left, right = rows.normal_equations(sparse_flow, sparse_sure, prior, change, spacing, scale_px)
        change = np.asarray(np.linalg.solve(left + np.diag(HOLD), right), np.float64)
        scale_px = OUTLIER_PX
    return prior + change
