"""`propagate --property hdr`: keys come out as they went in, the light between them is right, bad input is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

import app.hdr
from app.cli import hdr as hdr_options
from app.hdr import HdrSettings, hdr_job
from app.pipeline import real
from app.progress import Cancelled, CancelToken
from propagation.bench.panoramas import expose
from propagation.color.pq import pq_inverse_eotf
from propagation.color.primaries import BT709, BT2020
from propagation.color.tonemap import CURVES
from propagation.hdr.carrying import LightCarrier, MotionCarrier
from propagation.hdr.device_walk import DeviceCarrier, DeviceWalk
from propagation.video.cicp import Cicp, with_cicp
from propagation.video.exr import read_exr, write_exr
from propagation.video.hdr_images import ENCODINGS, HdrImage, read_hdr
from propagation.video.hdr_writer import write_hdr
from propagation.video.reader import open_clip
from tests.app import fakes
from tests.app.conftest import Ran, write_png
from tests.app.test_bad_input import assert_refused, leftovers
from tests.propagation.hdr.scenes import camera, moving

Run = Callable[..., Ran]
FRAMES = 5
# log10 of light; the carried highlights of the small scene are within 7 % of the truth.
CARRIED = 0.03


@pytest.fixture(autouse=True)
def small_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """No search for cuts: the clip has none."""
    monkeypatch.setattr(app.hdr, "real", fakes.pipeline)


@pytest.fixture
def ldr(tmp_path: Path) -> Path:
    """Five 8-bit pictures of a panning camera."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for n, picture in enumerate(moving(FRAMES)[0]):
        write_png(folder / f"{n:03d}.png", picture)
    return folder


@pytest.fixture
def light() -> list[np.ndarray]:
    """The truth, in half precision."""
    return [x.astype(np.float16).astype(np.float32) for x in moving(FRAMES)[1]]


@pytest.fixture
def key(tmp_path: Path, light: list[np.ndarray]) -> Path:
    """The first frame's light as EXR."""
    write_exr(tmp_path / "key.exr", light[0])
    return tmp_path / "key.exr"


def log_error(picture: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    apart = np.log10(np.maximum(picture, 1e-4)) - np.log10(np.maximum(truth, 1e-4))
    return float(np.sqrt(np.mean(apart[mask] ** 2)))


@pytest.mark.parametrize("compression", ["zip", "piz"])
def test_one_key_makes_an_hdr_sequence(
    run_cli: Run, ldr: Path, key: Path, light: list[np.ndarray], tmp_path: Path, compression: str
) -> None:
    out = tmp_path / "out" / "%04d.exr"
    ran = run_cli(
        "propagate", ldr, "--property", "hdr", "--key", f"0={key}", "-o", out, "--compression", compression
    )
    assert ran.code == 0, ran.err
    assert "5 frames, 5 of them reached by a key" in ran.out
    assert "Key of frame 0: exposure +0.00 stops" in ran.err
    first = read_exr(tmp_path / "out" / "0000.exr")
    np.testing.assert_array_equal(first.image, light[0])
    assert first.is_half
    assert first.chromaticities.is_like(BT709)
    pictures = moving(FRAMES)[0]
    for n in range(1, FRAMES):
        found = read_exr(tmp_path / "out" / f"{n:04d}.exr").image
        clipped = (pictures[n] >= 250).all(axis=-1)
        open_ = ((pictures[n] > 60) & (pictures[n] < 230)).all(axis=-1)
        assert log_error(found, light[n], clipped) < CARRIED
        assert log_error(found, light[n], open_) < 0.01


def test_two_keys_and_the_range_between(
    run_cli: Run, ldr: Path, key: Path, light: list[np.ndarray], tmp_path: Path
) -> None:
    last = tmp_path / "last.exr"
    write_exr(last, light[4])
    keys = ("--key", f"0={key}", "--key", f"4={last}")
    out = tmp_path / "out"
    ran = run_cli("propagate", ldr, "--property", "hdr", *keys, "-o", out, "--range", "1:5", "--progress", "json")
    assert ran.code == 0, ran.err
    done = json.loads(ran.out.splitlines()[-1])
    assert (done["frames"], done["reached"]) == (4, 4)
    assert [path.name for path in sorted(out.iterdir())] == [f"{n:05d}.exr" for n in range(1, 5)]
    np.testing.assert_array_equal(read_exr(out / "00004.exr").image, light[4])
    clipped = (moving(FRAMES)[0][2] >= 250).all(axis=-1)
    assert log_error(read_exr(out / "00002.exr").image, light[2], clipped) < CARRIED


def test_a_float_key_in_other_primaries_keeps_all_of_it(run_cli: Run, ldr: Path, tmp_path: Path) -> None:
    from propagation.video.hdr_images import converted

    wide = converted(moving(1)[1][0] * np.float32(5000.1), BT709, BT2020)
    wide[2, 3] = (-0.5, 1e5, 2.0)
    write_exr(tmp_path / "wide.exr", wide, pixel_type="float", chromaticities=BT2020, white_nits=100.0)
    ran = run_cli("propagate", ldr, "--property", "hdr", "--key", f"0={tmp_path / 'wide.exr'}", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "negative values" in ran.err
    first, later = (read_exr(tmp_path / "out" / f"{n:05d}.exr") for n in (0, 3))
    np.testing.assert_array_equal(first.image, wide)
    for picture in (first, later):
        assert not picture.is_half
        assert picture.chromaticities.is_like(BT2020)
        assert picture.white_nits == 100.0
    open_ = ((moving(FRAMES)[0][3] > 60) & (moving(FRAMES)[0][3] < 230)).all(axis=-1)
    truth = converted(moving(FRAMES)[1][3] * np.float32(5000.1), BT709, BT2020)
    assert log_error(later.image, truth, open_) < 0.01


def test_pq_in_pq_out_with_the_key_untouched(run_cli: Run, ldr: Path, light: list[np.ndarray], tmp_path: Path) -> None:
    write_hdr(tmp_path / "key.png", light[0], HdrImage(light[0]))
    out = tmp_path / "out" / "%05d.png"
    ran = run_cli("propagate", ldr, "--property", "hdr", "--key", f"0={tmp_path / 'key.png'}", "-o", out)
    assert ran.code == 0, ran.err
    codes = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (tmp_path / "key.png", tmp_path / "out/00000.png")]
    np.testing.assert_array_equal(*codes)
    assert read_hdr(tmp_path / "out" / "00002.png").encoding == "pq"


def test_a_preview_comes_along(run_cli: Run, ldr: Path, key: Path, tmp_path: Path) -> None:
    preview = tmp_path / "preview.mp4"
    arguments = ("propagate", ldr, "--property", "hdr", "--key", f"0={key}", "-o", tmp_path / "out")
    assert run_cli(*arguments, "--preview", preview, "--tone-curve", "reinhard").code == 0
    with open_clip(preview) as clip:
        assert clip.info.frame_count == FRAMES
        assert clip.info.bit_depth == 8
        assert np.ptp(clip.frame(3).image) > 100


def test_deep_sources_stay_deep(run_cli: Run, light: list[np.ndarray], key: Path, tmp_path: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    for n in range(3):
        write_png(folder / f"{n}.png", camera(moving(3)[1][n], 1.05**n, 65535))  # type: ignore[arg-type]
    arguments = ("propagate", folder, "--property", "hdr", "--key", f"0={key}", "-o", tmp_path / "out")
    assert run_cli(*arguments, "--pixel-type", "float").code == 0
    found = read_exr(tmp_path / "out" / "00002.exr").image
    open_ = ((found > 0.1) & (found < 0.8)).all(axis=-1)
    assert len(np.unique(found[open_])) > 2000
    assert log_error(found, light[2], open_) < 0.004


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda x: np.where(x > 1, np.nan, x), ["key.tif", "NaN or infinite"]),
        (lambda x: np.where(x > 1, np.inf, x), ["key.tif", "NaN or infinite"]),
        (lambda x: x * 0, ["holds no light"]),
        (lambda x: x[:, :-8], ["88x64", "96x64", "resampled"]),
        (lambda x: x[::-1, ::-1], ["does not show what frame 0 shows"]),
        (lambda x: pq_inverse_eotf(x.astype(np.float64) * 203), ["--key-encoding"]),
    ],
    ids=["nan", "inf", "zero", "size", "other picture", "pq as linear"],
)
def test_keys_that_cannot_be_right(  # type: ignore[no-untyped-def]
    run_cli: Run, ldr: Path, light: list[np.ndarray], tmp_path: Path, spoil, words: list[str]
) -> None:
    picture = np.ascontiguousarray(spoil(light[0]), np.float32)
    write_hdr(tmp_path / "key.tif", picture, HdrImage(picture))
    ran = run_cli("propagate", ldr, "--property", "hdr", "--key", f"0={tmp_path / 'key.tif'}", "-o", tmp_path / "out")
    assert_refused(ran, 3, *words)
    assert not (tmp_path / "out").exists()


def test_pictures_that_are_no_hdr_keys(run_cli: Run, ldr: Path, light: list[np.ndarray], tmp_path: Path) -> None:
    eight = write_png(tmp_path / "eight.png", camera(light[0]))
    codes = np.rint(65535 * pq_inverse_eotf(light[0].astype(np.float64) * 203)).astype(np.uint16)
    png = cv2.imencode(".png", np.ascontiguousarray(codes[..., ::-1]))[1].tobytes()
    tagged = tmp_path / "tagged_as_709.png"
    tagged.write_bytes(with_cicp(png, Cicp(1, 1)))
    arguments = ("propagate", ldr, "--property", "hdr", "-o", tmp_path / "out", "--key")
    assert_refused(run_cli(*arguments, f"0={eight}"), 3, "eight.png", "8-bit")
    assert_refused(run_cli(*arguments, f"0={tagged}"), 3, "tagged as an ordinary picture", "--key-encoding")
    assert_refused(run_cli(*arguments, f"9={eight}"), 3, "outside the clip")
    assert run_cli(*arguments, f"0={tagged}", "--key-encoding", "pq").code == 0


def test_a_clip_that_is_hdr_already(run_cli: Run, key: Path, light: list[np.ndarray], tmp_path: Path) -> None:
    arguments = ("--property", "hdr", "--key", f"0={key}", "-o", tmp_path / "out")
    folder = tmp_path / "exr"
    folder.mkdir()
    for n in range(2):
        write_exr(folder / f"{n}.exr", light[n])
    assert_refused(run_cli("propagate", folder, *arguments), 3, "HDR already")
    pq = tmp_path / "pq"
    pq.mkdir()
    for n in range(2):
        write_hdr(pq / f"{n}.png", light[n], HdrImage(light[n]))
    assert_refused(run_cli("propagate", pq, *arguments), 3, "HDR already (PQ)")


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_a_video_that_says_it_is_hdr(run_cli: Run, key: Path, tmp_path: Path, transfer: int, name: str) -> None:
    path = tmp_path / "hdr.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = transfer, 9
        for picture in moving(2)[0]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    ran = run_cli("propagate", path, "--property", "hdr", "--key", f"0={key}", "-o", tmp_path / "out")
    assert_refused(ran, 3, f"HDR already ({name})", "Give an ordinary clip")
    assert not (tmp_path / "out").exists()


def test_noise_is_kept_where_that_is_asked_for(
    run_cli: Run, key: Path, light: list[np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "noisy"
    folder.mkdir()
    for n in range(3):
        picture = expose(moving(3)[1][n], 1.0, "sRGB", 2000.0, np.random.default_rng(n))
        write_png(folder / f"{n}.png", picture)
    arguments = ("propagate", folder, "--property", "hdr", "--key", f"0={key}", "-o")
    assert run_cli(*arguments, tmp_path / "freed").code == 0
    assert run_cli(*arguments, tmp_path / "kept", "--keep-noise").code == 0
    freed, kept = (read_exr(tmp_path / name / "00002.exr").image for name in ("freed", "kept"))
    open_ = ((picture > 60) & (picture < 230)).all(axis=-1)
    assert log_error(freed, light[2], open_) < 0.7 * log_error(kept, light[2], open_)


def test_contradicting_keys_leave_nothing_behind(
    run_cli: Run, ldr: Path, key: Path, light: list[np.ndarray], tmp_path: Path
) -> None:
    last = tmp_path / "last.exr"
    write_exr(last, light[4] * 16)
    keys = ("--key", f"0={key}", "--key", f"4={last}")
    ran = run_cli("propagate", ldr, "--property", "hdr", *keys, "-o", tmp_path / "out")
    assert_refused(ran, 3, "frames 0 and 4 contradict each other", "4.0 stops")
    assert not (tmp_path / "out").exists()


def test_a_jump_of_exposure_is_followed(run_cli: Run, key: Path, light: list[np.ndarray], tmp_path: Path) -> None:
    folder = tmp_path / "jump"
    folder.mkdir()
    for n in range(4):
        write_png(folder / f"{n}.png", camera(moving(4)[1][n], 1.0 if n < 2 else 0.3))
    ran = run_cli("propagate", folder, "--property", "hdr", "--key", f"0={key}", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "exposure jumps by more than a stop at frame 2" in ran.err
    found = read_exr(tmp_path / "out" / "00003.exr").image
    seen = (light[3] > 0.15) & (light[3] < 0.8)
    assert log_error(found, light[3], seen) < 0.03


def test_outputs_in_the_way_and_wrong_use(run_cli: Run, ldr: Path, key: Path, tmp_path: Path) -> None:
    arguments = ("propagate", ldr, "--property", "hdr", "--key", f"0={key}", "-o")
    assert run_cli(*arguments, tmp_path / "out").code == 0
    assert_refused(run_cli(*arguments, tmp_path / "out"), 4, "00000.exr", "--force")
    assert run_cli(*arguments, tmp_path / "out", "--force").code == 0
    assert_refused(run_cli(*arguments, tmp_path / "a.mp4"), 4, "%05d.exr")
    assert_refused(run_cli(*arguments, ldr / "%03d.png", "--force"), 4, "would replace one of the inputs")
    assert run_cli(*arguments, tmp_path / "b", "--hints", f"1={key}").code == 2
    assert run_cli(*arguments, tmp_path / "b", "--key", f"0={key}").code == 2


def test_a_stop_leaves_nothing(ldr: Path, key: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    job = hdr_job(HdrSettings(ldr, tmp_path / "out", {0: key}, preview=tmp_path / "p.mp4"), cancel)
    with pytest.raises(Cancelled):
        for progress in job:
            if progress.stage == "light" and progress.done == 2:
                cancel.cancel()
    assert not leftovers(tmp_path, ldr, key, tmp_path / "log")


def test_without_the_gpu_that_was_asked_for_nothing_is_done(
    run_cli: Run, ldr: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = run_cli("propagate", ldr, "--property", "hdr", "--key", f"0={key}", "-o", tmp_path / "o", "--device", "cuda")
    assert_refused(ran, 5, "CUDA", "--device cpu")
    assert not (tmp_path / "o").exists()


def test_a_gpu_that_is_lost_is_said_once_and_the_light_arrives_all_the_same(
    run_cli: Run, ldr: Path, key: Path, light: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """"cpu:0" stands for the GPU, which fails at the second frame."""
    asked, carried = [], []

    def losing(self: DeviceWalk, code_values: np.ndarray) -> torch.Tensor:
        carried.append(1)
        if len(carried) == 2:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return step(self, code_values)

    def load(device: str) -> LightCarrier:
        asked.append(device)
        carrier: LightCarrier = real().load_light_carrier("cpu:0")
        return carrier

    step = DeviceWalk.step
    monkeypatch.setattr(DeviceWalk, "step", losing)
    monkeypatch.setattr(app.hdr, "real", lambda: fakes.pipeline(load_light_carrier=load))
    arguments = ("--key", f"0={key}", "-o", tmp_path / "out", "--device", "cpu")
    ran = run_cli("propagate", ldr, "--property", "hdr", *arguments)
    assert ran.code == 0, ran.err
    assert asked == ["cpu"] and len(carried) == 2
    assert ran.err.count("The GPU failed (CUDA error: unspecified launch failure); going on with the CPU") == 1
    for n in range(1, FRAMES):
        clipped = (moving(FRAMES)[0][n] >= 250).all(axis=-1)
        assert log_error(read_exr(tmp_path / "out" / f"{n:05d}.exr").image, light[n], clipped) < CARRIED


def test_light_is_carried_where_the_networks_run() -> None:
    assert isinstance(real().load_light_carrier("cpu"), MotionCarrier)
    assert isinstance(real().load_light_carrier("cpu:0"), DeviceCarrier)


def test_the_command_line_names_what_there_is() -> None:
    assert hdr_options.ENCODINGS == ENCODINGS
    assert set(hdr_options.TONE_CURVES) == set(CURVES)


def test_info_of_hdr_pictures(run_cli: Run, key: Path, light: list[np.ndarray], tmp_path: Path) -> None:
    ran = run_cli("info", key, "--json")
    found = json.loads(ran.out)
    assert (found["kind"], found["width"], found["height"], found["bit_depth"]) == ("hdr still", 96, 64, 16)
    assert found["light"]["brightest"] == light[0].max()
    assert found["light"]["not_finite"] == 0
    for n in range(2):
        write_exr(tmp_path / f"{n:02d}.exr", light[n])
    text = run_cli("info", tmp_path / "%02d.exr").out
    assert "hdr sequence" in text
    assert "brightest" in text
    assert run_cli("info", tmp_path / "gone.exr").code == 3


def test_more_keys_than_are_kept_in_memory(run_cli: Run, ldr: Path, light: list[np.ndarray], tmp_path: Path) -> None:
    keys: list[str] = []
    for n in (4, 0, 3, 1):  # in no order
        write_exr(tmp_path / f"key{n}.exr", light[n])
        keys += ["--key", f"{n}={tmp_path / f'key{n}.exr'}"]
    ran = run_cli("propagate", ldr, "--property", "hdr", *keys, "-o", tmp_path / "out", "--size", "64")
    assert ran.code == 0, ran.err
    for n in (0, 1, 3, 4):
        np.testing.assert_array_equal(read_exr(tmp_path / "out" / f"{n:05d}.exr").image, light[n])
    clipped = (moving(FRAMES)[0][2] >= 250).all(axis=-1)
    assert log_error(read_exr(tmp_path / "out" / "00002.exr").image, light[2], clipped) < CARRIED
