"""Fills what motion cannot bring by normalised three-way scans: values and their weights are carried together, and
divided in the end (see `propagation.spn`), so that every result is a weighted mean of what is known."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from kernels.scan import DIRECTIONS, line_scan

Floats = NDArray[np.float32]

# Weights decay by a factor a pixel; 1e-25 keeps ratios exact over any distance that float32 can carry.
TINY = 1e-25
DECAY = 0.97  # of a pixel's weight from line to line
EDGE = 10.0  # change of 8-bit luma between neighbours at which a line hands on a third of that


def gates_of(
    grey: NDArray[np.uint8], passable: NDArray[np.bool_], part: tuple[slice, slice] = (slice(None), slice(None))
) -> list[torch.Tensor]:
    """Four gate tensors (1, 1, 3, H, W) in the order of `kernels.scan.DIRECTIONS`: open inside `passable`, closed
    elsewhere, and held back by edges of `grey`; of `part` of the picture alone."""
    slope = cv2.magnitude(*(cv2.Scharr(grey, cv2.CV_32F, *way) / 32 for way in ((1, 0), (0, 1))))
    open_ = (passable * np.float32(DECAY / 3) / (1 + (slope / np.float32(EDGE)) ** 2))[part]
    gate = torch.from_numpy(np.ascontiguousarray(open_, np.float32)).expand(1, 1, 3, *open_.shape).contiguous()
    return [gate] * 4


def spread(values: Floats, weight: Floats, gates: list[torch.Tensor]) -> tuple[Floats, Floats]:
    """Values (H, W, C) believed by `weight` (H, W), carried along the gates: (weighted means (H, W, C), what weight
    arrived (H, W)). Where nothing arrives both are 0."""
    seeds = np.concatenate([values * weight[..., None], weight[..., None]], axis=2).transpose(2, 0, 1)
    maps = torch.from_numpy(np.ascontiguousarray(seeds))[None]
    found = np.zeros(maps.shape[1:], np.float32)
    with torch.inference_mode():
        for direction, gate in zip(DIRECTIONS, gates, strict=True):
            # Added by numpy: torch's threads would wait for those that estimate motion meanwhile.
            found += line_scan(maps, gate, direction, norm="none")[0].numpy()
    amount = np.where(found[-1] > TINY, found[-1], np.float32(0))
    means = np.where(amount > 0, found[:-1] / np.maximum(amount, np.float32(TINY)), np.float32(0))
    return np.ascontiguousarray(means.transpose(1, 2, 0)), amount
