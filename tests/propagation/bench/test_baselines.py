"""The classical methods, against literal versions of themselves and motion known beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.bench import baselines
from propagation.bench.baselines import Motion
from propagation.errors import HintError

Floats = NDArray[np.float32]
FILLS = [baselines.nearest_hint, baselines.levin, baselines.guided_fill, baselines.bilateral_fill]
Fill = Callable[[Floats, NDArray[np.bool_], Floats], Floats]


def hinted(height: int = 11, width: int = 13) -> tuple[Floats, NDArray[np.bool_], Floats]:
    rng = np.random.default_rng(5)
    lightness = rng.uniform(0, 100, (height, width)).astype(np.float32)
    lightness[3:6] = 40  # a flat part, where the window's variance is 0
    mask = rng.random((height, width)) < 0.15
    return lightness, mask, rng.uniform(-80, 80, (height, width, 2)).astype(np.float32)


def test_the_nearest_hint_is_the_nearest() -> None:
    lightness, mask, ab = hinted()
    filled = baselines.nearest_hint(lightness, mask, ab)
    places = np.argwhere(mask)
    for pixel in np.ndindex(*mask.shape):
        distances = np.hypot(*(places - pixel).T)
        candidates = [ab[tuple(place)] for place in places[distances == distances.min()]]
        assert any(np.array_equal(filled[pixel], color) for color in candidates)


def test_levin_is_the_solution_of_its_equations_one_pixel_at_a_time() -> None:
    lightness, mask, ab = hinted()
    height, width = mask.shape
    luma = lightness.astype(np.float64) / 100
    system = np.eye(height * width)
    for y, x in zip(*np.nonzero(~mask), strict=True):
        window = [
            (v, u) for v in range(y - 1, y + 2) for u in range(x - 1, x + 2) if 0 <= v < height and 0 <= u < width
        ]
        values = [luma[place] for place in window]
        variance = sum((value - sum(values) / len(values)) ** 2 for value in values) / len(values)
        around = [place for place in window if place != (y, x)]
        steps = [(luma[place] - luma[y, x]) ** 2 for place in around]
        spread = max(0.6 * variance, -min(steps) / math.log(0.01), 2e-6)
        weights = [math.exp(-step / spread) for step in steps]
        for (v, u), weight in zip(around, weights, strict=True):
            system[y * width + x, v * width + u] -= weight / sum(weights)
    known = np.where(mask[..., None], ab, 0).reshape(-1, 2)
    expected = np.linalg.solve(system, known).reshape(height, width, 2)
    np.testing.assert_allclose(baselines.levin(lightness, mask, ab), expected, atol=1e-3)


@pytest.mark.parametrize("fill", FILLS)
def test_hints_of_one_color_fill_the_picture_with_it(fill: Fill) -> None:
    lightness, mask, _ = hinted(40, 60)
    ab = np.full((40, 60, 2), np.float32([20, -30]))
    ab[~mask] = np.nan  # never to be read
    filled = fill(lightness, mask, ab)
    assert filled.dtype == np.float32
    np.testing.assert_allclose(filled, np.broadcast_to(np.float32([20, -30]), filled.shape), atol=1e-2)


@pytest.mark.parametrize("fill", [baselines.levin, baselines.guided_fill, baselines.bilateral_fill])
def test_color_stops_at_an_edge(fill: Fill) -> None:
    lightness = np.full((32, 64), 20, np.float32)
    lightness[:, 36:] = 80
    mask = np.zeros((32, 64), bool)
    mask[16, 6] = mask[16, 58] = True
    ab = np.zeros((32, 64, 2), np.float32)
    ab[16, 6], ab[16, 58] = (50, 0), (-50, 0)
    steps = np.abs(np.diff(fill(lightness, mask, ab)[..., 0], axis=1))
    assert (steps.argmax(1) == 35).all()
    # The nearest hint changes color halfway between the hints instead.
    assert np.diff(baselines.nearest_hint(lightness, mask, ab)[16, :, 0]).argmin() in (31, 32)


@pytest.mark.parametrize("fill", FILLS)
def test_no_hint_at_all_is_an_error(fill: Fill) -> None:
    lightness, mask, ab = hinted()
    with pytest.raises(HintError):
        fill(lightness, np.zeros_like(mask), ab)


@pytest.fixture(scope="module")
def sliding() -> tuple[list[Floats], list[Floats]]:
    """L* and colors of a scene that slides two pixels to the right a frame."""
    rng = np.random.default_rng(1)
    scene = cv2.resize(rng.uniform(0, 1, (24, 40, 3)).astype(np.float32), (240, 96), interpolation=cv2.INTER_CUBIC)
    crops = [scene[:, 60 - 2 * t : 220 - 2 * t] for t in range(6)]
    return [crop[..., 0].clip(0, 1) * 100 for crop in crops], [crop[..., 1:] * 100 - 50 for crop in crops]


INSIDE = (slice(12, -12), slice(24, -24))


def test_hold_moves_nothing(sliding: tuple[list[Floats], list[Floats]]) -> None:
    key = sliding[1][0]
    assert all(ab is key for _, ab in baselines.hold(key, range(1, 6)))


@pytest.mark.parametrize("follow", [baselines.dis_chain, baselines.dis_frame_by_frame])
@pytest.mark.parametrize(("key", "order"), [(0, range(1, 6)), (5, range(4, -1, -1))])
def test_following_the_flow_follows_a_sliding_scene(
    sliding: tuple[list[Floats], list[Floats]], follow: Callable[..., object], key: int, order: range
) -> None:
    lightness, truth = sliding
    carried = dict(follow(Motion(lightness), key, truth[key], order))  # type: ignore[call-overload]
    assert list(carried) == list(order)
    for frame, ab in carried.items():
        error = np.abs(ab - truth[frame])[INSIDE].mean()
        held = np.abs(truth[key] - truth[frame])[INSIDE].mean()
        assert error < 0.2 * held


def test_two_sided_blends_the_chains_by_distance(sliding: tuple[list[Floats], list[Floats]]) -> None:
    lightness, truth = sliding
    motion = Motion(lightness)
    blended = dict(baselines.dis_two_sided(motion, (0, 4), (truth[0], truth[4])))
    forward = dict(baselines.dis_chain(motion, 0, truth[0], range(1, 4)))
    backward = dict(baselines.dis_chain(motion, 4, truth[4], range(3, 0, -1)))
    assert list(blended) == [1, 2, 3]
    for frame, share in ((1, 0.25), (2, 0.5), (3, 0.75)):
        expected = (1 - share) * forward[frame] + share * backward[frame]
        np.testing.assert_allclose(blended[frame], expected, atol=1e-4)


def test_a_flow_does_not_depend_on_what_was_asked_before(sliding: tuple[list[Floats], list[Floats]]) -> None:
    # DIS keeps a first guess it was once given: flows then changed with the order of the calls, and cost 0.3 dB.
    lightness, _ = sliding
    fresh = Motion(lightness).flow(3, 2)
    used = Motion(lightness)
    for frame in (5, 1, 2):
        used.flow(frame, frame - 1)
    assert np.array_equal(used.flow(3, 2), fresh)
