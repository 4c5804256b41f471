"""The preview's lane and the job's may compute at once: the kernels let go of the interpreter and share no state."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np


def test_two_lanes_at_once_give_what_each_gives_alone() -> None:
    import torch

    from propagation.densify import Densifier, Hints
    from propagation.spn import SpatialPropagationNetwork

    torch.manual_seed(0)
    densifier = Densifier(SpatialPropagationNetwork())
    frames, alone = [], []
    for seed, shape in enumerate(((48, 64), (40, 56))):
        rng = np.random.default_rng(seed)
        prepared = densifier.prepare(rng.uniform(0, 100, shape).astype(np.float32))
        strength = (rng.random(shape) < 0.05).astype(np.float32)
        hints = Hints(rng.uniform(-40, 40, (*shape, 2)).astype(np.float32), strength)
        frames.append((prepared, hints))
        alone.append(densifier.fill(prepared, hints).values)

    def lane(which: int) -> list[np.ndarray]:
        return [densifier.fill(*frames[which]).values for _ in range(8)]

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lane, (0, 1)))
    for which, values in enumerate(results):
        for value in values:
            np.testing.assert_array_equal(value, alone[which])
