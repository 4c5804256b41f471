"""Primaries conversion against the matrices that standards print, and against colour-science."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.color.primaries import BT709, BT2020, DISPLAY_P3, Chromaticities, rgb_to_rgb

AP0 = Chromaticities((0.7347, 0.2653), (0.0, 1.0), (0.0001, -0.077), (0.32168, 0.33767))


def test_bt709_to_bt2020_is_the_matrix_of_bt2087() -> None:
    published = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    np.testing.assert_allclose(rgb_to_rgb(BT709, BT2020), published, atol=5e-5)


def test_bt2020_to_bt709_is_the_matrix_of_bt2407() -> None:
    published = [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
    np.testing.assert_allclose(rgb_to_rgb(BT2020, BT709), published, atol=6e-5)


@pytest.mark.parametrize("source", [BT709, BT2020, DISPLAY_P3, AP0])
@pytest.mark.parametrize("target", [BT709, BT2020, DISPLAY_P3, AP0])
def test_white_stays_white_and_the_way_back_leads_back(source: Chromaticities, target: Chromaticities) -> None:
    forth, back = rgb_to_rgb(source, target), rgb_to_rgb(target, source)
    np.testing.assert_allclose(forth @ np.ones(3), 1, atol=1e-12)
    np.testing.assert_allclose(back @ forth, np.eye(3), atol=1e-12)


def test_the_same_primaries_change_nothing() -> None:
    stored = Chromaticities(*(tuple(np.float32(c).tolist()) for c in (BT709.red, BT709.green, BT709.blue, BT709.white)))
    np.testing.assert_array_equal(rgb_to_rgb(stored, BT709), np.eye(3))


def test_against_colour_science() -> None:
    colour = pytest.importorskip("colour", reason="colour-science is the oracle")
    spaces = colour.RGB_COLOURSPACES
    aces = colour.matrix_RGB_to_RGB(spaces["ACES2065-1"], spaces["ITU-R BT.709"], "Bradford")
    np.testing.assert_allclose(rgb_to_rgb(AP0, BT709), aces, atol=1e-3)
    p3 = colour.matrix_RGB_to_RGB(spaces["Display P3"], spaces["ITU-R BT.2020"], None)
    np.testing.assert_allclose(rgb_to_rgb(DISPLAY_P3, BT2020), p3, atol=1e-3)
