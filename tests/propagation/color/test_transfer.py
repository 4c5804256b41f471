"""The curves of sRGB and BT.1886 against their standards' own words."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.color.bt1886 import bt1886_to_linear, linear_to_bt1886
from propagation.color.primaries import rgb_to_xyz, xyz_to_rgb
from propagation.color.srgb import linear_to_srgb, srgb_to_linear


def test_srgb_follows_iec_61966_2_1() -> None:
    for code in range(256):
        signal = code / 255
        literal = signal / 12.92 if signal <= 0.04045 else ((signal + 0.055) / 1.055) ** 2.4
        assert srgb_to_linear(np.array(signal)) == pytest.approx(literal, rel=1e-12)
    # Published: half signal is 21.4 % light, 18 % light is signal 118 of 255.
    assert srgb_to_linear(np.array(0.5)) == pytest.approx(0.21404, abs=1e-5)
    assert round(float(linear_to_srgb(np.array(0.18))) * 255) == 118


def test_bt1886_is_a_power_of_2_4() -> None:
    signal = np.linspace(0, 1, 101)
    np.testing.assert_allclose(bt1886_to_linear(signal), [value**2.4 for value in signal], rtol=1e-12)
    assert bt1886_to_linear(np.array(-0.1)) == linear_to_bt1886(np.array(-0.1)) == 0


@pytest.mark.parametrize(
    ("forth", "back"), [(srgb_to_linear, linear_to_srgb), (bt1886_to_linear, linear_to_bt1886)], ids=["sRGB", "BT.1886"]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_curves_are_inverses_monotone_and_keep_their_type(forth, back, dtype) -> None:  # type: ignore[no-untyped-def]
    signal = np.linspace(0, 1, 4097, dtype=dtype)
    linear = forth(signal)
    assert linear.dtype == dtype
    assert (np.diff(linear) > 0).all()
    assert (linear[0], linear[-1]) == (0, 1)
    np.testing.assert_allclose(back(linear), signal, atol=1e-6 if dtype == np.float32 else 3e-8)


def test_published_matrix_of_srgb() -> None:
    """IEC 61966-2-1, equation 7: four digits are published."""
    white = np.array([0.9505, 1.0, 1.0890])
    published = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    np.testing.assert_allclose(rgb_to_xyz(1) * white[:, None], published, atol=2e-4)


@pytest.mark.parametrize("primaries", [1, 5, 6, 7, 9, 12])
def test_white_is_one_and_the_luminance_row_is_positive(primaries: int) -> None:
    np.testing.assert_allclose(rgb_to_xyz(primaries).sum(axis=1), 1, atol=1e-12)
    assert (rgb_to_xyz(primaries)[1] > 0).all()
    np.testing.assert_allclose(xyz_to_rgb(primaries) @ rgb_to_xyz(primaries), np.eye(3), atol=1e-12)


def test_luma_weights_of_bt2020() -> None:
    np.testing.assert_allclose(rgb_to_xyz(9)[1], [0.2627, 0.6780, 0.0593], atol=5e-5)


def test_unknown_primaries_are_read_as_bt709() -> None:
    np.testing.assert_array_equal(rgb_to_xyz(11), rgb_to_xyz(1))
