"""The camera's curve from key and frame: against curves that are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from propagation.bench.panoramas import CAMERA_CURVES, expose
from propagation.errors import HintError
from propagation.hdr.response import Pair, estimate_response
from tests.propagation.hdr.scenes import camera, moving, scene

# log10 of light: 1 % is 0.0043.
ONE_PERCENT = 0.0043


def true_curve(curve: Callable[[Any], Any]) -> np.ndarray:
    """log10 light of code values 0..255 by brute force."""
    light = np.geomspace(1e-6, 1, 200_001)
    return np.interp(np.arange(256) / 255, curve(light), np.log10(light))


@pytest.mark.parametrize("name", sorted(CAMERA_CURVES))
def test_every_camera_curve_is_found_from_noisy_clipped_pictures(name: str) -> None:
    light = scene()
    codes = expose(light, 1.0, name, 5000.0, np.random.default_rng(0))
    response = estimate_response([Pair(codes, light)])
    wanted = true_curve(CAMERA_CURVES[name])
    for channel in range(3):
        seen = np.bincount(codes[..., channel].ravel(), minlength=256) >= 20
        seen[:40] = seen[245:] = False
        apart = np.abs(response.curve[:, channel] - wanted)[seen]
        assert np.median(apart) < ONE_PERCENT
        assert apart.max() < 4 * ONE_PERCENT
    assert (np.diff(response.curve, axis=0) > 0).all()
    assert response.residual_stops < 0.1
    assert 0.8 < response.usable < 1


def test_white_balance_and_unit_are_part_of_it() -> None:
    light = scene()
    key = light * np.float32([200.0, 100.0, 50.0])
    response = estimate_response([Pair(camera(light), key)])
    assert response.balance_stops == pytest.approx((1.0, -1.0), abs=0.02)
    np.testing.assert_allclose(response.white, np.log10([200, 100, 50]), atol=2 * ONE_PERCENT)


def test_exposures_of_several_keys_are_told_apart() -> None:
    pictures, light, exposures = moving(frames=3, drift=1.6)
    response = estimate_response([Pair(codes, x) for codes, x in zip(pictures, light, strict=True)])
    np.testing.assert_allclose(response.exposures, exposures, rtol=0.01)


def test_sixteen_bits_are_not_thrown_away() -> None:
    light = scene()
    deep = camera(light, white=65535)
    response = estimate_response([Pair(deep, light)])
    open_ = (deep > 65535 * 0.2) & (deep < 65535 * 0.95)
    apart = np.abs(response.log_light(deep) - np.log10(light))[open_]
    assert np.median(apart) < 0.3 * ONE_PERCENT
    assert len(np.unique(response.log_light(deep)[open_])) > 10 * 256


def test_outliers_do_not_bend_it() -> None:
    light = scene()
    codes = camera(light)
    wrong = light.copy()
    wrong[:30] = 0.7  # something stands in the key that the frame does not show
    response = estimate_response([Pair(codes, wrong)])
    assert np.median(np.abs(response.curve[40:240, 1] - true_curve(CAMERA_CURVES["sRGB"])[40:240])) < 2 * ONE_PERCENT


def test_a_white_that_a_grade_has_put_lower_is_found() -> None:
    light = scene()
    whites = (236, 228, 214)
    graded = np.stack([np.minimum(camera(light)[..., c], white) for c, white in enumerate(whites)], axis=-1)
    response = estimate_response([Pair(graded, light)])
    np.testing.assert_allclose(response.clipped_from, whites, atol=1)
    wanted = true_curve(CAMERA_CURVES["sRGB"])
    np.testing.assert_allclose(response.white, [wanted[white] for white in whites], atol=0.02)
    assert estimate_response([Pair(camera(light), light)]).clipped_from == (250, 250, 250)
    dim = light * np.float32(0.05)  # nothing clips: no white is found where none is
    assert estimate_response([Pair(camera(dim), dim)]).clipped_from == (250, 250, 250)


def test_contrast_tells_light_from_signal() -> None:
    light = scene()
    codes = camera(light)
    assert estimate_response([Pair(codes, light)]).contrast == pytest.approx(2.2, abs=0.2)
    as_signal = (codes / np.float32(255)).astype(np.float32)
    assert estimate_response([Pair(codes, as_signal)]).contrast == pytest.approx(1.0, abs=0.05)


def test_nothing_to_learn_from_is_said() -> None:
    light = scene()
    with pytest.raises(HintError, match="almost no pixel that is well exposed"):
        estimate_response([Pair(np.full(light.shape, 255, np.uint8), light)])
