"""`alignment.Tracker` as tensor operations, for a network on a GPU: a frame's lightness goes in, and clues, the last
result and the tracks stay where the network computes.

The arithmetic is that of `propagation.rows.tracking`; motion comes from `propagation.patch_flow`. Nothing waits for the
device, so the next frame's motion can be queued while the network works on this one. Maps are (1, C, H, W) float32;
positions and motion have x first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from propagation.alignment import AROUND, BETTER, SMOOTH, furthest
from propagation.patch_flow import FlowConfig, patch_flow

Floats = NDArray[np.float32]

# The anchor begins near, from the composed motion: the smaller a size at which it would begin, the more it would lose.
STEP = FlowConfig(finest=1, steps=6, rounds=2)
ANCHOR = FlowConfig(finest=1, steps=6, rounds=2, sizes=2)
SMALLEST = 16  # pixels of a side below which frames do not move


@dataclass(frozen=True)
class DeviceStep:
    """As `alignment.Step`: step (1, 4, H, W) and tracks (1, 5, H, W) of a frame of lightness (1, 1, H, W)."""

    lightness: Tensor
    step: Tensor
    tracks: Tensor


class DeviceTracker:
    """Follows a key frame step by step on `device`; see `alignment.Tracker`, which takes the same.

    `follow` may run in another thread, ahead of `clues`; torch queues the work of both in one order.
    """

    def __init__(self, lightness: Floats, values: Floats, error: Floats, device: str) -> None:
        self._device = device
        light, color, doubt = self._maps(lightness), self._maps(values), self._maps(error)
        self._key = torch.cat([light, color], 1)
        self._previous = torch.cat([light, color, doubt], 1)
        # What `follow` knows of the frame before; it changes at once, so that a call that failed has left nothing.
        zero = torch.zeros_like(light)
        self._followed = (light, torch.cat([positions_of(light), zero, zero + 1, zero], 1), 0)

    def _maps(self, image: Floats) -> Tensor:
        """(H, W) or (H, W, C) in main memory to (1, C, H, W) on the device."""
        channels = to_device(np.asarray(image, np.float32), self._device)
        return channels.reshape(*image.shape[:2], -1).permute(2, 0, 1)[None].contiguous()

    @torch.inference_mode()
    def follow(self, lightness: Floats) -> DeviceStep:
        """How the next frame's pixels moved, lightness (H, W): it may run ahead of `clues`."""
        before, tracks, age = self._followed
        light = self._maps(lightness)
        if min(lightness.shape) < SMALLEST:
            back = forth = torch.zeros_like(tracks[:, :2])
        else:
            pair = torch.cat([light, before]), torch.cat([before, light])
            back, forth = patch_flow(*pair, STEP).chunk(2)
        step, composed, guess = compose(back, forth, tracks)
        direct = guess
        if min(lightness.shape) >= SMALLEST:
            direct = patch_flow(light, self._key[:, :1], ANCHOR, guess)
        reach = furthest(lightness.shape, age + 1)
        tracks = anchor(direct, _box(better(light, self._key[:, :1], guess, direct, reach), SMOOTH), composed)
        self._followed = (light, tracks, age + 1)
        return DeviceStep(light, step, tracks)

    @torch.inference_mode()
    def clues(self, step: DeviceStep) -> Tensor:
        """Clues (1, 8 + 2 C, H, W) for the frame that `follow` has followed, as `alignment.CLUES` names them.

        Call `accept` with the result before the next clues.
        """
        moved, held = sample(self._previous, step.step[:, :2]), sample(self._key, step.tracks[:, :2])
        gap, worst, inside = step.tracks[:, 4:], step.tracks[:, 2:3], step.tracks[:, 3:4]
        return torch.cat([held, gap, worst, inside, moved[:, :-1], step.step[:, 2:], moved[:, -1:]], 1)

    @torch.inference_mode()
    def accept(self, step: DeviceStep, values: Tensor, error: Tensor) -> None:
        """Takes the network's result for the frame of the last `clues`, values (1, C, H, W) and error (1, 1, H, W)."""
        self._previous = torch.cat([step.lightness, values, error], 1)


def to_device(array: NDArray[Any], device: str) -> Tensor:
    """An array in main memory as a tensor on the device, which is not waited for."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type == "cuda":
        tensor = tensor.pin_memory()  # else the copy would be waited for, and all that is queued before it
    return tensor.to(device, non_blocking=True)


def positions_of(like: Tensor) -> Tensor:
    """(1, 2, H, W) pixel positions of a map (.., H, W)."""
    sides = (torch.arange(n, device=like.device, dtype=torch.float32) for n in like.shape[-2:])
    y, x = torch.meshgrid(*sides, indexing="ij")
    return torch.stack([x, y])[None]


def sample(picture: Tensor, positions: Tensor) -> Tensor:
    """Bilinear samples (1, C, H, W) of a picture at exact positions (1, 2, H, W), the border replicated."""
    h, w = picture.shape[-2:]
    # Where a side has one pixel, every position is that pixel's.
    x, y = (2.0 / max(n - 1, 1) * p - 1.0 for n, p in zip((w, h), positions.unbind(1), strict=True))
    where = torch.stack([x, y], -1)
    return F.grid_sample(picture, where, mode="bilinear", padding_mode="border", align_corners=True)


def compose(back: Tensor, forth: Tensor, tracks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`rows.tracking.compose`: the step (1, 4, H, W), tracks before they are anchored (1, 5, H, W), and the motion into
    the key frame, never out of it, that they amount to (1, 2, H, W)."""
    h, w = back.shape[-2:]
    home = positions_of(back)
    position = home + back
    there, worst, whole = sample(torch.cat([forth, tracks[:, :4]], 1), position).split((4, 1, 1), 1)
    returned = _logarithm(back + there[:, :2])
    stays = lies_inside(position)
    composed = torch.cat([there[:, 2:], torch.maximum(worst, returned), whole * stays, tracks[:, 4:]], 1)
    kept = torch.cat([there[:, 2:3].clamp(0, w - 1), there[:, 3:].clamp(0, h - 1)], 1)
    return torch.cat([position, returned, stays], 1), composed, kept - home


def better(light: Tensor, key: Tensor, guess: Tensor, direct: Tensor, reach: float) -> Tensor:
    """`rows.tracking.compare` and `choose`: 1 where the direct motion is no further than `reach` pixels from the guess,
    and leads to where the key's lightness (1, 1, H, W) is more like the frame's; (1, 1, H, W)."""
    home = positions_of(light)
    differences = torch.cat([(light - sample(key, home + motion)).abs() for motion in (guess, direct)], 1)
    composed, searched = _box(differences, AROUND).split(1, 1)
    near = ((direct - guess) ** 2).sum(1, keepdim=True) < reach**2
    return (near & (searched < BETTER * composed)).float()


def anchor(direct: Tensor, share: Tensor, tracks: Tensor) -> Tensor:
    """`rows.tracking.anchor`: tracks (1, 5, H, W) moved by share (1, 1, H, W) to where the direct motion leads."""
    position = positions_of(share) + direct
    apart = position - tracks[:, :2]
    inside = torch.maximum(tracks[:, 3:4], share * lies_inside(position))
    return torch.cat([tracks[:, :2] + share * apart, tracks[:, 2:3] * (1.0 - share), inside, _logarithm(apart)], 1)


def lies_inside(position: Tensor) -> Tensor:
    """1 where a position (1, 2, H, W) lies in the picture, else 0; (1, 1, H, W)."""
    h, w = position.shape[-2:]
    x, y = position.split(1, 1)
    return ((x >= -0.5) & (y >= -0.5) & (x <= w - 0.5) & (y <= h - 0.5)).float()


def _logarithm(motion: Tensor) -> Tensor:
    """Logarithm of 1 + the pixels of a motion (1, 2, H, W)."""
    return torch.log1p((motion**2).sum(1, keepdim=True).sqrt())


def _box(picture: Tensor, side: int) -> Tensor:
    """Means over squares of `side` pixels, an odd number, border replicated."""
    return F.avg_pool2d(F.pad(picture, (side // 2,) * 4, mode="replicate"), side, 1)
