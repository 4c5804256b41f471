"""Light carried as tensor operations is about as good as the CPU's, and where the GPU is lost it is the CPU's.

"cpu:0" stands for the GPU.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from kernels.errors import DEVICE_LOG
from propagation.bench.panoramas import ClipRanges, make_clip
from propagation.hdr import device_camera, device_filling, device_motion, device_walk, separable
from propagation.hdr.carrying import CarriedLight, KeyLight, MotionCarrier, log_of
from propagation.hdr.device_walk import DeviceCarrier, DeviceWalk
from propagation.hdr.response import Pair, estimate_response
from propagation.hdr.sequence import carry_light
from propagation.spool import Spool
from tests.propagation.hdr.scenes import HEIGHT, WIDTH, moving, scene

ROOT = Path(__file__).resolve().parents[3]
LOST = RuntimeError("CUDA error: device-side assert triggered")
FULL = torch.OutOfMemoryError("CUDA out of memory.")
PICTURES, LIGHT, EXPOSURES = moving()
RESPONSE = estimate_response([Pair(PICTURES[0], LIGHT[0])])
KEYS = {n: KeyLight(log_of(LIGHT[n]), RESPONSE) for n in (0, 4)}
PLANES = ("log_light", "error", "positions")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Frames are small here: threads would wait for one another at every operation's end."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def walked(carrier: DeviceCarrier | MotionCarrier, frames=PICTURES.__getitem__, **how) -> list[CarriedLight]:
    return list(carrier.walk(frames, range(1, 5), 0, KEYS[0], **how))


def assert_same(one, other) -> None:
    """The same arithmetic gives another last bit now and then, by where in memory its arrays lie."""
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def off(carried: list[CarriedLight], pictures, light) -> float:
    """RMSE of log10 light on clipped pixels."""
    errors = [(each.log_light - log_of(light[each.index]))[(pictures[each.index] >= 250).any(-1)] for each in carried]
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_on_a_device_light_is_about_as_good_as_on_the_cpu(seed):
    clip = make_clip(scene(), "scene", seed, ClipRanges(size=(96, 64), frames=7, pan_px=1.5))
    response = estimate_response([Pair(clip.frames[0], clip.truth[0])])
    errors = []
    for carrier in (MotionCarrier(), DeviceCarrier("cpu:0")):
        key = KeyLight(log_of(clip.truth[0]), response)
        carried = list(carrier.walk(clip.frames.__getitem__, range(1, 7), 0, key))
        assert [each.index for each in carried] == list(range(1, 7))
        errors.append(off(carried, clip.frames, clip.truth))
    assert errors[1] < 1.05 * errors[0] + 0.002


def test_what_comes_out_is_what_the_cpu_gives():
    for one, other in zip(walked(DeviceCarrier("cpu:0")), walked(MotionCarrier()), strict=True):
        assert (one.index, one.key) == (other.index, other.key)
        assert one.log_exposure == pytest.approx(other.log_exposure, abs=0.005)
        for plane in PLANES:
            found, wanted = getattr(one, plane), getattr(other, plane)
            assert found.shape == wanted.shape and found.dtype == np.float32 and np.isfinite(found).all()
        assert np.median(np.abs(one.positions - other.positions)) < 0.1
        assert np.median(np.abs(one.log_light - other.log_light)) < 0.01
        assert np.median(np.abs(one.error - other.error)) < 0.01


def test_exposure_is_followed_and_deeper_frames_are_carried_too():
    deep = [picture.astype(np.uint16) * 257 for picture in PICTURES]
    carried = [walked(DeviceCarrier("cpu:0"), frames.__getitem__) for frames in (PICTURES, deep)]
    for eight, sixteen in zip(*carried, strict=True):
        assert 10**eight.log_exposure == pytest.approx(EXPOSURES[eight.index], rel=0.01)
        assert_same(sixteen.log_light, eight.log_light)


def test_code_values_go_in_once_and_nothing_waits_for_the_device(monkeypatch):
    """On the device "meta" tensors have no values: whatever asks for one raises."""
    walk, went_in, real = DeviceWalk(PICTURES[0], KEYS[0], "meta"), [], device_camera.to_device
    for module in (device_camera, device_motion, device_walk, separable):
        monkeypatch.setattr(module, "to_device", lambda image, device: went_in.append(image) or real(image, device))
    monkeypatch.setattr(device_filling, "scan4", lambda seeds, *_, **__: seeds)
    rows = [walk.step(picture) for picture in PICTURES[1:3]]
    assert [each.shape for each in went_in] == [(HEIGHT, WIDTH, 3)] * 2
    assert [row.shape for row in rows] == [(6 * HEIGHT * WIDTH + 1,)] * 2
    with pytest.raises(RuntimeError):
        float(rows[0][-1])


def failing_at(call: int, error: Exception, name: str, monkeypatch) -> None:
    """`DeviceWalk`, whose method raises `error` at its call number `call`, and ever after."""
    real, calls = getattr(DeviceWalk, name), []

    def checked(self, *arguments):
        calls.append(1)
        if len(calls) >= call:
            raise error
        return real(self, *arguments)

    monkeypatch.setattr(DeviceWalk, name, checked)


@pytest.mark.parametrize("error", [LOST, FULL])
@pytest.mark.parametrize(
    ("call", "name", "alike"), [(1, "__init__", 0), (1, "step", 0), (3, "step", 2), (4, "step", 3), (5, "_show", 2)]
)
def test_where_the_gpu_is_lost_the_cpu_goes_on_from_the_key_to_the_same_frame(
    call, name, alike, error, monkeypatch, caplog
):
    alone, on_the_device = walked(MotionCarrier()), walked(DeviceCarrier("cpu:0"))
    failing_at(call, error, name, monkeypatch)
    carrier = DeviceCarrier("cpu:0")
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        found = walked(carrier)
    assert carrier.device == "cpu" and len(caplog.messages) == 1 and "CPU" in caplog.messages[0]
    for one, other in zip(found, [*on_the_device[:alike], *alone[alike:]], strict=True):
        assert one.index == other.index
        assert_same(one.log_exposure, other.log_exposure)
        for plane in PLANES:
            assert_same(getattr(one, plane), getattr(other, plane))
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        again = walked(carrier)
    assert len(caplog.messages) == 1, "it is said once"
    assert_same(again[-1].log_light, alone[-1].log_light)


def test_a_gpu_that_fails_while_light_leaves_it(monkeypatch, caplog):
    """Work is queued: what went wrong in it may be told only when its result is asked for."""

    class Late:
        def cpu(self):
            raise LOST

    monkeypatch.setattr(DeviceWalk, "step", lambda *_: Late())
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        found = walked(DeviceCarrier("cpu:0"))
    assert len(caplog.messages) == 1
    assert_same(found[0].log_light, walked(MotionCarrier())[0].log_light)


def test_other_errors_pass_through(monkeypatch, caplog):
    failing_at(2, ValueError("no failure of a GPU"), "step", monkeypatch)
    with pytest.raises(ValueError, match="no failure"):
        walked(DeviceCarrier("cpu:0"))
    assert not caplog.messages


def test_frames_are_read_once_and_in_order():
    read = []
    walked(DeviceCarrier("cpu:0"), lambda n: read.append(n) or PICTURES[n])
    assert read == [0, 1, 2, 3, 4]


def test_between_two_keys_the_gpu_may_be_lost_on_the_way_back(monkeypatch):
    keys = dict(KEYS)
    wanted = dict(carry_light(PICTURES.__getitem__, keys, 0, 5, carrier=DeviceCarrier("cpu:0")))
    assert [n for n, sides in wanted.items() if len(sides) == 2] == [1, 2, 3]
    failing_at(5, LOST, "step", monkeypatch)
    found = dict(carry_light(PICTURES.__getitem__, keys, 0, 5, carrier=DeviceCarrier("cpu:0")))
    assert_same(found[2][1].log_light, wanted[2][1].log_light)
    alone = list(MotionCarrier().walk(PICTURES.__getitem__, range(1, 4), 0, keys[0]))
    assert np.abs(found[3][0].log_light - alone[2].log_light).mean() < 0.01


def test_motion_that_the_cpu_has_shared_is_not_spoiled():
    with Spool() as steps:
        found = walked(DeviceCarrier("cpu:0"), steps=steps)
        assert len(found) == 4 and not any(n in steps for n in range(5))


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (15, 15), (17, 33)])
def test_tiny_frames(shape):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (2, *shape, 3)).astype(np.uint8)
    key = KeyLight(RESPONSE.log_light(codes[0]), RESPONSE)
    (carried,) = DeviceCarrier("cpu:0").walk(codes.__getitem__, [1], 0, key)
    (alone,) = MotionCarrier().walk(codes.__getitem__, [1], 0, key)
    assert np.isfinite(carried.log_light).all() and carried.error.shape == shape
    if min(shape) < 16:
        np.testing.assert_allclose(carried.log_light, alone.log_light, atol=1e-3)


def test_nothing_of_cuda_is_started_at_import():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('numba', 'av', 'cupy', 'scipy'))); "
        "import propagation.hdr.device_walk, torch; assert not torch.cuda.is_initialized()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
