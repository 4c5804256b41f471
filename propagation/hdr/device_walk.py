"""`carrying.MotionCarrier` for a GPU: code values go in and carried light comes out, once a frame each; tracks, key,
luma, motion and even the exposure stay on the device, which is waited for once a frame, for that light.

The arithmetic is that of `carrying._Walk`; motion comes from `propagation.patch_flow`. When the GPU fails or lacks
memory, the CPU's carrier follows the same frames again from the key, and goes on from the one that the GPU owed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from kernels.fallback import Placed
from propagation.device_tracker import lies_inside, positions_of, sample, to_device
from propagation.hdr.carrying import (
    BORDER_PX,
    DIFFERENCE_PX,
    DIFFERS,
    DRIFT_PX,
    FALLBACK,
    KNOWN,
    TRUSTED,
    UNKNOWN,
    CarriedLight,
    Codes,
    Exposure,
    FrameOf,
    KeyLight,
    MotionCarrier,
    usual_highlight,
)
from propagation.hdr.device_camera import DeviceCamera, DeviceExposure, codes_of, grey8
from propagation.hdr.device_filling import DeviceFilling
from propagation.hdr.device_motion import DeviceMotion, believed, eroded, flow_between
from propagation.hdr.separable import blurred
from propagation.spool import Spool

Floats = NDArray[np.float32]


class DeviceCarrier:
    """A `LightCarrier` on a GPU, and on the CPU once that has failed, which is said (`kernels.fallback`)."""

    def __init__(self, device: str) -> None:
        # There is no network: what is placed is the work alone.
        self._placed: Placed[nn.Module] = Placed(nn.Identity(), device)

    @property
    def device(self) -> str:
        """Where light is carried now."""
        return self._placed.device

    def walk(
        self, frame_of: FrameOf, order: Iterable[int], start: int, key: KeyLight, steps: Spool | None = None
    ) -> Iterator[CarriedLight]:
        """See `LightCarrier`. On the GPU both directions estimate motion for themselves: what they share would have to
        leave it. The next frame is read while the GPU works on this one."""
        indices, done = iter(order), 0
        begun: list[int] = []
        if self.device != "cpu":
            for carried in self._on_device(frame_of, indices, begun, start, key):
                yield carried
                done += 1
        if self.device == "cpu":
            again = MotionCarrier().walk(frame_of, chain(begun, indices), start, key, steps)
            yield from islice(again, done, None)

    def _on_device(
        self, frame_of: FrameOf, indices: Iterator[int], begun: list[int], start: int, key: KeyLight
    ) -> Iterator[CarriedLight]:
        """Frame after frame until the device is given up; `begun` becomes the frames that were taken from `indices`."""
        of_key = frame_of(start)
        walk: DeviceWalk | None = None

        def begin(code_values: Codes) -> Tensor | None:
            def work(_: nn.Module, device: str) -> Tensor | None:
                nonlocal walk
                if device == "cpu":
                    return None
                walk = walk or DeviceWalk(of_key, key, device)
                return walk.step(code_values)

            return self._placed.run(work)

        coming = _next(frame_of, indices, begun)
        while coming is not None:
            index, queued = coming[0], begin(coming[1])
            coming = _next(frame_of, indices, begun)
            found = self._fetched(queued)
            if found is None:
                return
            yield _unpacked(found, key.log_light.shape[:2], index, start)

    def _fetched(self, queued: Tensor | None) -> Floats | None:
        """What was queued, in main memory; None where the device has been given up."""

        def work(_: nn.Module, device: str) -> Floats | None:
            return None if queued is None or device == "cpu" else queued.cpu().numpy()

        return self._placed.run(work)


def _next(frame_of: FrameOf, indices: Iterator[int], begun: list[int]) -> tuple[int, Codes] | None:
    """The next frame and its code values, noted as begun; None after the last one."""
    index = next(indices, None)
    if index is None:
        return None
    begun.append(index)
    return index, frame_of(index)


def _unpacked(found: Floats, shape: tuple[int, ...], index: int, start: int) -> CarriedLight:
    """What `DeviceWalk.step` has put together."""
    pixels = shape[0] * shape[1]
    light, error, positions, exposure = np.split(found, (3 * pixels, 4 * pixels, 6 * pixels))
    light, positions = light.reshape(*shape, 3), positions.reshape(*shape, 2)
    return CarriedLight(index, start, light, error.reshape(shape), positions, float(exposure[0]))


class DeviceWalk:
    """`carrying._Walk` on `device`: follows `key`, that of a frame of `code_values` (h, w, 3)."""

    def __init__(self, code_values: Codes, key: KeyLight, device: str) -> None:
        shape = (key.log_light.shape[0], key.log_light.shape[1])
        # Once a key, so the CPU's own functions are asked.
        log_exposure = Exposure(code_values, key.response).of(key.log_light, 0.0)
        usual = usual_highlight(key.log_light, key.response, log_exposure)
        shift = np.array(key.shift, np.float32).reshape(1, 2, 1, 1)
        self._device = device
        self._camera = DeviceCamera(key.response, device)
        self._motion = DeviceMotion(shape, device)
        self._filling = DeviceFilling(shape, self._camera.nearly_white, device)
        self._smooth = blurred(shape, DIFFERENCE_PX, device)
        self._key = to_device(key.log_light, device).permute(2, 0, 1)[None].contiguous()
        self._usual = to_device(usual.reshape(1, 3, 1, 1), device)
        self._before = grey8(codes_of(code_values, device))
        self._home = positions_of(self._before)
        self._to_key = torch.zeros_like(self._home) + to_device(shift, device)
        self._log_exposure = torch.full((), log_exposure, device=device)
        self._pace = torch.zeros(3, 2, dtype=torch.float64, device=device)

    @torch.inference_mode()
    def step(self, code_values: Codes) -> Tensor:
        """The light carried to the next frame, code values (h, w, 3): log10 light (h, w, 3), its expected error (h, w),
        positions in the key (h, w, 2) and log10 exposure, one after the other in one row that can leave at once."""
        codes = codes_of(code_values, self._device)
        grey = grey8(codes)
        shows = self._motion.visible(grey, self._camera.blind(codes).float())
        self._follow(grey, shows)
        exposure = self._camera.exposure(codes)
        self._correct(grey, self._show(exposure)[1], shows)
        log_light, shown = self._show(exposure)
        log_light, trust = self._filled(log_light, self._trust(grey, shown), grey, self._camera.clipped(codes))
        error = KNOWN + (UNKNOWN - KNOWN) * (1 - trust)
        images = (each[0].permute(1, 2, 0).flatten() for each in (log_light, error, self._home + self._to_key))
        return torch.cat([*images, self._log_exposure[None]])

    def _follow(self, grey: Tensor, shows: Tensor) -> None:
        """Moves the way to the key on by one step between frames."""
        back, forth = flow_between(torch.cat([grey, self._before]), torch.cat([self._before, grey])).chunk(2)
        sure = shows * believed(back + sample(forth, self._home + back))
        moved, self._pace = self._motion.follow_the_sure(back, sure, self._pace)
        self._to_key = sample(self._to_key, self._home + moved) + moved
        self._before = grey

    def _show(self, exposure: DeviceExposure) -> tuple[Tensor, Tensor]:
        """The key's light moved here, and the luma that the camera makes of it at this frame's exposure."""
        log_light = sample(self._key, self._home + self._to_key)
        self._log_exposure = exposure.of(log_light, self._log_exposure, lies_inside(self._home + self._to_key) > 0)
        return log_light, self._camera.shown_grey(log_light, self._log_exposure)

    def _correct(self, grey: Tensor, shown: Tensor, shows: Tensor) -> None:
        left = flow_between(grey, shown)
        apart = grey - sample(shown, self._home + left).round()
        agrees = torch.exp(apart**2 * (-1 / DIFFERS**2))
        seen = eroded(lies_inside(self._home + self._to_key), BORDER_PX)
        sure = shows * believed(left * (0.5 / DRIFT_PX)) * agrees * seen
        correction, _ = self._motion.follow_the_sure(left, sure, torch.zeros_like(self._pace))
        self._to_key = sample(self._to_key, self._home + correction) + correction

    def _trust(self, grey: Tensor, shown: Tensor) -> Tensor:
        """(1, 1, h, w) 0..1: how far picture and key agree; what both show as nearly white does."""
        white = self._camera.nearly_white
        difference = self._smooth((grey.clamp(max=white) - shown.clamp(max=white)).abs())
        return lies_inside(self._home + self._to_key) * torch.exp(-((difference / (2 * DIFFERS)) ** 2))

    def _filled(self, log_light: Tensor, trust: Tensor, grey: Tensor, clipped: Tensor) -> tuple[Tensor, Tensor]:
        """The carried light with what is not trusted filled from what is: highlights from highlights. Always, because
        to ask whether anything is lacking would be to wait."""
        lacking = clipped & (trust < TRUSTED)
        found, amount = self._filling.from_highlights(log_light, trust * trust * clipped, grey)
        share = amount / (amount + FALLBACK)
        usual = self._usual - self._log_exposure
        fill = usual + (found - usual) * share
        filled = log_light + (fill - log_light) * (1 - trust)
        return torch.where(lacking, filled, log_light), torch.where(lacking, torch.maximum(trust, 0.5 * share), trust)
