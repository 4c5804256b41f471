"""A tracker beside the network: on the device, in tiles, and back in main memory. "cpu:0" stands for the GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kernels.fallback import Placed
from propagation import pursuit as room
from propagation.alignment import MotionEstimator, Tracker
from propagation.densify import Dense
from propagation.device_tracker import DeviceTracker
from propagation.pursuit import Pursuit
from propagation.sequence import Carrier, carry
from propagation.tpn import TemporalPropagationNetwork
from propagation.weights import expected_tensors, load_weights, weights_path
from tests.propagation.test_alignment import shifted, texture

H, W = 96, 128
LOST = RuntimeError("CUDA error: device-side assert triggered")
FULL = torch.OutOfMemoryError("CUDA out of memory.")
LIGHTS = [shifted(texture(), 2 * t, t) for t in range(6)]
TRUTH = [np.dstack([shifted(texture(seed=1), 2 * t, t), shifted(texture(seed=2), 2 * t, t)]) / 2 for t in range(6)]
NONE, ONE = np.zeros((H, W), np.float32), np.ones((H, W), np.float32)
KEY = Dense(TRUTH[0], ONE, ONE, NONE)


def trained() -> TemporalPropagationNetwork:
    model = TemporalPropagationNetwork()
    model.load_state_dict(load_weights(weights_path("tpn-color"), expected_tensors(model)))
    return model.eval()


def beginning(placed: Placed) -> Pursuit:
    return Pursuit(placed, LIGHTS.__getitem__, 0, KEY, MotionEstimator())


def off(values: np.ndarray, index: int) -> float:
    """Mean error where the key shows what there is."""
    return float(np.abs(values - TRUTH[index])[24:-24, 24:-24].mean())


def test_on_a_device_carrying_is_about_as_good_as_on_the_cpu():
    errors = {}
    for device in ("cpu", "cpu:0"):
        carrier = Carrier(trained(), device)
        frames = list(carry(LIGHTS.__getitem__, {0: TRUTH[0]}, 0, 6, carrier=carrier))
        errors[device] = [off(frame.values, frame.index) for frame in frames[1:]]
        assert all(frame.error.shape == (H, W) and frame.confidence.min() >= 0 for frame in frames)
    assert np.mean(errors["cpu:0"]) < 1.1 * np.mean(errors["cpu"]) + 0.05


def test_state_stays_on_the_device_and_results_come_out_once(monkeypatch):
    placed = Placed(trained(), "cpu:0")
    pursuit = beginning(placed)
    tracker = pursuit._tracker
    assert isinstance(tracker, DeviceTracker)
    went_in, real = [], DeviceTracker._maps
    monkeypatch.setattr(DeviceTracker, "_maps", lambda self, image: went_in.append(image.shape) or real(self, image))
    for index in (1, 2):
        pursuit.carry(index, LIGHTS[index], pursuit.follow(LIGHTS[index]))
    assert went_in == [(H, W), (H, W)]


def test_without_memory_for_a_frame_the_network_works_in_tiles():
    said, sizes = [], []

    class Small(TemporalPropagationNetwork):
        def forward(self, lightness, clues):
            sizes.append(tuple(lightness.shape[-2:]))
            if lightness.shape[-1] * lightness.shape[-2] > H * W // 2:
                raise FULL
            return super().forward(lightness, clues)

    model = trained()
    whole = beginning(Placed(trained(), "cpu:0"))
    wanted, _ = whole.carry(1, LIGHTS[1], whole.follow(LIGHTS[1]))
    model.__class__ = Small
    placed = Placed(model, "cpu:0", said.append)
    pursuit = beginning(placed)
    values, error = pursuit.carry(1, LIGHTS[1], pursuit.follow(LIGHTS[1]))
    assert placed.device == "cpu:0" and len(said) == 1 and "smaller pieces" in said[0]
    assert sizes[0] == (H, W) and all(max(size) <= 70 for size in sizes[1:]) and len(sizes) == 5
    assert np.abs(values - wanted).mean() < 0.5 and error.shape == (H, W)
    # The step was followed once: the next is one further.
    assert pursuit._tracker._followed[2] == 1


@pytest.mark.parametrize("at", [0, 1, 3])
def test_where_the_gpu_is_lost_the_cpu_has_followed_the_same_frames(at, monkeypatch):
    model = trained()
    placed = Placed(model, "cpu:0", lambda text: None)
    pursuit = beginning(placed)
    accepted, real = [], Tracker.accept
    monkeypatch.setattr(Tracker, "accept", lambda self, *maps: accepted.append(maps) or real(self, *maps))
    results = []
    for index in range(1, 6):
        followed = pursuit.follow(LIGHTS[index])
        if index == at + 1:
            monkeypatch.setattr(placed, "_place", (lambda *_: pytest.fail("lost"), "cpu:0"))
            monkeypatch.setattr(room, "_on_device", lambda *_: (_ for _ in ()).throw(LOST))
        results.append(pursuit.carry(index, LIGHTS[index], followed))
    assert placed.device == "cpu"
    wanted = Tracker(LIGHTS[0], KEY.values, KEY.error, motion=MotionEstimator())
    for index in range(1, 6):
        wanted.follow(LIGHTS[index])
    np.testing.assert_array_equal(pursuit._tracker._tracks, wanted._tracks)
    if at:  # what the GPU had carried last is what the CPU goes on from
        np.testing.assert_array_equal(accepted[0][1], results[at - 1][0])
    assert off(results[-1][0], 5) < 3


def test_motion_that_fails_in_its_thread_is_followed_again_in_order(monkeypatch):
    """The next frame's motion must not be taken before that of the frame whose turn it is."""
    placed = Placed(trained(), "cpu:0", pytest.fail)
    expected = beginning(placed)
    wanted = [expected.carry(n, LIGHTS[n], expected.follow(LIGHTS[n]))[0] for n in range(1, 5)]
    pursuit, calls = beginning(placed), []
    real = DeviceTracker.follow

    def failing(self, light):
        calls.append(1)
        if len(calls) == 2:
            raise FULL
        return real(self, light)

    monkeypatch.setattr(DeviceTracker, "follow", failing)
    with ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(pursuit.follow, LIGHTS[1])
        for n in range(1, 5):
            followed = coming.result()
            coming = ahead.submit(pursuit.follow, LIGHTS[n + 1])
            np.testing.assert_allclose(pursuit.carry(n, LIGHTS[n], followed)[0], wanted[n - 1], atol=1e-5)
    assert placed.device == "cpu:0"


def test_other_errors_of_motion_pass_through(monkeypatch):
    pursuit = beginning(Placed(trained(), "cpu:0", pytest.fail))
    with pytest.raises(RuntimeError):
        pursuit.follow(LIGHTS[1][:10])


def test_without_motion_nothing_is_followed():
    pursuit = Pursuit(Placed(trained(), "cpu:0"), LIGHTS.__getitem__, 0, KEY, None)
    followed = pursuit.follow(LIGHTS[0])
    values, _ = pursuit.carry(1, LIGHTS[0], followed)
    assert followed.step is None and np.abs(values - TRUTH[0]).mean() < 1
