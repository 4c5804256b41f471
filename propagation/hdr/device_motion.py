"""`propagation.hdr.motion` as tensor operations. Maps are (1, C, H, W) float32; motion has x first.

Nothing waits for the device: the motion that most pixels share is solved for where it was summed up.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from propagation.device_tracker import SMALLEST, to_device
from propagation.hdr.motion import (
    GRID_PX,
    HOLD,
    NEAR_BLIND_PX,
    OUTLIER_PX,
    REACH_PX,
    ROUNDS,
    TEXTURE,
    TEXTURE_PX,
    TRIP_PX,
    WHISPER,
)
from propagation.hdr.separable import Shape, blurred, resized, slopes
from propagation.patch_flow import FlowConfig, patch_flow

# To the pictures' own size: half of it costs highlights 5 to 10 % more error, a second round brings nothing.
FLOW = FlowConfig(finest=0, steps=6)
_CODES_A_LIGHTNESS = 2.55  # 8-bit code values to a unit of L*, which `patch_flow` is made for


class DeviceMotion:
    """Motion in pictures of one size (H, W) on `device`: what `propagation.hdr.motion` has as functions."""

    def __init__(self, shape: Shape, device: str) -> None:
        height, width = shape
        self._slopes = slopes(shape, device)
        self._around, self._near_blind = (blurred(shape, sigma, device) for sigma in (TEXTURE_PX, NEAR_BLIND_PX))
        cells = (-(-height // GRID_PX), -(-width // GRID_PX))
        whole = (cells[0] * GRID_PX, cells[1] * GRID_PX)
        self._reach = blurred(cells, REACH_PX / GRID_PX, device)
        self._enlarge = resized(cells, whole, cv2.INTER_LINEAR, device)
        # (3, H, W): x, y (each -1 to 1) and 1, in double precision, because sums over them are solved for.
        y, x = np.meshgrid(*(2.0 * np.arange(n) / n - 1 for n in shape), indexing="ij")
        self._basis = to_device(np.stack([x, y, np.ones(shape)]), device)
        self._hold = to_device(np.diag(HOLD), device)

    def visible(self, grey: Tensor, blind: Tensor) -> Tensor:
        """`motion.visible` of 8-bit luma and 0 or 1, both (1, 1, H, W)."""
        across, down = (slope(grey) for slope in self._slopes)
        energy = self._around(across * across + down * down)
        return energy / (energy + TEXTURE) * (1 - self._near_blind(blind).clamp(max=1)) ** 2

    def follow_the_sure(self, flow: Tensor, sure: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
        """`motion.follow_the_sure` of flow (1, 2, H, W) and sure (1, 1, H, W); models are (3, 2) float64."""
        solution = self._affine(flow, sure, prior)
        model = torch.einsum("kc,khw->chw", solution.float(), self._basis.float())[None]
        departures = torch.cat([sure * (flow - model), sure], 1)
        # Cells that hang over the edge are means of the pixels that they have.
        around = self._reach(F.avg_pool2d(departures, GRID_PX, ceil_mode=True))
        near = self._enlarge(around[:, :2] / (around[:, 2:] + WHISPER))
        guess = model + near[..., : flow.shape[2], : flow.shape[3]]
        return guess + (flow - guess) * sure, solution

    def _affine(self, flow: Tensor, sure: Tensor, prior: Tensor) -> Tensor:
        """(3, 2): `motion._affine`."""
        sparse = (..., slice(GRID_PX // 2, None, GRID_PX), slice(None, None, GRID_PX))
        basis = self._basis[sparse].flatten(1)
        wanted = flow[0][sparse].flatten(1).double() - prior.T @ basis
        given = sure[0, 0][sparse].flatten().double()
        weight, change = given, torch.zeros_like(prior)  # the first round believes every pixel alike
        for _ in range(ROUNDS):
            weighted = basis * weight
            change = _solved(weighted @ basis.T + self._hold, weighted @ wanted.T)
            miss = wanted - change.T @ basis
            weight = given / (1 + (miss**2).sum(0) / OUTLIER_PX**2)
        return prior + change


def _solved(left: Tensor, right: Tensor) -> Tensor:
    """(3, n): the solution of symmetric equations (3, 3), (3, n), by cofactors: a solver of the library's would look
    whether it succeeded, and wait for that."""
    cofactors = torch.linalg.cross(left.roll(-1, 0), left.roll(-2, 0))
    return cofactors @ right / (left[0] * cofactors[0]).sum()


def flow_between(source: Tensor, target: Tensor) -> Tensor:
    """Optical flow (B, 2, H, W) between 8-bit luma (B, 1, H, W); frames under 16 pixels do not move."""
    if min(source.shape[-2:]) < SMALLEST:
        return torch.zeros_like(source).expand(-1, 2, -1, -1)
    return patch_flow(source / _CODES_A_LIGHTNESS, target / _CODES_A_LIGHTNESS, FLOW)


def believed(trip: Tensor) -> Tensor:
    """`motion.believed` of round trips (1, 2, H, W): (1, 1, H, W)."""
    return torch.exp((trip**2).sum(1, keepdim=True) * (-1 / TRIP_PX**2))


def eroded(picture: Tensor, reach: int) -> Tensor:
    """The least of the pixels within `reach` pixels in both directions, of those that there are."""
    return -F.max_pool2d(-picture, 2 * reach + 1, 1, reach)
