"""Keys against frames: what is followed, what is said, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propagation.color.pq import pq_inverse_eotf
from propagation.color.primaries import BT709
from propagation.errors import HintError
from propagation.hdr.keys import HdrKey, check_alike, read_key
from propagation.hdr.registration import check_coding, find_shift, pair_of, register
from propagation.hdr.response import estimate_response
from propagation.video.hdr_images import HdrImage
from propagation.video.hdr_writer import write_hdr
from tests.propagation.hdr.scenes import HEIGHT, WIDTH, camera, scene, view


def key_of(light: np.ndarray) -> HdrKey:
    return HdrKey(0, Path("key.exr"), HdrImage(light), light)


def test_a_key_in_its_place_is_reported_as_such() -> None:
    light = view(scene(), 0, 0)
    codes = camera(light)
    key = key_of(light * np.float32(3))
    shift, alike = find_shift(codes, key)
    assert shift == (0, 0)
    assert alike > 0.95
    response = estimate_response([pair_of(codes, key, shift)])
    report = register(codes, key, shift, alike, response, 0)
    assert report.exposure_stops == 0
    assert report.clipped == pytest.approx((codes >= 250).any(axis=-1).mean())
    # The brightest lamp is about 20 times white.
    assert report.headroom_stops == pytest.approx(np.log2(20), abs=0.5)
    assert report.residual_stops < 0.05
    assert "shifted" not in report.words()


def test_a_small_shift_is_measured_and_followed() -> None:
    whole = scene()
    codes = camera(view(whole, 0, 0))
    key = key_of(view(whole, -1.0, -2.0))  # the frame's point p lies at p + (1, 2) in this picture
    shift, _ = find_shift(codes, key)
    assert shift == pytest.approx((1.0, 2.0), abs=0.3)
    assert estimate_response([pair_of(codes, key, shift)]).residual_stops < 0.1


def test_another_picture_and_a_large_shift_are_refused() -> None:
    whole = scene()
    codes = camera(view(whole, 0, 0))
    with pytest.raises(HintError, match="does not show what frame 0 shows"):
        find_shift(codes, key_of(np.ascontiguousarray(view(whole, 0, 0)[::-1, ::-1])))
    with pytest.raises(HintError, match="shifted by"):
        find_shift(codes, key_of(view(whole, -8, 3)))


def test_light_that_no_camera_explains_is_refused() -> None:
    light = view(scene(), 0, 0)
    codes = camera(light)
    other = light * np.exp(np.random.default_rng(0).normal(0, 1.5, light.shape[:2]))[..., None].astype(np.float32)
    response = estimate_response([pair_of(codes, key_of(light), (0, 0))])
    with pytest.raises(HintError, match="does not follow from the frame by any camera curve"):
        register(codes, key_of(other), (0, 0), 1.0, response, 0)


def test_pq_code_values_taken_for_light_are_noticed() -> None:
    light = view(scene(), 0, 0)
    codes = camera(light)
    as_linear = pq_inverse_eotf(light.astype(np.float64) * 203).astype(np.float32)
    key = key_of(as_linear)
    with pytest.raises(HintError, match="coded .*--key-encoding"):
        check_coding(key, estimate_response([pair_of(codes, key, (0, 0))]))
    assert check_coding(key_of(light), estimate_response([pair_of(codes, key_of(light), (0, 0))])) == ""
    gamma = key_of(light ** np.float32(1 / 2.2))
    assert "gamma" in check_coding(gamma, estimate_response([pair_of(codes, gamma, (0, 0))]))


def write(path: Path, light: np.ndarray, **more: object) -> Path:
    """A float TIFF, which holds anything."""
    write_hdr(path, light.astype(np.float32), HdrImage(light, **more))  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda light: np.where(light > 1, np.nan, light), "NaN or infinite values in .* pixels, the first at"),
        (lambda light: np.where(light > 1, np.inf, light), "NaN or infinite"),
        (lambda light: light * 0, "holds no light"),
        (lambda light: -light, "holds no light"),
        (lambda light: light[:, :-2], "94x64 pixels and the clip is 96x64, of another aspect"),
        (lambda light: np.repeat(np.repeat(light, 2, 0), 2, 1), "192x128 pixels and the clip is 96x64"),
        (lambda light: light.transpose(1, 0, 2), "lies on its side"),
    ],
)
def test_keys_that_cannot_be_right(tmp_path: Path, spoil, words: str) -> None:  # type: ignore[no-untyped-def]
    light = spoil(view(scene(), 0, 0)).astype(np.float32)
    path = write(tmp_path / "key.tif", light)
    with pytest.raises(HintError, match=words):
        read_key(0, path, WIDTH, HEIGHT, BT709)


def test_negative_values_stay_in_the_key_and_count_as_no_light(tmp_path: Path) -> None:
    light = view(scene(), 0, 0)
    light[3:5, 7:9] = -0.25
    key = read_key(0, write(tmp_path / "key.tif", light), WIDTH, HEIGHT, BT709)
    np.testing.assert_array_equal(key.picture.image, light)
    assert key.light.min() == 0
    assert "negative" in key.notes[0]


def test_keys_in_different_units_contradict_each_other() -> None:
    light = view(scene(), 0, 0)
    other = HdrKey(4, Path("b.exr"), HdrImage(light, white_nits=100.0), light)
    with pytest.raises(HintError, match="contradict each other"):
        check_alike([key_of(light), other])
