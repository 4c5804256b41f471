"""Tone curves: monotone, continuous, hue kept, white where it belongs."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.color.srgb import linear_to_srgb
from propagation.color.tonemap import CURVES, tone_mapped


@pytest.mark.parametrize("name", sorted(CURVES))
def test_curves_rise_from_black_to_white(name: str) -> None:
    light = np.concatenate([[0], np.geomspace(1e-4, 1e5, 4000)]).astype(np.float32)
    shown = CURVES[name](light)
    assert shown[0] == 0
    assert shown.max() <= 1 + 1e-6
    assert (np.diff(shown) >= -1e-6).all()
    assert np.diff(shown).max() < 0.01


def test_the_knee_leaves_ordinary_pictures_alone_and_tells_highlights_apart() -> None:
    linear = np.repeat(np.linspace(0, 0.5, 16, dtype=np.float32)[None, :, None], 3, axis=2)
    np.testing.assert_array_equal(tone_mapped(linear, "knee"), np.rint(linear_to_srgb(linear) * 255))
    bright = tone_mapped(np.array([[[1.0] * 3, [4.0] * 3, [16.0] * 3]], np.float32), "knee")[0, :, 0]
    assert (np.diff(bright.astype(int)) > 3).all()


def test_hue_exposure_and_odd_values() -> None:
    red = tone_mapped(np.array([[[8.0, 2.0, 2.0]]], np.float32), "reinhard")[0, 0]
    assert red[0] > red[1] == red[2]
    np.testing.assert_array_equal(
        tone_mapped(np.full((1, 1, 3), 0.1, np.float32), "clip", 1.0),
        tone_mapped(np.full((1, 1, 3), 0.2, np.float32), "clip"),
    )
    odd = np.array([[[np.nan, 0, 0], [np.inf] * 3, [-1.0] * 3]], np.float32)
    np.testing.assert_array_equal(tone_mapped(odd, "clip")[0, :, 0], [0, 255, 0])
