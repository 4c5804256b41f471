"""The tracker as tensor operations is the tracker in passes over the rows, on motion of any kind."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from propagation import device_tracker
from propagation.alignment import BETTER, CLUES, MotionEstimator, Tracker
from propagation.device_tracker import DeviceTracker
from propagation.rows import tracking
from tests.propagation.test_alignment import shifted, texture

# Positions go through -1..1 and back, in float32: a thousandth of a pixel at most in pictures this small, times the
# slope of what is sampled there.
TOLERANCE = 2e-3


def smooth(rng: np.random.Generator, *shape: int, sigma: float = 4.0) -> np.ndarray:
    noise = rng.standard_normal(shape).astype(np.float32)
    return np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), sigma).reshape(shape))


def maps(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.reshape(*image.shape[:2], -1)).permute(2, 0, 1)[None].contiguous()


def image(tensor: torch.Tensor) -> np.ndarray:
    return tensor[0].permute(1, 2, 0).numpy()


def differs(a: np.ndarray, b: np.ndarray) -> float:
    """The share of values that differ: a place within rounding of the border may fall on either side of it."""
    assert a.shape == b.shape
    return float((np.abs(a - b) > TOLERANCE * (1 + np.abs(b))).mean())


def motions(rng: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    return size * smooth(rng, *shape, 2) / 0.1


@pytest.mark.parametrize("shape", [(41, 57), (1, 9), (9, 1), (120, 214)])
@pytest.mark.parametrize("size", [0.0, 2.0, 40.0])
def test_every_part_of_a_step_is_that_of_the_passes_over_the_rows(shape, size):
    rng = np.random.default_rng(0)
    h, w = shape
    back, forth, direct = (motions(rng, shape, size) for _ in range(3))
    tracks = np.dstack([motions(rng, shape, size) + 20, np.abs(smooth(rng, h, w, 2)), smooth(rng, h, w)])
    step, composed, guess = (np.empty((h, w, n), np.float32) for n in (4, 5, 2))
    tracks = np.ascontiguousarray(tracks, np.float32)
    composed[..., 4] = tracks[..., 4]
    tracking.compose(back, forth, tracks, step, composed, guess, 0, h)
    found = device_tracker.compose(*map(maps, (back, forth, tracks)))
    for one, other in zip(found, (step, composed, guess), strict=True):
        assert differs(image(one), other) < 0.002

    light, key = smooth(rng, h, w, sigma=2), smooth(rng, h, w, 3, sigma=2)
    compared, chosen = np.empty((h, w, 2), np.float32), np.empty((h, w), np.float32)
    tracking.compare(light, np.ascontiguousarray(key[..., 0]), guess, direct, compared, 0, h)
    blurred = cv2.blur(compared, (7, 7), borderType=cv2.BORDER_REPLICATE).reshape(h, w, 2)
    tracking.choose(guess, direct, blurred, np.float32(BETTER), np.float32(30), chosen, 0, h)
    key_light = maps(key[..., :1])
    better = device_tracker.better(maps(light), key_light, maps(guess), maps(direct), 30.0)
    assert (image(better)[..., 0] != chosen).mean() < 0.01, "sums of 49 numbers are rounded in another order"

    anchored = composed.copy()
    tracking.anchor(direct, chosen, anchored, 0, h)
    assert differs(image(device_tracker.anchor(maps(direct), maps(chosen), maps(composed))), anchored) < 0.002


class Known(MotionEstimator):
    """Motion that was thought of beforehand, for either tracker."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        rng = np.random.default_rng(1)
        self.waiting = [motions(rng, shape, size) for size in (3, 3, 2) * 4]

    def flow(self, source, target, *, fine=True):
        return self.waiting.pop(0)

    def answer(self, source, target):
        return self.waiting.pop(0)

    def refine(self, source, target, guess):
        return guess + self.waiting.pop(0)

    def as_tensors(self, source, target, config, guess=None):
        if guess is not None:
            return guess + maps(self.waiting.pop(0))
        return torch.cat([maps(self.waiting.pop(0)) for _ in source])


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_clues_are_those_of_the_other_tracker_from_step_to_step(channels, monkeypatch):
    shape, rng = (60, 83), np.random.default_rng(2)
    monkeypatch.setattr(device_tracker, "patch_flow", Known(shape).as_tensors)
    light, values, error = smooth(rng, *shape), smooth(rng, *shape, channels), np.abs(smooth(rng, *shape))
    ours = DeviceTracker(light, values, error, "cpu")
    theirs = Tracker(light, values, error, motion=Known(shape))
    for _ in range(4):
        light, values, error = smooth(rng, *shape), smooth(rng, *shape, channels), np.abs(smooth(rng, *shape))
        step = ours.follow(light)
        found, wanted = ours.clues(step)[0].numpy(), theirs.clues(theirs.follow(light))
        assert differs(found, wanted) < 0.01
        ours.accept(step, maps(values), maps(error))
        theirs.accept(light, values, error)


def test_a_key_followed_over_a_known_pan():
    big, color = texture(), texture(seed=1)
    lights = [shifted(big, 2 * t, t) for t in range(5)]
    truth = [np.dstack([shifted(color, 2 * t, t)] * 2) for t in range(5)]
    none = np.zeros((96, 128), np.float32)
    tracker = DeviceTracker(lights[0], truth[0], none, "cpu")
    for t in range(1, 5):
        step = tracker.follow(lights[t])
        clues = tracker.clues(step)[0].numpy()
        tracker.accept(step, maps(truth[t]), maps(none))
    inner = (slice(24, -24), slice(24, -24))
    assert np.abs(clues[CLUES.index("key a")] - truth[4][..., 0])[inner].mean() < 2
    assert clues[CLUES.index("key gap")][inner].mean() < 0.3


def test_a_step_that_failed_leaves_nothing_behind(monkeypatch):
    lights = [shifted(texture(), 2 * t, t) for t in range(3)]
    values, none = np.dstack([lights[0]] * 2), np.zeros_like(lights[0])
    steps = []
    for fails in (False, True):
        tracker = DeviceTracker(lights[0], values, none, "cpu")
        tracker.follow(lights[1])
        if fails:
            with monkeypatch.context() as patch:
                patch.setattr(device_tracker, "anchor", lambda *_: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    tracker.follow(lights[2])
        steps.append(tracker.follow(lights[2]))
    assert torch.equal(steps[0].tracks, steps[1].tracks)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (15, 15)])
def test_tiny_frames_do_not_move(shape):
    light, values = np.random.default_rng(0).random(shape, np.float32), np.zeros((*shape, 2), np.float32)
    step = DeviceTracker(light, values, np.zeros(shape, np.float32), "cpu").follow(light[::-1].copy())
    assert torch.isfinite(step.tracks).all() and (step.step[:, 3] == 1).all() and not step.tracks[:, 4].any()
