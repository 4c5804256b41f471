"""The trained spatial network behind its interface: exact where painted, sharp at edges, better than the nearest
hint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propagation.bench.baselines import nearest_hint
from propagation.densify import Densifier, Hints
from propagation.errors import HintError, WeightsError

FLOWER = Path(__file__).resolve().parents[2] / "assets" / "demo" / "flower.mp4"


@pytest.fixture(scope="module")
def densifier() -> Densifier:
    return Densifier.load()


def dots(shape, places, colors):
    values, strength = np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    for (y, x), color in zip(places, colors, strict=True):
        values[y - 2 : y + 3, x - 2 : x + 3], strength[y - 2 : y + 3, x - 2 : x + 3] = color, 1
    return Hints(values, strength)


def test_two_colours_meet_at_the_edge(densifier):
    light = np.where(np.arange(160) < 90, 30, 75).astype(np.float32)[None].repeat(120, 0)
    dense = densifier.fill(densifier.prepare(light), dots(light.shape, [(60, 20), (60, 140)], [(30, 20), (-25, 30)]))
    left, right = dense.values[:, :86], dense.values[:, 94:]
    assert np.abs(left - (30, 20)).mean() < 4 and np.abs(right - (-25, 30)).mean() < 4


def test_what_is_painted_at_full_strength_comes_through_exactly(densifier):
    rng = np.random.default_rng(0)
    light = (rng.random((50, 70)) * 100).astype(np.float32)
    hints = dots(light.shape, [(10, 10), (40, 60)], [(90, -70), (-80, 80)])
    dense = densifier.fill(densifier.prepare(light), hints)
    painted = hints.strength == 1
    assert np.array_equal(dense.values[painted], hints.values[painted])
    assert (dense.confidence[painted] == 1).all() and np.isfinite(dense.values).all()


@pytest.mark.parametrize("shape", [(1, 40), (40, 1), (1, 1), (17, 33), (97, 64)])
def test_any_size(densifier, shape):
    light = np.full(shape, 50, np.float32)
    values, strength = np.full((*shape, 2), 12, np.float32), np.zeros(shape, np.float32)
    strength[shape[0] // 2, shape[1] // 2] = 1
    dense = densifier.fill(densifier.prepare(light), Hints(values, strength))
    assert dense.values.shape == (*shape, 2) and np.isfinite(dense.values).all()
    assert dense.reach.shape == dense.confidence.shape == shape
    assert 0 <= dense.reach.min() and dense.reach.max() <= 1


@pytest.mark.parametrize("level", [0, 20, 50, 80, 100])
def test_a_frame_of_one_color(densifier, level):
    """Nothing guides there: one hint fills the frame, of two each keeps what is around it."""
    light = np.full((64, 80), level, np.float32)
    prepared = densifier.prepare(light)
    one = densifier.fill(prepared, dots(light.shape, [(30, 40)], [(25, -15)])).values
    assert np.abs(one - (25, -15)).mean() < 4
    if 0 < level < 100:  # black and white show no color
        two = densifier.fill(prepared, dots(light.shape, [(32, 5), (32, 75)], [(30, 20), (-25, 30)])).values
        assert np.abs(two[:, :20] - (30, 20)).mean() < 8 and np.abs(two[:, -20:] - (-25, 30)).mean() < 8


def test_a_thorough_fill_is_the_mean_of_a_frame_its_mirror_image_and_its_transpose(densifier):
    rng = np.random.default_rng(3)
    light = (30 + 40 * (np.arange(70) > 33) + 10 * rng.random((44, 70))).astype(np.float32)
    hints = dots(light.shape, [(10, 10), (30, 60), (40, 5)], [(40, -20), (-35, 30), (0, 50)])
    dense = densifier.fill(densifier.prepare(light, thorough=True), hints)

    def seen(turn):
        turned = Hints(turn(hints.values).copy(), turn(hints.strength).copy())
        found = densifier.fill(densifier.prepare(turn(light).copy()), turned)
        return turn(found.values), turn(found.error)

    values, errors = zip(seen(lambda x: x), seen(np.fliplr), seen(lambda x: x.swapaxes(0, 1)), strict=True)
    np.testing.assert_allclose(dense.values, np.mean(values, 0), atol=1e-3)
    np.testing.assert_allclose(dense.error, np.mean(errors, 0), atol=1e-3)
    assert np.array_equal(dense.values[hints.strength == 1], hints.values[hints.strength == 1])
    mask = Hints(np.ascontiguousarray(hints.values[..., :1]), hints.strength)
    one, other = (densifier.fill(densifier.prepare(light, thorough=t), mask).values for t in (True, False))
    assert np.array_equal(one, other)


@pytest.mark.parametrize("shape", [(1, 120), (120, 1)])
def test_a_frame_of_one_pixel_width(densifier, shape):
    light = np.where(np.arange(120) < 60, 30, 75).astype(np.float32).reshape(shape)
    values, strength = np.zeros((120, 2), np.float32), np.zeros(120, np.float32)
    values[10:20], values[100:110], strength[10:20], strength[100:110] = (30, 20), (-25, 30), 1, 1
    hints = Hints(values.reshape(*shape, 2), strength.reshape(shape))
    filled = densifier.fill(densifier.prepare(light), hints).values.reshape(120, 2)
    assert np.abs(filled[:50] - (30, 20)).mean() < 6 and np.abs(filled[70:] - (-25, 30)).mean() < 6


def test_a_frame_as_wide_as_8k_in_tiles():
    """A strip of one, so that it is quick; `bench densify` fills a whole one and prints its memory."""
    light = np.where(np.arange(7680) < 4000, 30, 75).astype(np.float32)[None].repeat(64, 0)
    wide = Densifier.load(most_pixels=light.size // 3)
    prepared = wide.prepare(light)
    assert prepared.factor == 2
    dense = wide.fill(prepared, dots(light.shape, [(30, 3800), (30, 4300)], [(30, 20), (-25, 30)]))
    assert np.abs(dense.values[:, 3600:3990] - (30, 20)).mean() < 5
    assert np.abs(dense.values[:, 4010:4500] - (-25, 30)).mean() < 5
    assert np.isfinite(dense.values).all() and dense.confidence.shape == light.shape


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_none_are_refused_wherever_they_stand(densifier, spoiled):
    light = np.full((32, 40), 50, np.float32)
    for name, place in (("values", (31, 39, 1)), ("values", (0, 0, 0)), ("strength", (5, 5))):
        hints = dots(light.shape, [(16, 16)], [(5, 5)])
        getattr(hints, name)[place] = spoiled
        with pytest.raises(HintError, match="NaN or infinite"):
            densifier.fill(densifier.prepare(light), hints)


def test_a_hint_that_hangs_over_the_edge_counts_as_far_as_it_is_inside(densifier):
    light = np.full((40, 40), 50, np.float32)
    hints = Hints(np.zeros((40, 40, 2), np.float32), np.zeros((40, 40), np.float32))
    hints.values[-2:, -3:], hints.strength[-2:, -3:] = (20, 10), 1
    dense = densifier.fill(densifier.prepare(light), hints)
    np.testing.assert_array_equal(dense.values[-2:, -3:], np.broadcast_to(np.float32((20, 10)), (2, 3, 2)))
    assert np.abs(dense.values - (20, 10)).mean() < 4


def test_strengths_beyond_zero_and_one_count_as_those(densifier):
    light = np.full((32, 32), 50, np.float32)
    wild, tame = (dots(light.shape, [(10, 10)], [(5, 5)]) for _ in range(2))
    wild.strength[wild.strength > 0] = 7
    wild.strength[20:, 20:] = -3
    prepared = densifier.prepare(light)
    np.testing.assert_array_equal(densifier.fill(prepared, wild).values, densifier.fill(prepared, tame).values)


def test_reach_falls_with_distance_and_across_an_edge(densifier):
    light = np.where(np.arange(200) < 100, 40, 70).astype(np.float32)[None].repeat(80, 0)
    reach = densifier.fill(densifier.prepare(light), dots(light.shape, [(40, 10)], [(20, 20)])).reach
    assert reach[40, 10] > reach[40, 40] > reach[40, 80] > reach[40, 150]


def test_preparing_once_is_the_same_as_preparing_anew(densifier):
    light = (np.random.default_rng(2).random((48, 64)) * 100).astype(np.float32)
    prepared = densifier.prepare(light)
    for seed in range(2):
        hints = dots(light.shape, [(20 + seed, 20)], [(10, 10 * seed)])
        assert np.array_equal(
            densifier.fill(prepared, hints).values, densifier.fill(densifier.prepare(light), hints).values
        )


def test_unusable_hints_are_refused(densifier):
    light = np.full((32, 32), 50, np.float32)
    prepared = densifier.prepare(light)
    good = dots(light.shape, [(10, 10)], [(5, 5)])
    for hints, word in [
        (Hints(good.values[:-1], good.strength[:-1]), "hints are"),
        (Hints(good.values * np.float32(np.nan), good.strength), "NaN"),
        (Hints(good.values, np.zeros_like(good.strength)), "nothing is painted"),
    ]:
        with pytest.raises(HintError, match=word):
            densifier.fill(prepared, hints)
    with pytest.raises(HintError, match="NaN"):
        densifier.prepare(light * np.float32(np.inf))


def test_a_missing_network_is_named():
    with pytest.raises(WeightsError, match="missing"):
        Densifier.load("no-such-network")


def test_beats_the_nearest_hint_by_the_floor_on_a_frame_that_never_trained(densifier):
    from propagation.bench.protocol import to_lab
    from propagation.training.clips import shrink
    from propagation.video.reader import open_clip

    with open_clip(FLOWER) as clip:
        lab = to_lab(shrink(clip.frame(75).image, 240))
    rng = np.random.default_rng(0)
    mask = np.zeros(lab.shape[:2], bool)
    mask.ravel()[rng.choice(mask.size, 150, replace=False)] = True
    ab = np.ascontiguousarray(lab[..., 1:])
    ours = densifier.fill(densifier.prepare(lab[..., 0]), Hints(ab * mask[..., None], mask.astype(np.float32))).values
    gain = 10 * np.log10(np.mean((nearest_hint(lab[..., 0], mask, ab) - ab) ** 2) / np.mean((ours - ab) ** 2))
    assert gain > 1.5
