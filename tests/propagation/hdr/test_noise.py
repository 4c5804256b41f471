"""Noise is measured as it was made, taken off where the key tells what lies under it, and never more than of it."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.bench.panoramas import expose
from propagation.color.srgb import srgb_to_linear
from propagation.hdr.carrying import log_of
from propagation.hdr.merging import merge, source_share
from propagation.hdr.noise import FARTHEST
from propagation.hdr.response import Pair, Response, estimate_response
from tests.propagation.hdr.scenes import camera, moving

FULL_WELL = 1500.0  # photons of white: noise of 2.6 % there


@pytest.fixture(scope="module")
def noisy() -> tuple[np.ndarray, np.ndarray, Response]:
    """A frame, its light, and the camera as another frame with other noise tells it."""
    light = moving(2)[1]
    frames = [expose(x, 1.0, "sRGB", FULL_WELL, np.random.default_rng(n)) for n, x in enumerate(light)]
    return frames[1], light[1], estimate_response([Pair(frames[0], light[0])])


def well_exposed(codes: np.ndarray, response: Response) -> np.ndarray:
    table = source_share(256, response)
    return np.stack([table[codes[..., c], c] for c in range(3)], axis=-1) == 1


def test_noise_is_measured_at_every_code_value(noisy) -> None:  # type: ignore[no-untyped-def]
    response = noisy[2]
    for code in (80, 120, 160, 200):
        light = float(srgb_to_linear(np.array(code / 255)))
        slope = (np.log10(srgb_to_linear(np.array((code + 1) / 255))) - np.log10(light))
        shot = np.log10(np.e) / np.sqrt(FULL_WELL * light)
        assert response.noise[code, 1] == pytest.approx(np.hypot(shot, slope / np.sqrt(12)), rel=0.25)


def test_a_clip_without_noise_still_has_its_rounding() -> None:
    pictures, light, _ = moving(1)
    for codes in (pictures[0], camera(light[0], white=65535)):
        response = estimate_response([Pair(codes, light[0])])
        step = np.gradient(response.curve[:, 1])[128] * 255 / np.iinfo(codes.dtype).max
        # At 16 bits it is the smooth curve's own misfit, a thirtieth of an 8-bit step.
        assert step / np.sqrt(12) * 0.99 < response.noise[128, 1] < (10 if codes.dtype == np.uint16 else 2) * step


def test_noise_goes_where_the_key_tells_what_lies_under_it(noisy) -> None:  # type: ignore[no-untyped-def]
    codes, light, response = noisy
    inside = well_exposed(codes, response)
    kept = merge(codes, response, 0.0, log_of(light), keep_noise=True)
    freed = merge(codes, response, 0.0, log_of(light))
    errors = [float(np.sqrt(np.mean((x - log_of(light))[inside] ** 2))) for x in (kept, freed)]
    assert errors[1] < 0.5 * errors[0]
    # A key whose light is off as a whole does not pull the clip along.
    off = merge(codes, response, 0.0, log_of(light) + np.float32(0.2))
    assert abs(float((off - log_of(light))[inside].mean())) < 0.005


def test_what_the_key_knows_nothing_of_stays(noisy) -> None:  # type: ignore[no-untyped-def]
    codes, light, response = noisy
    inside = well_exposed(codes, response)
    kept = merge(codes, response, 0.0, log_of(light), keep_noise=True)
    wrong = merge(codes, response, 0.0, np.ascontiguousarray(log_of(light)[::-1, ::-1]))
    limit = FARTHEST * np.stack([response.noise[codes[..., c], c] for c in range(3)], axis=-1)
    assert (np.abs(wrong - kept)[inside] <= limit[inside] * 1.001).all()
    errors = [float(np.sqrt(np.mean((x - log_of(light))[inside] ** 2))) for x in (kept, wrong)]
    assert errors[1] < 1.05 * errors[0], "no detail is lost to a key that has missed"
