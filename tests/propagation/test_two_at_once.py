"""A preview and a propagation at the same time give what each gives alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from propagation.densify import Densifier, Hints
from propagation.sequence import Carrier, carry


def test_filling_beside_carrying_changes_neither():
    noise = np.random.default_rng(0).random((100, 150)).astype(np.float32)
    big = cv2.GaussianBlur(noise, (0, 0), 3)
    big = (big - big.min()) / np.ptp(big) * 100
    lights = [np.ascontiguousarray(big[:96, 2 * t : 2 * t + 128]) for t in range(6)]
    strength = np.zeros(lights[0].shape, np.float32)
    strength[10:14, 20:60], strength[70:74, 60:100] = 1, 1
    values = np.dstack([np.where(strength > 0, 30, 0), np.where(strength > 0, -20, 0)]).astype(np.float32)
    densifier, carrier = Densifier.load(), Carrier.load()
    prepared = densifier.prepare(lights[0])

    def preview() -> list[np.ndarray]:
        return [densifier.fill(prepared, Hints(values, strength)).values for _ in range(8)]

    def propagation() -> list[np.ndarray]:
        key = densifier.fill(densifier.prepare(lights[0]), Hints(values, strength))
        return [frame.values for frame in carry(lights.__getitem__, {0: key}, 0, 6, carrier=carrier)]

    alone = preview(), propagation()
    with ThreadPoolExecutor(2) as threads:
        together = [job.result() for job in [threads.submit(preview), threads.submit(propagation)]]
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
