"""Motion where there is nothing to see, as tensor operations, is that of the CPU."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from propagation import device_tracker
from propagation.hdr import device_motion, motion
from propagation.hdr.device_motion import DeviceMotion
from tests.propagation.test_device_tracker import image, maps, motions, smooth

SHAPES = [(41, 57), (64, 96), (3, 40), (1, 9)]
# Of motion in pixels: float32 sums in another order, solved for in double precision.
TOLERANCE_PX = 2e-3


def random_sure(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """0 at half of the pixels, in patches, and up to 1 elsewhere."""
    return np.clip(20 * smooth(rng, *shape), 0, 1).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
def test_where_motion_shows(shape):
    rng = np.random.default_rng(0)
    grey = np.clip(128 + 800 * smooth(rng, *shape, sigma=2), 0, 255).astype(np.uint8)
    blind = smooth(rng, *shape) > 0.03
    wanted = motion.visible(grey, blind)
    found = DeviceMotion(shape, "cpu").visible(maps(grey.astype(np.float32)), maps(blind.astype(np.float32)))
    np.testing.assert_allclose(image(found)[..., 0], wanted.reshape(shape), atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [1.0, 10.0])
@pytest.mark.parametrize("given", [False, True])
def test_the_doubtful_follows_the_sure(shape, size, given):
    rng = np.random.default_rng(1)
    flow, sure = motions(rng, shape, size) + np.float32((3, -1)), random_sure(rng, shape)
    prior = rng.normal(0, 1, (3, 2)) if given else np.zeros((3, 2))
    wanted, model = motion.follow_the_sure(flow, sure, prior)
    found, solution = DeviceMotion(shape, "cpu").follow_the_sure(maps(flow), maps(sure), torch.from_numpy(prior))
    np.testing.assert_allclose(solution.numpy(), model, atol=TOLERANCE_PX)
    np.testing.assert_allclose(image(found), wanted, atol=TOLERANCE_PX)


def test_where_nothing_is_sure_motion_goes_on_as_it_was():
    rng = np.random.default_rng(2)
    flow, none, prior = motions(rng, (40, 60), 5), np.zeros((40, 60), np.float32), rng.normal(0, 1, (3, 2))
    found, solution = DeviceMotion((40, 60), "cpu").follow_the_sure(maps(flow), maps(none), torch.from_numpy(prior))
    np.testing.assert_array_equal(solution.numpy(), prior)
    np.testing.assert_allclose(image(found), motion.follow_the_sure(flow, none, prior)[0], atol=TOLERANCE_PX)


def test_round_trips_and_what_lies_inside():
    rng = np.random.default_rng(3)
    offsets = motions(rng, (41, 57), 20)
    found = image(device_motion.believed(maps(offsets)))[..., 0]
    np.testing.assert_allclose(found, motion.believed(offsets), atol=1e-6)
    home = device_tracker.positions_of(maps(offsets))
    inside = device_tracker.lies_inside(home + maps(offsets))
    np.testing.assert_array_equal(image(inside)[..., 0], motion.inside(offsets))
    eroded = cv2.erode(motion.inside(offsets), np.ones((9, 9), np.uint8))
    np.testing.assert_array_equal(image(device_motion.eroded(inside, 4))[..., 0], eroded)


def test_samples_are_opencvs_but_for_its_steps_of_a_thirtysecond_of_a_pixel():
    rng = np.random.default_rng(4)
    picture, places = smooth(rng, 41, 57, 3), motions(rng, (41, 57), 20) + np.float32((28, 20))
    steepest = max(np.abs(np.diff(picture, axis=axis)).max() for axis in (0, 1))
    wanted = motion.sampled(picture, np.ascontiguousarray(places))
    apart = np.abs(image(device_tracker.sample(maps(picture), maps(places))) - wanted)
    assert apart.max() < 2 * steepest / 32


def test_flow_between_luma_is_found_and_tiny_frames_stand_still():
    rng = np.random.default_rng(5)
    big = np.clip(128 + 600 * smooth(rng, 104, 136, sigma=3), 0, 255).astype(np.uint8).astype(np.float32)
    here, there = big[4:100, 4:132], big[2:98, 7:135]  # what is at (x, y) here is at (x - 3, y + 2) there
    flow = image(device_motion.flow_between(maps(here), maps(there)))[24:-24, 24:-24]
    np.testing.assert_allclose(flow.mean(axis=(0, 1)), (-3, 2), atol=0.05)
    assert not device_motion.flow_between(maps(here[:15]), maps(there[:15])).any()
