"""Key frames at work size: no hint is lost, none grows over an edge."""

from __future__ import annotations

import numpy as np
import pytest

from app.keyframes import Painted, shrink_hints, work_shape


@pytest.mark.parametrize(
    ("height", "width", "size", "shape"),
    [(480, 640, 480, (480, 640)), (1080, 1920, 480, (480, 854)), (1920, 1080, 480, (854, 480)), (47, 63, 480, (48, 64)),
     (100, 3000, 50, (50, 1500)), (3, 2000, 480, (4, 2000))],
)  # fmt: skip
def test_work_size(height: int, width: int, size: int, shape: tuple[int, int]) -> None:
    assert work_shape(height, width, size) == shape


def painted(strength: np.ndarray, color: tuple[float, float] = (20.0, -10.0)) -> Painted:
    ab = np.zeros((*strength.shape, 2), np.float32)
    ab[strength > 0] = color
    return Painted(ab, strength.astype(np.float32))


def test_a_thin_stroke_survives_with_its_strength_and_color() -> None:
    strength = np.zeros((200, 300))
    strength[57, 40:260] = 1.0
    values, small = shrink_hints(painted(strength), (40, 60))
    assert (small[11, 8:52] == 1).all()
    assert small.sum() == 44
    np.testing.assert_allclose(values[small > 0], np.broadcast_to((20, -10), (44, 2)), atol=1e-3)


def test_a_thick_stroke_does_not_grow_over_the_edge_it_was_painted_along() -> None:
    strength = np.zeros((200, 300))
    strength[:, :152] = 0.5
    _, small = shrink_hints(painted(strength), (40, 60))
    assert (small[:, :30] == 0.5).all()
    assert (small[:, 30:] == 0).all()


def test_two_colors_do_not_mix_with_what_is_not_painted() -> None:
    strength = np.zeros((8, 8))
    strength[:4, :4] = 1.0
    values, small = shrink_hints(painted(strength, (50.0, 50.0)), (4, 4))
    np.testing.assert_allclose(values[:2, :2], 50, atol=1e-3)
    assert (small[:2, :2] == 1).all()
    assert small[2:].sum() == small[:, 2:].sum() == 0


def test_at_work_size_nothing_changes() -> None:
    strength = np.random.default_rng(0).random((6, 8))
    given = painted(strength)
    values, small = shrink_hints(given, (6, 8))
    assert values is given.ab
    assert small is given.strength
