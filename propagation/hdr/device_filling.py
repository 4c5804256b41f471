"""`propagation.hdr.filling`, and what of a frame is filled by it, as tensor operations. Maps are (1, C, H, W)."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from kernels.scan import DIRECTIONS, scan4
from propagation.hdr.filling import DECAY, EDGE, TINY
from propagation.hdr.separable import Shape, resized, slopes


def spread(values: Tensor, weight: Tensor, gate: Tensor) -> tuple[Tensor, Tensor]:
    """`filling.spread`: values (1, C, H, W) believed by weight (1, 1, H, W), carried along one gate (1, 1, 3, H, W) in
    all directions: (weighted means, what weight arrived)."""
    seeds = torch.cat([values * weight, weight], 1)
    found = scan4(seeds, [gate] * len(DIRECTIONS), merge="sum", norm="none")
    amount = torch.where(found[:, -1:] > TINY, found[:, -1:], 0)
    return torch.where(amount > 0, found[:, :-1] / amount.clamp(min=TINY), 0), amount


class DeviceFilling:
    """Fills highlights of pictures (H, W) from one another at half size; `nearly_white`: the 8-bit luma from which a
    pixel belongs to one."""

    def __init__(self, shape: Shape, nearly_white: float, device: str) -> None:
        half = (max(1, shape[0] // 2), max(1, shape[1] // 2))
        self._shrink = resized(shape, half, cv2.INTER_AREA, device)
        self._enlarge = resized(half, shape, cv2.INTER_LINEAR, device)
        self._slopes = slopes(half, device)
        self._nearly_white = nearly_white

    def from_highlights(self, log_light: Tensor, weight: Tensor, grey: Tensor) -> tuple[Tensor, Tensor]:
        """What scans bring of light (1, 3, H, W) believed by weight (1, 1, H, W) in a frame of that 8-bit luma (1, 1,
        H, W): (light (1, 3, H, W), how much arrived (1, 1, H, W))."""
        small = (self._shrink(grey) + 0.5).floor()
        bright = small >= self._nearly_white
        shrunk = self._shrink(torch.cat([log_light * weight, weight], 1))
        means = shrunk[:, :3] / shrunk[:, 3:].clamp(min=1e-6)
        found = torch.cat(spread(means, shrunk[:, 3:], self.gate(small, bright)), 1)
        found = self._enlarge(torch.where(_around(bright), found, 0))
        return found[:, :3], found[:, 3:]

    def gate(self, small: Tensor, passable: Tensor) -> Tensor:
        """`filling.gates_of` at half size, of luma and bool (1, 1, h, w): (1, 1, 3, h, w) for each direction."""
        across, down = (slope(small) for slope in self._slopes)
        open_ = passable * (DECAY / 3) / (1 + (across**2 + down**2) / EDGE**2)
        return open_[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()


def _around(bright: Tensor) -> Tensor:
    """(1, 1, h, w) bool: the upright box around what is `bright`, empty where nothing is."""
    return _between(bright.any(3, keepdim=True), 2) & _between(bright.any(2, keepdim=True), 3)


def _between(line: Tensor, axis: int) -> Tensor:
    """From the first to the last of what is true along an axis."""
    seen = line.long()
    return (seen.cumsum(axis) > 0) & (seen.flip(axis).cumsum(axis).flip(axis) > 0)
