"""A camera's response on a device: which code values are clipped or crushed, the luma that it shows of light, and what
tells the exposure of a frame. Maps are (1, C, H, W); code values are 0..255 in int32, see `codes_of`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propagation.device_tracker import to_device
from propagation.hdr.carrying import CRUSHED, EXPOSURE_STEP, FEWEST, STEADY, luma_table, nearly_white
from propagation.hdr.response import LEVELS, Response

# Red, green and blue in luma, in shares of 2^15: those of OpenCV, whose rounding this has too.
_LUMA, _LUMA_BITS = (9798, 19235, 3735), 15


def codes_of(code_values: NDArray[Any], device: str) -> Tensor:
    """8-bit code values (1, 3, H, W) int32 on the device of (H, W, 3) uint8 or uint16 in main memory: what
    `response.to_256` makes of them."""
    if code_values.dtype == np.uint8:
        codes = to_device(code_values, device).int()
    else:
        # Devices know the type without a sign only by halves.
        codes = ((to_device(code_values.view(np.int16), device).int() & 0xFFFF) + 128) // 257
    return codes.permute(2, 0, 1)[None].contiguous()


def grey8(codes: Tensor) -> Tensor:
    """`motion.grey8` of 8-bit code values (1, 3, H, W): (1, 1, H, W) float32, whole numbers."""
    red, green, blue = (weight * channel for weight, channel in zip(_LUMA, codes.split(1, 1), strict=True))
    return ((red + green + blue + (1 << (_LUMA_BITS - 1))) >> _LUMA_BITS).float()


class DeviceCamera:
    """A `Response` on `device`."""

    def __init__(self, response: Response, device: str) -> None:
        columns, self._low, self._scale = luma_table(response)
        self._columns = to_device(columns.T, device)
        self._own = to_device(response.table(LEVELS).T, device)
        self._clipped_from = to_device(np.array(response.clipped_from, np.int32).reshape(1, 3, 1, 1), device)
        self.nearly_white = float(nearly_white(response))

    def clipped(self, codes: Tensor) -> Tensor:
        """`carrying.clipped_pixels`: (1, 1, H, W) bool."""
        return (codes >= self._clipped_from).any(1, keepdim=True)

    def blind(self, codes: Tensor) -> Tensor:
        """`carrying.blind_pixels`: (1, 1, H, W) bool."""
        return self.clipped(codes) | (codes <= CRUSHED).all(1, keepdim=True)

    def shown_grey(self, log_light: Tensor, log_exposure: Tensor) -> Tensor:
        """`carrying.shown_grey` of light (1, 3, H, W) at an exposure (): (1, 1, H, W) float32, whole numbers."""
        places = log_light * self._scale + (log_exposure - self._low) * self._scale
        places = places.clamp(0, self._columns.shape[1] - 1).long()
        luma = self._columns.gather(1, places[0].flatten(1)).sum(0) + 0.5
        return luma.clamp(max=255).floor().view(1, 1, *log_light.shape[2:])

    def exposure(self, codes: Tensor) -> DeviceExposure:
        """What tells the exposure of the frame of these code values."""
        sparse = codes[..., ::EXPOSURE_STEP, ::EXPOSURE_STEP]
        own = self._own.gather(1, sparse[0].flatten(1).long()).view(sparse.shape)
        steady = (sparse >= STEADY[0]) & (sparse <= self._clipped_from - STEADY[1])
        return DeviceExposure(own, torch.cat([steady, (sparse > CRUSHED) & (sparse < self._clipped_from)]))


class DeviceExposure:
    """`carrying.Exposure`: `own` (1, 3, h, w) log10 light at exposure 1 of sparse pixels, and which of them tell it,
    `told` (2, 3, h, w): the better ones, and those that have to do."""

    def __init__(self, own: Tensor, told: Tensor) -> None:
        self._own, self._told = own, told

    def of(self, log_light: Tensor, before: Tensor, seen: Tensor) -> Tensor:
        """log10 exposure () of a picture of that light (1, 3, H, W): a median over `seen` (1, 1, H, W) pixels, or
        `before` () where too few tell it. It stays on the device."""
        sparse = (..., slice(None, None, EXPOSURE_STEP), slice(None, None, EXPOSURE_STEP))
        told = (self._told & seen[sparse]).flatten(1)
        apart = (self._own - log_light[sparse]).flatten()
        ordered = torch.where(told, apart, torch.inf).sort(1).values
        count = told.sum(1, keepdim=True)
        middle = torch.cat([(count - 1).clamp(min=0) // 2, (count // 2).clamp(max=told.shape[1] - 1)], 1)
        better, other = ordered.gather(1, middle).mean(1)
        many, enough = (count[:, 0] >= FEWEST).unbind()
        return torch.where(many, better, torch.where(enough, other, before))
