"""The camera on a device tells of code values and light what it tells on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propagation.hdr import carrying
from propagation.hdr.device_camera import DeviceCamera, codes_of, grey8
from propagation.hdr.motion import grey8 as grey8_on_the_cpu
from propagation.hdr.response import Pair, Response, estimate_response, to_256
from tests.propagation.hdr.scenes import moving
from tests.propagation.test_device_tracker import image, maps


@pytest.fixture(scope="module", params=[250, 230])
def response(request) -> Response:
    """Of an ordinary clip, and of one whose grade has put white lower."""
    pictures, light, _ = moving(frames=1)
    return estimate_response([Pair(np.minimum(pictures[0], request.param if request.param < 250 else 255), light[0])])


def random_codes(dtype: type, shape: tuple[int, int] = (40, 61)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (*shape, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_code_values_and_luma_of_both_depths(dtype):
    code_values = random_codes(dtype, (300, 211))
    codes = codes_of(code_values, "cpu")
    np.testing.assert_array_equal(image(codes), to_256(code_values))
    np.testing.assert_array_equal(image(grey8(codes))[..., 0], grey8_on_the_cpu(code_values))


def test_clipped_and_blind_pixels(response):
    code_values = np.where(np.random.default_rng(1).random((40, 61, 3)) < 0.3, 2, random_codes(np.uint8))
    code_values = code_values.astype(np.uint8)
    codes, camera = codes_of(code_values, "cpu"), DeviceCamera(response, "cpu")
    np.testing.assert_array_equal(image(camera.clipped(codes))[..., 0], carrying.clipped_pixels(code_values, response))
    np.testing.assert_array_equal(image(camera.blind(codes))[..., 0], carrying.blind_pixels(code_values, response))
    assert camera.nearly_white == carrying.nearly_white(response)


def test_what_is_shown_of_light(response):
    log_light = np.random.default_rng(2).uniform(-4, 1.5, (40, 61, 3)).astype(np.float32)
    wanted = carrying.shown_grey(log_light, response, 0.123)
    found = image(DeviceCamera(response, "cpu").shown_grey(maps(log_light), torch.tensor(0.123)))[..., 0]
    # A place within rounding of the border between two steps of the table may fall on either side of it.
    assert (found != wanted).mean() < 0.01 and np.abs(found - wanted).max() <= 2


@pytest.mark.parametrize(
    ("darkest", "brightest", "side"),
    [(0, 255, 0), (4, 46, 0), (0, 3, 0), (0, 255, 50)],
    ids=["steady", "lit alone", "crushed", "hardly any inside"],
)
def test_exposure(response, darkest, brightest, side):
    rng = np.random.default_rng(3)
    code_values = rng.integers(darkest, brightest + 1, (70, 91, 3)).astype(np.uint8)
    log_light = (response.log_light(code_values) - 0.2 + rng.normal(0, 0.1, code_values.shape)).astype(np.float32)
    seen = np.zeros((70, 91), bool)
    seen[side:, side + side // 2 :] = True
    wanted = carrying.Exposure(code_values, response).of(log_light, 0.7, seen)
    exposure = DeviceCamera(response, "cpu").exposure(codes_of(code_values, "cpu"))
    found = exposure.of(maps(log_light), torch.tensor(0.7), maps(seen))
    assert float(found) == pytest.approx(wanted, abs=1e-6)
