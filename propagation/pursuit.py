"""A tracker beside the network, wherever that computes; and what becomes of both where a GPU fails or lacks memory.

What a frame shows by itself does not wait for its turn: its motion and, on the CPU, its description for the network are
found ahead, each in a thread of its own.

On a GPU the tracker is `device_tracker.DeviceTracker`: a frame's lightness goes in and its result comes out, once each.
Without memory for the network on a whole frame it works in overlapping tiles there. A GPU that is given up takes the
tracks with it, so the CPU's tracker follows the same frames again from the key, and goes on from the last result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels.fallback import Placed, gpu_failure
from propagation.alignment import MotionEstimator, Step, Tracker
from propagation.densify import Dense
from propagation.device_tracker import DeviceStep, DeviceTracker
from propagation.precision import fast_convolutions
from propagation.spn import Description
from propagation.tiles import Tile, tiles
from propagation.tpn import TemporalPropagationNetwork

Floats = NDArray[np.float32]

# Tiles along a frame's longer side, tried one after the other, and the share of its side that one has in common with
# the next: the network looks at what is around a pixel, and scans reach further only where nothing is believed.
_PIECES, _OVERLAP = (2, 4), 8


@dataclass(frozen=True)
class Followed:
    """What a tracker found of a frame's motion; none where it must be followed once more."""

    tracker: Tracker | DeviceTracker | None
    step: Step | DeviceStep | None = None


class Pursuit:
    """Carries one key frame along a clip: `follow` frame after frame, in a thread of its own, perhaps `describe` in
    another, and `carry` behind them.

    lightness_of(n): L* (h, w) of frame n, called from any thread; `start`: the key's frame. Without `motion` nothing is
    aligned.
    """

    def __init__(
        self,
        placed: Placed[TemporalPropagationNetwork],
        lightness_of: Callable[[int], Floats],
        start: int,
        key: Dense,
        motion: MotionEstimator | None,
    ) -> None:
        self._placed, self._motion = placed, motion
        self._lightness_of, self._start, self._key = lightness_of, start, key
        self._carried: list[int] = []  # frames since the key
        self._last: tuple[Floats, Floats, Floats] | None = None  # of the last one: lightness, values, error
        self._tracker: Tracker | DeviceTracker
        self._device, self._tracker = placed.run(lambda model, device: (device, self._new(device)))
        # The one that runs ahead. None for the rest of the walk once a frame had to be followed again: the order of
        # frames is part of what a tracker knows.
        self._ahead: Tracker | DeviceTracker | None = self._tracker

    def follow(self, light: Floats) -> Followed:
        """The next frame's motion; where the GPU fails at it, `carry` does it when nothing else wants its memory."""
        tracker = self._ahead
        if tracker is not None:
            try:
                return Followed(tracker, tracker.follow(light))
            except Exception as error:
                if gpu_failure(error) is None:
                    raise
                self._ahead = None
        return Followed(None)

    def describe(self, light: Floats) -> Description | None:
        """What the network on the CPU needs of a frame alone; None on a GPU, which is not waited for."""
        if self._placed.device != "cpu":
            return None
        with torch.inference_mode(), fast_convolutions():
            return self._placed.spare.describe(torch.from_numpy(np.ascontiguousarray(light))[None, None])

    def carry(
        self, index: int, light: Floats, followed: Followed, picture: Description | None = None
    ) -> tuple[Floats, Floats]:
        """Values (h, w, C) and expected error (h, w) of frame `index`, in main memory."""

        def work(model: TemporalPropagationNetwork, device: str, pieces: int = 1) -> tuple[Floats, Floats]:
            nonlocal followed
            tracker = self._beside(device)
            if followed.tracker is not tracker:
                self._ahead = None
                followed = Followed(tracker, tracker.follow(light))
            if isinstance(tracker, DeviceTracker):
                return _on_device(model, device, tracker, followed, pieces)
            return _in_main_memory(model, device, tracker, followed, light, picture, pieces)

        values, error = self._placed.run(work, *(partial(work, pieces=n) for n in _PIECES))
        self._carried.append(index)
        self._last = light, values, error
        return values, error

    def _new(self, device: str) -> Tracker | DeviceTracker:
        light, key = self._lightness_of(self._start), self._key
        if device == "cpu" or self._motion is None:
            return Tracker(light, key.values, key.error, motion=self._motion)
        return DeviceTracker(light, key.values, key.error, device)

    def _beside(self, device: str) -> Tracker | DeviceTracker:
        """The tracker for a network on `device`."""
        if device != self._device:
            self._ahead = None
            tracker = self._new(device)
            for index in self._carried:
                tracker.follow(self._lightness_of(index))
            if self._last is not None:
                assert isinstance(tracker, Tracker)
                tracker.accept(*self._last)
            self._device, self._tracker = device, tracker
        return self._tracker


def _on_device(
    model: TemporalPropagationNetwork, device: str, tracker: DeviceTracker, followed: Followed, pieces: int
) -> tuple[Floats, Floats]:
    step = followed.step
    assert isinstance(step, DeviceStep)
    values, error = _run(model, device, step.lightness, tracker.clues(step), pieces)
    tracker.accept(step, values, error)
    h, w = error.shape[-2:]
    out = torch.cat([values[0].permute(1, 2, 0).flatten(), error.flatten()]).cpu().numpy()  # one copy, nothing to turn
    return out[: -h * w].reshape(h, w, -1), out[-h * w :].reshape(h, w)


def _in_main_memory(
    model: TemporalPropagationNetwork,
    device: str,
    tracker: Tracker,
    followed: Followed,
    light: Floats,
    picture: Description | None,
    pieces: int,
) -> tuple[Floats, Floats]:
    """With the CPU's tracker, wherever the network is."""
    assert not isinstance(followed.step, DeviceStep)
    clues = tracker.clues(followed.step)
    lightness, maps = (torch.from_numpy(np.ascontiguousarray(m))[None].to(device) for m in (light[None], clues))
    picture = picture if device == "cpu" else None
    found = (out[0].permute(1, 2, 0).cpu().numpy() for out in _run(model, device, lightness, maps, pieces, picture))
    values, error = (np.ascontiguousarray(each) for each in found)
    tracker.accept(light, values, error[..., 0])
    return values, error[..., 0]


def _run(
    model: TemporalPropagationNetwork,
    device: str,
    light: Tensor,
    clues: Tensor,
    pieces: int,
    picture: Description | None = None,
) -> tuple[Tensor, Tensor]:
    """Values (1, C, H, W) and expected error (1, 1, H, W) from lightness (1, 1, H, W) and clues (1, 12, H, W)."""
    with torch.inference_mode(), fast_convolutions(device):
        if pieces == 1:
            out = model(light, clues) if picture is None else model(light, clues, picture)
            return out["values"], out["error"]
        total = torch.zeros_like(clues[:, :3])
        for tile in _tiles(light.shape[-2], light.shape[-1], pieces):
            part = (..., tile.rows, tile.columns)
            out = model(light[part].contiguous(), clues[part].contiguous())
            weight = torch.from_numpy(tile.weight).to(device)
            total[part] += torch.cat([out["values"], out["error"]], 1) * weight
        return total[:, :-1], total[:, -1:]


def _tiles(height: int, width: int, pieces: int) -> list[Tile]:
    """Square tiles, `pieces` of them along the longer side."""
    side = -(-max(height, width) * _OVERLAP // (pieces * (_OVERLAP - 1) + 1))
    return list(tiles((height, width), side, side // _OVERLAP))
