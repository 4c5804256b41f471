"""PQ, HLG and BT.2020 against the tables of their standards, and against colour-science."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.color.bt2020 import LUMINANCE_WEIGHTS, bt2020_inverse_oetf, bt2020_oetf
from propagation.color.hlg import hlg_eotf, hlg_inverse_oetf, hlg_oetf, hlg_ootf, hlg_system_gamma
from propagation.color.pq import pq_eotf, pq_inverse_eotf
from propagation.color.primaries import BT2020, rgb_to_xyz


def test_pq_at_the_values_that_are_published() -> None:
    # ITU-R BT.2408-5: 203 cd/m2 is 58 % PQ; BT.2390: 100 cd/m2 is 0.508, 1000 cd/m2 is 0.752, 4000 cd/m2 0.9026.
    for nits, signal in ((203, 0.5807), (100, 0.5081), (1000, 0.7518), (4000, 0.9026), (10000, 1.0)):
        assert float(pq_inverse_eotf(np.array(float(nits)))) == pytest.approx(signal, abs=1e-4)
    assert float(pq_eotf(np.array(0.5))) == pytest.approx(92.2457, abs=1e-3)
    assert float(pq_eotf(np.array(0.0))) == 0


def test_hlg_at_the_values_that_are_published() -> None:
    # BT.2100 table 5: the two halves meet at 1/12 and one half; the whole ends at 1. BT.2408: 75 % is 203 cd/m2.
    assert float(hlg_oetf(np.array(1 / 12))) == pytest.approx(0.5)
    assert float(hlg_oetf(np.array(1.0))) == pytest.approx(1.0, abs=1e-7)
    assert float(hlg_inverse_oetf(np.array(0.75))) == pytest.approx(0.2650, abs=1e-4)
    np.testing.assert_allclose(hlg_eotf(np.full(3, 0.75)), 203, atol=1)
    assert hlg_system_gamma(1000) == 1.2
    assert hlg_system_gamma(2000) == pytest.approx(1.326, abs=1e-3)


def test_hlg_ootf_leaves_grey_grey_and_ends_at_the_peak() -> None:
    np.testing.assert_allclose(hlg_ootf(np.ones(3)), 1000, rtol=1e-4)
    shown = hlg_ootf(np.full(3, 0.18))
    assert np.ptp(shown) < 1e-9
    assert shown[0] == pytest.approx(1000 * 0.18**1.2, rel=1e-4)


def test_bt2020_at_the_values_that_are_published() -> None:
    # Table 4: alpha 1.0993 and beta 0.0181 in 12 bits.
    assert float(bt2020_oetf(np.array(0.0181))) == pytest.approx(4.5 * 0.0181, abs=1e-4)
    assert float(bt2020_oetf(np.array(0.5))) == pytest.approx(1.0993 * 0.5**0.45 - 0.0993, abs=1e-5)
    assert float(bt2020_oetf(np.array(1.0))) == pytest.approx(1.0)
    # The luminance weights are those of the primaries themselves, to the four digits of the standard.
    np.testing.assert_allclose(rgb_to_xyz(9)[1], LUMINANCE_WEIGHTS, atol=5e-5)
    assert BT2020.white == (0.3127, 0.3290)


@pytest.mark.parametrize(
    ("forth", "back", "top"),
    [(pq_eotf, pq_inverse_eotf, 10000), (hlg_inverse_oetf, hlg_oetf, 1), (bt2020_inverse_oetf, bt2020_oetf, 1)],
    ids=["PQ", "HLG", "BT.2020"],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_curves_are_inverses_monotone_and_keep_their_type(forth, back, top, dtype) -> None:  # type: ignore[no-untyped-def]
    signal = np.linspace(0, 1, 4097, dtype=dtype)
    light = forth(signal)
    assert light.dtype == dtype
    # PQ's first steps are below what float32 tells apart in V^(1/m2).
    assert (np.diff(light) > 0).all() if dtype == np.float64 else (np.diff(light) >= 0).all()
    assert light[0] == 0
    assert float(light[-1]) == pytest.approx(top, rel=1e-6)
    # float32 holds V^(1/78.8) near 1 to 6e-8, which PQ's root magnifies by 79; PQ's black is signal 7e-7.
    np.testing.assert_allclose(back(light), signal, atol=4e-5 if dtype == np.float32 else 1e-6)


def test_every_16_bit_pq_code_comes_back_through_float32_light() -> None:
    codes = np.arange(65536)
    light = pq_eotf(codes / 65535).astype(np.float32)
    back = np.rint(pq_inverse_eotf(light.astype(np.float64)) * 65535)
    np.testing.assert_array_equal(back, codes)


def test_curves_against_colour_science() -> None:
    colour = pytest.importorskip("colour", reason="colour-science is the oracle")
    signal = np.linspace(0, 1, 513)
    np.testing.assert_allclose(pq_eotf(signal), colour.models.eotf_ST2084(signal), rtol=1e-9, atol=1e-9)
    scene = np.linspace(0, 1, 513)
    np.testing.assert_allclose(hlg_oetf(scene), colour.models.oetf_BT2100_HLG(scene), atol=1e-9)
    np.testing.assert_allclose(hlg_inverse_oetf(signal), colour.models.oetf_inverse_BT2100_HLG(signal), atol=1e-9)
    np.testing.assert_allclose(bt2020_oetf(scene), colour.models.oetf_BT2020(scene, is_12_bits_system=True), atol=1e-4)
    color = np.random.default_rng(0).uniform(0, 1, (64, 3))
    np.testing.assert_allclose(hlg_eotf(color), colour.models.eotf_BT2100_HLG(color, L_W=1000), rtol=1e-4, atol=1e-6)
