"""Frames too large to be filled whole: tiles cover them, and their seams do not show."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.bench.protocol import to_lab
from propagation.densify import Densifier, Hints
from propagation.spn import SpatialPropagationNetwork
from propagation.tiles import reduction, shrink_hints, shrink_mean, tiles
from propagation.training.clips import shrink
from propagation.video.reader import open_clip
from propagation.weights import expected_tensors, load_weights, weights_path
from tests.propagation.test_densify import FLOWER, dots

TILE = 96


def densifier(**limits: int) -> Densifier:
    model = SpatialPropagationNetwork()
    model.load_state_dict(load_weights(weights_path("spn-color"), expected_tensors(model)))
    return Densifier(model, **limits)


@pytest.mark.parametrize("shape", [(1, 1), (7, 400), (96, 96), (97, 250), (333, 190), (108, 101)])
def test_tiles_cover_a_picture_and_their_weights_sum_to_one(shape):
    total = np.zeros(shape)
    for tile in tiles(shape, TILE, 12):
        assert tile.weight.shape == total[tile.rows, tile.columns].shape and max(tile.weight.shape) <= TILE
        total[tile.rows, tile.columns] += tile.weight
    np.testing.assert_allclose(total, 1, atol=1e-6)


def test_a_picture_is_reduced_as_little_as_possible():
    assert reduction((1080, 1920), 1080 * 1920) == 1
    assert reduction((4320, 7680), 2560 * 1440) == 3
    factor = reduction((1, 10**6), 1000)
    assert -(-(10**6) // factor) <= 1000 < -(-(10**6) // (factor - 1))


def test_shrunk_pictures_and_hints_are_those_of_a_literal_loop():
    rng = np.random.default_rng(0)
    image, values = rng.random((7, 8)).astype(np.float32), rng.random((7, 8, 2)).astype(np.float32)
    strength = (rng.random((7, 8)) * (rng.random((7, 8)) > 0.6)).astype(np.float32)
    small, (small_values, small_strength) = shrink_mean(image, 3), shrink_hints(values, strength, 3)
    assert small.shape == small_strength.shape == (3, 3)
    for y in range(3):
        for x in range(3):
            inside = [(min(3 * y + i, 6), min(3 * x + j, 7)) for i in range(3) for j in range(3)]
            assert small[y, x] == pytest.approx(np.mean([image[p] for p in inside]), rel=1e-5)
            part = slice(3 * y, 3 * y + 3), slice(3 * x, 3 * x + 3)
            assert small_strength[y, x] == strength[part].max()
            if strength[part].any():
                mean = (values[part] * strength[part][..., None]).sum((0, 1)) / strength[part].sum()
                np.testing.assert_allclose(small_values[y, x], mean, rtol=1e-5)


@pytest.fixture(scope="module")
def flower() -> tuple[np.ndarray, Hints]:
    with open_clip(FLOWER) as clip:
        lab = to_lab(shrink(clip.frame(75).image, 200))
    strength = (np.random.default_rng(0).random(lab.shape[:2]) < 0.004).astype(np.float32)
    return lab, Hints(lab[..., 1:] * strength[..., None], strength)


def test_the_error_at_seams_is_that_of_the_rest(flower):
    """In tiles and as one piece, from the same draft: near seams as little is lost as elsewhere, within 0.1 dB."""
    lab, hints = flower
    limit = lab[..., 0].size // 3
    squared = {}
    for size in (TILE, 4096):
        filling = densifier(most_pixels=limit, tile_px=size)
        prepared = filling.prepare(lab[..., 0])
        assert prepared.factor == 2
        squared[size] = ((filling.fill(prepared, hints).values - lab[..., 1:]) ** 2).mean(-1)
    seam = np.zeros(lab.shape[:2], bool)
    for tile in tiles(seam.shape, TILE, TILE // 8):
        seam[tile.rows, tile.columns] |= tile.weight < 1
    assert 0.1 < seam.mean() < 0.9
    loss_db = {
        place: 10 * np.log10(squared[TILE][mask].mean() / squared[4096][mask].mean())
        for place, mask in (("seam", seam), ("rest", ~seam))
    }
    assert loss_db["seam"] < loss_db["rest"] + 0.1
    assert max(loss_db.values()) < 0.1


def test_a_frame_in_tiles_is_about_as_good_as_whole(flower):
    lab, hints = flower
    error = {}
    for limit in (lab[..., 0].size, lab[..., 0].size // 3):
        filling = densifier(most_pixels=limit, tile_px=TILE)
        dense = filling.fill(filling.prepare(lab[..., 0]), hints)
        assert np.array_equal(dense.values[hints.strength == 1], hints.values[hints.strength == 1])
        assert (dense.reach[hints.strength == 1] == 1).all() and (dense.confidence[hints.strength == 1] == 1).all()
        assert dense.reach.shape == dense.confidence.shape == dense.error.shape == lab.shape[:2]
        error[limit] = ((dense.values - lab[..., 1:]) ** 2).mean()
    whole, tiled = error.values()
    # What half the size costs a picture of 200 rows; a frame that is really too large has less detail a pixel.
    assert 10 * np.log10(tiled / whole) < 1.0


def test_one_color_stays_one_color_in_tiles():
    light = (np.random.default_rng(0).random((150, 170)) * 100).astype(np.float32)
    filling = densifier(most_pixels=4000, tile_px=64)
    mask = filling.fill(filling.prepare(light), dots(light.shape, [(20, 20)], [(12.0, -7.0)]))
    assert np.isfinite(mask.values).all() and mask.values.shape == (150, 170, 2)
    values = np.full((150, 170, 3), (7.5, -2.0, 100.0), np.float32)
    strength = np.zeros((150, 170), np.float32)
    strength[70:75, 80:90] = 1
    dense = filling.fill(filling.prepare(light), Hints(values, strength))
    np.testing.assert_allclose(dense.values, values, rtol=1e-3)


def test_hints_of_one_corner_reach_the_other_in_another_tile():
    light = np.where(np.arange(256) < 128, 30, 75).astype(np.float32)[None].repeat(128, 0)
    filling = densifier(most_pixels=64 * 128, tile_px=64)
    dense = filling.fill(filling.prepare(light), dots(light.shape, [(20, 20), (20, 240)], [(30, 20), (-25, 30)]))
    assert np.abs(dense.values[100:, :120] - (30, 20)).mean() < 5
    assert np.abs(dense.values[100:, 136:] - (-25, 30)).mean() < 5
