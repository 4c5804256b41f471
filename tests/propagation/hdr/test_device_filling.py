"""Highlights filled from one another on a device are those that the CPU fills."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.hdr import carrying, filling
from propagation.hdr.carrying import KeyLight, log_of
from propagation.hdr.device_filling import DeviceFilling, spread
from propagation.hdr.response import Pair, estimate_response
from tests.propagation.hdr.scenes import moving
from tests.propagation.test_device_tracker import image, maps, smooth


@pytest.mark.parametrize("shape", [(48, 64), (41, 57)])
@pytest.mark.parametrize("bright", [True, False])
def test_what_scans_bring(shape, bright):
    pictures, light, _ = moving(frames=1)
    key = KeyLight(log_of(light[0]), estimate_response([Pair(pictures[0], light[0])]))
    walk = carrying._Walk(pictures[0], key)
    rng = np.random.default_rng(0)
    grey = np.clip(150 + (3000 if bright else 300) * smooth(rng, *shape), 0, 255 if bright else 200).astype(np.uint8)
    log_light, weight = smooth(rng, *shape, 3), np.clip(10 * smooth(rng, *shape), 0, 1).astype(np.float32)
    wanted = walk._from_highlights(log_light, weight, grey)
    device = DeviceFilling(shape, float(carrying.nearly_white(key.response)), "cpu")
    found = device.from_highlights(maps(log_light), maps(weight), maps(grey.astype(np.float32)))
    assert bool(wanted[1].any()) is bright
    # Of odd sizes OpenCV rounds halves to even code values, here they are rounded up: a hundredth of them, by one.
    for one, other in ((image(found[0]), wanted[0]), (image(found[1])[..., 0], wanted[1])):
        apart = np.abs(one - other) > 1e-5 + 1e-4 * np.abs(other)
        assert apart.mean() < (0.03 if shape[0] % 2 else 1e-9) and np.abs(one - other).mean() < 1e-3


def test_gates_and_what_is_spread_along_them():
    rng = np.random.default_rng(1)
    grey = np.clip(128 + 900 * smooth(rng, 24, 37), 0, 255).astype(np.uint8)
    passable = smooth(rng, 24, 37) > 0
    gates = filling.gates_of(grey, passable)
    gate = DeviceFilling((48, 74), 237.0, "cpu").gate(maps(grey.astype(np.float32)), maps(passable))
    np.testing.assert_allclose(gate.numpy(), gates[0].numpy(), rtol=1e-5)
    values, weight = smooth(rng, 24, 37, 3), (rng.random((24, 37)) < 0.05).astype(np.float32)
    wanted = filling.spread(values, weight, gates)
    found = spread(maps(values), maps(weight), gate)
    np.testing.assert_allclose(image(found[0]), wanted[0], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(image(found[1])[..., 0], wanted[1], rtol=1e-4, atol=1e-6)
