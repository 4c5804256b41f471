"""Frames a second of carrying color and light, and of densification, frames from memory: no decoding, no encoding."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from propagation.color.srgb import linear_to_srgb, srgb_to_linear

HEIGHT, WIDTH, FRAMES, WARM_UP = 480, 854, 60, 5


def frames(count: int, height: int, width: int) -> list[NDArray[np.float32]]:
    """L* of a textured picture that moves and turns a little."""
    noise = np.random.default_rng(0).random((height, width)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 5, 95, cv2.NORM_MINMAX)
    moved = []
    for n in range(count):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.1 * n, 1.0)
        turn[:, 2] += n * np.array([1.5, 0.4])
        moved.append(cv2.warpAffine(texture, turn, (width, height), borderMode=cv2.BORDER_REFLECT))
    return moved


def run(device: str = "cuda") -> list[dict[str, Any]]:
    """Frames a second of both networks, and of the parts of carrying, each waited for."""
    from propagation.densify import Densifier
    from propagation.sequence import Carrier

    size = (HEIGHT, WIDTH)
    lights = frames(FRAMES, *size)
    values = np.dstack([np.roll(lights[0], 40, 1), np.roll(lights[0], 40, 0)]).astype(np.float32) - 50
    at = f"{WIDTH}x{HEIGHT}"
    carrier = Carrier.load(device=device)
    rows = [{"case": f"carry, {at}", "frames a second": _carried_a_second(carrier, lights, values)}]
    rows += [{"case": f"{name}, {at}", "ms": 1000 * seconds} for name, seconds in _parts(device, lights, values)]
    densifier = Densifier.load(device=device)
    seconds = _fastest(lambda light: _fill(densifier, light, values), lights[:10])
    rows.append({"case": f"densify, {at}", "frames a second": 1 / seconds})
    from propagation.hdr.device_walk import DeviceCarrier

    light = DeviceCarrier(device)
    rows.append({"case": f"carry light, {at}", "frames a second": _light_a_second(light, lights)})
    if device == "cuda":
        rows.append({"case": "memory", "MiB": torch.cuda.max_memory_allocated() / 2**20})
    for case, where in (("carry", carrier.device), ("carry light", light.device)):
        if where != device:
            rows.append({"case": case, "note": f"the GPU was left: these are the figures of {where}"})
    return rows


def _carried_a_second(carrier: Any, lights: list[NDArray[np.float32]], values: NDArray[np.float32]) -> float:
    from propagation.sequence import carry

    return _a_second(carry(lights.__getitem__, {0: values}, 0, len(lights), carrier=carrier), len(lights))


def light_clip(lights: list[NDArray[np.float32]]) -> tuple[list[NDArray[np.uint8]], Any]:
    """Pictures (H, W, 3) that an sRGB camera takes of those of `frames`, the brightest of them clipped, and the first
    one's light as the key."""
    from propagation.hdr.carrying import KeyLight, log_of
    from propagation.hdr.response import LEVELS, Response

    codes = np.maximum(np.arange(LEVELS), 0.5) / (LEVELS - 1)
    curve = np.repeat(np.log10(srgb_to_linear(codes))[:, None], 3, 1)
    response = Response(curve, (1.0,), 0.0, 1.0, np.full((LEVELS, 3), 0.01))
    exposed = [np.repeat((light[..., None] / 60) ** np.float32(2.4), 3, 2) for light in lights]
    pictures = [np.rint(255 * linear_to_srgb(np.minimum(light, 1))).astype(np.uint8) for light in exposed]
    return pictures, KeyLight(log_of(exposed[0]), response)


def _light_a_second(carrier: Any, lights: list[NDArray[np.float32]]) -> float:
    pictures, key = light_clip(lights)
    return _a_second(carrier.walk(pictures.__getitem__, range(1, len(pictures)), 0, key), len(pictures) - 1)


def _a_second(carried: Iterable[Any], count: int) -> float:
    """How many of `count` things come in a second, the first ones left out."""
    warm = min(WARM_UP, count - 2)
    start, done = 0.0, 0
    for done, _ in enumerate(carried):  # noqa: B007
        if done == warm:
            start = time.perf_counter()
    return (done - warm) / (time.perf_counter() - start)


def _parts(device: str, lights: list[NDArray[np.float32]], values: NDArray[np.float32]) -> list[tuple[str, float]]:
    """Seconds of following a frame, and of its clues and the network."""
    from propagation.device_tracker import DeviceTracker
    from propagation.precision import channels_last, fast_convolutions
    from propagation.sequence import Carrier

    model = channels_last(Carrier.load().model).to(device)
    tracker = DeviceTracker(lights[0], values, np.zeros_like(lights[0]), device)
    step = tracker.follow(lights[1])

    def infer(_: Any) -> None:
        with torch.inference_mode(), fast_convolutions(device):
            out = model(step.lightness, tracker.clues(step))
        out["values"].cpu()

    following = _fastest(lambda light: tracker.follow(light).tracks.cpu(), lights[1:10])
    return [("follow", following), ("network", _fastest(infer, lights[1:10]))]


def _fill(densifier: Any, light: NDArray[np.float32], values: NDArray[np.float32]) -> None:
    from propagation.densify import Hints

    strength = np.zeros(light.shape, np.float32)
    strength[::40, ::40] = 1
    densifier.fill(densifier.prepare(light), Hints(values, strength))


def _fastest(work: Callable[[Any], object], items: list[Any]) -> float:
    """Seconds of the fastest call; results leave the device in each, so nothing has to be waited for."""
    times = []
    for item in items:
        begun = time.perf_counter()
        work(item)
        times.append(time.perf_counter() - begun)
    return min(times)
