"""Frames a second of carrying and of densification, frames from memory: no decoding, no encoding."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

HEIGHT, WIDTH, FRAMES, WARM_UP = 480, 854, 60, 5


def frames(count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> list[NDArray[np.float32]]:
    """L* of a textured picture that moves and turns a little."""
    noise = np.random.default_rng(0).random((height, width)).astype(np.float32)
    texture = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 5, 95, cv2.NORM_MINMAX)
    moved = []
    for n in range(count):
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), 0.1 * n, 1.0)
        turn[:, 2] += n * np.array([1.5, 0.4])
        moved.append(cv2.warpAffine(texture, turn, (width, height), borderMode=cv2.BORDER_REFLECT))
    return moved


def run(device: str = "cuda", count: int = FRAMES, size: tuple[int, int] = (HEIGHT, WIDTH)) -> list[dict[str, Any]]:
    """Seconds a frame of both networks."""
    from propagation.densify import Densifier, Hints
    from propagation.sequence import Carrier, carry

    lights = frames(count, *size)
    values = np.dstack([np.roll(lights[0], 40, 1), np.roll(lights[0], 40, 0)]).astype(np.float32) - 50
    carrier = Carrier.load(device=device)
    start, done = 0.0, 0
    for done, _ in enumerate(carry(lights.__getitem__, {0: values}, 0, count, carrier=carrier)):  # noqa: B007
        if done == min(WARM_UP, count - 1):
            start = time.perf_counter()
    seconds = (time.perf_counter() - start) / max(1, done - min(WARM_UP, count - 1))
    rows = [{"case": f"carry, {size[1]}x{size[0]}", "frames a second": 1 / seconds}]
    densifier = Densifier.load(device=device)
    strength = np.zeros(size, np.float32)
    strength[::40, ::40] = 1
    times = []
    for light in lights[:10]:
        begun = time.perf_counter()
        densifier.fill(densifier.prepare(light), Hints(values, strength))
        times.append(time.perf_counter() - begun)
    rows.append({"case": f"densify, {size[1]}x{size[0]}", "frames a second": 1 / min(times)})
    if device == "cuda":
        rows.append({"case": "memory", "MiB": torch.cuda.max_memory_allocated() / 2**20})
    return rows
