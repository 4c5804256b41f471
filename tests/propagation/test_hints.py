"""The protocol's hint generators: their promises, and the numbers that must never change for a seed."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.hints import SparseColor, patch_hints, stroke_hints, superpixel_hints


def lab_picture(height: int = 96, width: int = 128) -> NDArray[np.float32]:
    """Smooth random regions: enough structure for superpixels, the same on every machine."""
    rng = np.random.default_rng(7)
    coarse = rng.uniform(0, 1, (6, 8, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_NEAREST)
    return (picture * (100, 120, 120) - (0, 60, 60)).astype(np.float32)


GENERATORS = {
    "superpixels": lambda lab, rng: superpixel_hints(lab, 60, rng),
    "patches": lambda lab, rng: patch_hints(lab, 20, rng),
    "strokes": lambda lab, rng: stroke_hints(lab, 12, rng),
}


def draw(kind: str, seed: int) -> SparseColor:
    return GENERATORS[kind](lab_picture(), np.random.default_rng(seed))


@pytest.mark.parametrize("kind", GENERATORS)
def test_one_seed_gives_one_picture_of_hints(kind: str) -> None:
    first, again, other = draw(kind, 3), draw(kind, 3), draw(kind, 4)
    assert np.array_equal(first.mask, again.mask)
    assert np.array_equal(first.ab, again.ab)
    assert not np.array_equal(first.mask, other.mask)
    assert first.mask.any()
    assert not first.mask.all()
    assert first.ab.dtype == np.float32


@pytest.mark.parametrize("kind", GENERATORS)
def test_the_picture_itself_is_left_alone(kind: str) -> None:
    lab = lab_picture()
    GENERATORS[kind](lab, np.random.default_rng(0))
    assert np.array_equal(lab, lab_picture())


def test_superpixel_hints_show_the_true_color_of_single_pixels() -> None:
    hints = draw("superpixels", 0)
    assert 10 <= hints.mask.sum() <= 60
    assert np.array_equal(hints.ab, lab_picture()[..., 1:])


def test_a_patch_shows_its_mean_color() -> None:
    lab = lab_picture()
    hints = patch_hints(lab, 1, np.random.default_rng(0))
    rows, columns = np.nonzero(hints.mask)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1, len(rows)) == (6, 6, 36)
    np.testing.assert_allclose(hints.ab[hints.mask], np.broadcast_to(lab[hints.mask, 1:].mean(0), (36, 2)), atol=1e-4)


def test_patches_fit_a_picture_of_their_own_size() -> None:
    assert patch_hints(lab_picture(6, 6), 2, np.random.default_rng(0)).mask.all()


def test_a_stroke_is_one_color_inside_one_segment() -> None:
    for seed in range(5):
        hints = stroke_hints(lab_picture(), 1, np.random.default_rng(seed))
        assert len(np.unique(hints.ab[hints.mask], axis=0)) == 1


def test_random_numbers_are_drawn_in_the_order_of_the_protocol() -> None:
    # A patch draws row then column; a picture after the last hint sees the same stream whoever drew it.
    rng, reference = np.random.default_rng(11), np.random.default_rng(11)
    hints = patch_hints(lab_picture(), 1, rng)
    top, left = reference.integers(96 - 5), reference.integers(128 - 5)
    assert hints.mask[top : top + 6, left : left + 6].all()
    assert rng.random() == reference.random()


def test_patch_positions_of_seed_0_have_not_moved() -> None:
    digest = hashlib.sha256(np.packbits(draw("patches", 0).mask).tobytes()).hexdigest()
    assert digest[:16] == "7fb4c824b3e056d9"
