"""Motion, warps and the tracker, on pictures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from propagation.alignment import CLUES, MotionEstimator, Tracker, grid, luma8, warp


def texture(h: int = 96, w: int = 128, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((h + 40, w + 40)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return (smooth - smooth.min()) / np.ptp(smooth) * 100


def shifted(picture: np.ndarray, dx: int, dy: int, h: int = 96, w: int = 128) -> np.ndarray:
    return np.ascontiguousarray(picture[20 - dy : 20 - dy + h, 20 - dx : 20 - dx + w])


def test_flow_points_from_the_source_to_the_target():
    big = texture()
    flow = MotionEstimator().flow(luma8(shifted(big, 0, 0)), luma8(shifted(big, 3, -2)))
    assert np.median(np.abs(flow[20:-20, 20:-20] - (3, -2))) < 0.2


def test_warp_of_the_identity_is_the_picture_and_dimensions_stay():
    picture = texture()[:30, :40]
    assert np.allclose(warp(picture, grid(30, 40)), picture, atol=1e-4)
    assert warp(np.dstack([picture] * 3), grid(30, 40)).shape == (30, 40, 3)


@pytest.mark.parametrize("aligned", [True, False])
def test_a_key_followed_over_a_known_pan(aligned):
    big, color = texture(), texture(seed=1)
    lights = [shifted(big, 2 * t, t) for t in range(5)]
    truth = [np.dstack([shifted(color, 2 * t, t)] * 2) for t in range(5)]
    tracker = Tracker(lights[0], truth[0], motion=MotionEstimator() if aligned else None)
    for t in range(1, 5):
        clues = tracker.clues(tracker.follow(lights[t]))
        assert clues.shape == (len(CLUES), 96, 128) and np.isfinite(clues).all()
        tracker.accept(lights[t], truth[t], np.zeros((96, 128), np.float32))
    inner = (slice(24, -24), slice(24, -24))
    error = np.abs(clues[CLUES.index("key a")] - truth[4][..., 0])[inner].mean()
    assert (error < 2.0) == aligned, "composed motion finds the key's color again; standing still does not"
    if aligned:
        assert clues[CLUES.index("key gap")][inner].mean() < 0.3


class Lost(MotionEstimator):
    """Every step's motion is wrong by two pixels: a chain of steps drifts away."""

    def flow(self, source, target, *, fine=True):
        return super().flow(source, target, fine=fine) + np.float32((2, 0))

    def answer(self, source, target):
        return super().answer(source, target) + np.float32((2, 0))


def test_a_track_that_drifts_is_anchored_in_the_key_frame_again():
    light = texture()[:96, :128]
    color = np.dstack([texture(seed=1)[:96, :128]] * 2)
    tracker = Tracker(light, color, motion=Lost())
    for _ in range(6):
        clues = tracker.clues(tracker.follow(light))
        tracker.accept(light, color, np.zeros_like(light))
    inner = (slice(24, -24), slice(24, -24))
    drifted = np.abs(warp(color, grid(96, 128) + np.float32((12, 0))) - color)[inner].mean()
    error = np.abs(clues[CLUES.index("key a")] - color[..., 0])[inner].mean()
    assert error < 0.25 * drifted


class Given(MotionEstimator):
    """Steps from frame to frame as they are given: from a frame to the one before, and from that to it."""

    def __init__(self, back, forth):
        super().__init__()
        self.back, self.forth = back, forth

    def flow(self, source, target, *, fine=True):
        return self.back

    def answer(self, source, target):
        return self.forth


def test_a_first_guess_out_of_the_picture_is_never_searched_from():
    seen = []

    class Watched(Given):
        def refine(self, source, target, guess):
            seen.append(guess.copy())
            return super().refine(source, target, guess)

    light = texture()[:64, :80]
    motion = Watched(np.full((64, 80, 2), (-40, 300), np.float32), np.zeros((64, 80, 2), np.float32))
    tracker = Tracker(light, np.dstack([light, light]), motion=motion)
    for _ in range(4):
        step = tracker.follow(light)
        assert all(np.isfinite(maps).all() for maps in (step.step, step.tracks))
    for guess in seen:
        places = guess + grid(64, 80)
        assert places.min() >= 0 and places[..., 0].max() <= 79 and places[..., 1].max() <= 63


def test_what_came_in_over_the_border_is_not_in_the_key_frame():
    light = np.full((40, 60), 50, np.float32)  # nothing to be anchored by
    back = np.full((40, 60, 2), (-3, 0), np.float32)
    tracker = Tracker(light, np.dstack([light, light]), motion=Given(back, -back))
    for step in range(1, 4):
        inside = tracker.clues(tracker.follow(light))[CLUES.index("key inside")]
        tracker.accept(light, np.dstack([light, light]), np.zeros_like(light))
        assert not inside[:, : 3 * step - 1].any() and (inside[:, 3 * step + 1 :] == 1).all()


def test_tiny_frames_do_not_move():
    assert not MotionEstimator().flow(np.zeros((4, 9), np.uint8), np.zeros((4, 9), np.uint8)).any()


class Unanchored(Given):
    """Finds nothing in the key frame: the guess stands."""

    def refine(self, source, target, guess):
        return guess


def reference_steps(light, values, steps):
    """The tracker's clues by one remap after another, as its docstring tells it, where nothing is anchored."""
    h, w = light.shape
    home = grid(h, w)
    key = previous = np.dstack([light, values, np.zeros_like(light)])
    to_key, worst, seen = home, np.zeros_like(light), np.ones_like(light)
    for back, forth, result in steps:
        position = home + back
        returned = np.log1p(np.linalg.norm(back + warp(forth, position), axis=-1))
        x, y = position[..., 0], position[..., 1]
        inside = ((x >= -0.5) & (y >= -0.5) & (x <= w - 0.5) & (y <= h - 0.5)).astype(np.float32)
        moved = warp(previous, position)
        to_key = warp(to_key, position)
        worst, seen = np.maximum(warp(worst, position), returned), warp(seen, position) * inside
        held = np.clip(to_key, 0, (w - 1, h - 1))
        gap = np.log1p(np.linalg.norm(held - to_key, axis=-1))
        clues = [warp(key[..., :-1], to_key), gap, worst, seen, moved[..., :-1], returned, inside, moved[..., -1]]
        previous = result
    return np.dstack(clues).transpose(2, 0, 1)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("shape", [(41, 57), (1, 9), (9, 1)])
def test_clues_are_those_of_one_remap_after_another(channels, shape):
    rng = np.random.default_rng(4)

    def smooth(*dimensions, sigma=4.0):
        noise = rng.standard_normal((*shape, *dimensions)).astype(np.float32)
        return np.ascontiguousarray(cv2.GaussianBlur(noise, (0, 0), sigma).reshape(noise.shape))

    light, values = smooth(sigma=2.0), smooth(channels, sigma=2.0)
    motion = Unanchored(None, None)
    tracker = Tracker(light, values, motion=motion)
    steps = []
    for _ in range(3):
        back = 12 * smooth(2)
        steps.append((back, -back + smooth(2), np.dstack([smooth(), smooth(channels), smooth()])))
        motion.back, motion.forth = steps[-1][:2]
        clues = tracker.clues(tracker.follow(light))
        tracker.accept(np.ascontiguousarray(steps[-1][2][..., 0]), steps[-1][2][..., 1:-1], steps[-1][2][..., -1])
    expected = reference_steps(light, values, steps)
    assert clues.shape == expected.shape == (8 + 2 * channels, *shape)
    # OpenCV samples at multiples of 1/32 pixel, we at the exact place; a pixel on the border may fall on either side.
    assert np.quantile(np.abs(clues - expected), 0.98) < 0.05
