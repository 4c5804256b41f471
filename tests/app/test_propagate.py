"""What `propagate` writes: numbering, range, --force, color that stays, lightness that stays."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import app.jobs
from app.jobs import Cancelled, CancelToken, PropagateSettings, propagate_job
from app.keyframes import Keyframe
from propagation.color.lab import frame_to_lightness
from propagation.color.tags import STILL_TAGS
from tests.app import fakes
from tests.app.conftest import FRAMES, HEIGHT, WIDTH, Ran, grey_frame, read_png, write_key, write_png

Run = Callable[..., Ran]

# 8-bit rounding of RGB moves L* by up to a quarter and a, b by about one in the mid-tones of these pictures.
LIGHTNESS_TOLERANCE = 0.5
AB_TOLERANCE = 1.5


def lab(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """CIE Lab of sRGB, by OpenCV, independent of the program's own."""
    return cv2.cvtColor(rgb.astype(np.float32) / np.iinfo(rgb.dtype).max, cv2.COLOR_RGB2Lab)


def is_grey(rgb: NDArray[Any]) -> bool:
    return bool((rgb[..., 0] == rgb[..., 1]).all() and (rgb[..., 1] == rgb[..., 2]).all())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_are_numbered_by_source_frame(run_cli: Run, sequence: Path, key: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ran = run_cli("propagate", sequence, "--key", f"0={key}", "-o", out)
    assert ran.code == 0, ran.err
    assert names(out) == [f"{index:05d}.png" for index in range(FRAMES)]
    assert "6 frames" in ran.out


def test_a_pattern_names_the_pictures(run_cli: Run, sequence: Path, key: Path, tmp_path: Path) -> None:
    assert run_cli("propagate", sequence, "--key", f"0={key}", "-o", tmp_path / "frame_%03d.png").code == 0
    assert (tmp_path / "frame_005.png").exists()


def test_lightness_stays_and_the_key_keeps_its_color(run_cli: Run, sequence: Path, key: Path, tmp_path: Path) -> None:
    run_cli("propagate", sequence, "--key", f"0={key}", "-o", tmp_path / "out")
    for index in range(FRAMES):
        result = lab(read_png(tmp_path / "out" / f"{index:05d}.png"))
        assert np.abs(result[..., 0] - lab(grey_frame(index))[..., 0]).max() <= LIGHTNESS_TOLERANCE
    result = lab(read_png(tmp_path / "out" / "00000.png"))[..., 1:]
    wanted = lab(read_png(key))[..., 1:]
    # Chroma is lowered only where the clip's lightness leaves no room for it.
    inside = np.hypot(*np.moveaxis(wanted, -1, 0)) < 30
    assert inside.mean() > 0.3
    assert np.abs(result - wanted)[inside].max() <= AB_TOLERANCE


def test_full_strength_hints_are_exact(run_cli: Run, sequence: Path, hints: Path, tmp_path: Path) -> None:
    run_cli("propagate", sequence, "--hints", f"2={hints}", "-o", tmp_path / "out")
    painted = cv2.cvtColor(cv2.imread(str(hints), cv2.IMREAD_UNCHANGED), cv2.COLOR_BGRA2RGBA)
    result = lab(read_png(tmp_path / "out" / "00002.png"))[..., 1:]
    wanted = lab(np.ascontiguousarray(painted[..., :3]))[..., 1:]
    exact, faint = painted[..., 3] == 255, painted[..., 3] == 100
    assert np.abs(result - wanted)[exact].max() <= AB_TOLERANCE
    assert np.abs(result - wanted)[faint].max() > AB_TOLERANCE


def test_frames_outside_the_range_leave_as_they_came(run_cli: Run, sequence: Path, key: Path, tmp_path: Path) -> None:
    assert run_cli("propagate", sequence, "--key", f"0={key}", "--range", "2:4", "-o", tmp_path / "out").code == 0
    for index in range(FRAMES):
        result = read_png(tmp_path / "out" / f"{index:05d}.png")
        assert is_grey(result) == (index not in (2, 3))
        if index not in (2, 3):
            assert np.array_equal(result, grey_frame(index))


@pytest.mark.parametrize(
    ("bounds", "colored"), [(":", range(6)), (":2", range(2)), ("4:", range(4, 6)), ("5:6", range(5, 6))]
)
def test_either_side_of_the_range_may_be_empty(
    run_cli: Run, sequence: Path, key: Path, tmp_path: Path, bounds: str, colored: range
) -> None:
    key = write_key(tmp_path / "third.png", 3)
    assert run_cli("propagate", sequence, "--key", f"3={key}", "--range", bounds, "-o", tmp_path / "out").code == 0
    found = [n for n in range(FRAMES) if not is_grey(read_png(tmp_path / "out" / f"{n:05d}.png"))]
    assert found == list(colored)


def test_force_replaces_only_the_range(run_cli: Run, sequence: Path, key: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for name in ("00001.png", "00003.png", "00005.png", "notes.txt", "90000.png"):
        (out / name).write_bytes(b"mine")
    arguments = ("propagate", sequence, "--key", f"0={key}", "--range", "3:5", "-o", out)
    refused = run_cli(*arguments)
    assert refused.code == 4
    assert (out / "00003.png").read_bytes() == b"mine"
    assert len(names(out)) == 5
    ran = run_cli(*arguments, "--force")
    assert ran.code == 0, ran.err
    assert not is_grey(read_png(out / "00003.png"))
    for name in ("00001.png", "00005.png", "notes.txt", "90000.png"):
        assert (out / name).read_bytes() == b"mine"
    assert "stay as they are" in ran.err


def test_a_shot_without_a_key_leaves_as_it_came(
    run_cli: Run, sequence: Path, key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.jobs, "real", lambda: fakes.pipeline(cuts=[3]))
    key = write_key(tmp_path / "first.png", 1)
    ran = run_cli("propagate", sequence, "--key", f"1={key}", "-o", tmp_path / "out")
    assert ran.code == 0
    assert "A new shot begins at frame 3" in ran.err and f"no key frame reaches frames 3 to {FRAMES - 1}" in ran.err
    for index in range(3, FRAMES):
        assert np.array_equal(read_png(tmp_path / "out" / f"{index:05d}.png"), grey_frame(index))
    assert not is_grey(read_png(tmp_path / "out" / "00002.png"))


def test_keys_and_hints_mix(run_cli: Run, sequence: Path, key: Path, hints: Path, tmp_path: Path) -> None:
    ran = run_cli("propagate", sequence, "--key", f"0={key}", "--hints", f"5={hints}", "-o", tmp_path / "out")
    assert ran.code == 0
    first, last = (lab(read_png(tmp_path / "out" / name))[..., 2].mean() for name in ("00000.png", "00005.png"))
    assert first > last + 5


def test_sixteen_bits_stay_sixteen(run_cli: Run, tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "deep"
    folder.mkdir()
    frames = [grey_frame(index).astype(np.uint16) * 257 + 3 for index in range(3)]
    for index, frame in enumerate(frames):
        write_png(folder / f"{index:03d}.png", frame)
    assert run_cli("propagate", folder, "--key", f"0={key}", "--range", "0:2", "-o", tmp_path / "out").code == 0
    result = read_png(tmp_path / "out" / "00001.png")
    assert result.dtype == np.uint16
    assert len(np.unique(result[..., 0] % 257)) > 50
    # OpenCV's Lab interpolates in tables, which is too coarse for 16 bits.
    ours, theirs = (frame_to_lightness(picture, STILL_TAGS) for picture in (result, frames[1]))
    assert np.abs(ours - theirs).max() < 0.01
    assert np.array_equal(read_png(tmp_path / "out" / "00002.png"), frames[2])


def test_alpha_is_kept(run_cli: Run, tmp_path: Path, key: Path) -> None:
    folder = tmp_path / "alpha"
    folder.mkdir()
    alpha = np.tile(np.arange(WIDTH, dtype=np.uint8) * 3, (HEIGHT, 1))[..., None]
    for index in range(2):
        write_png(folder / f"{index}.png", np.concatenate([grey_frame(index), alpha], axis=2))
    assert run_cli("propagate", folder, "--key", f"0={key}", "-o", tmp_path / "out").code == 0
    result = cv2.imread(str(tmp_path / "out" / "00001.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(result[..., 3:], alpha)


@pytest.fixture
def color_sequence(tmp_path: Path) -> Path:
    """Six frames in blue."""
    folder = tmp_path / "blue"
    folder.mkdir()
    for index in range(FRAMES):
        blue = grey_frame(index).astype(np.float32) * np.float32([0.6, 0.8, 1.2])
        write_png(folder / f"{index:03d}.png", np.clip(blue, 0, 255).astype(np.uint8))
    return folder


def test_a_color_clip_is_said_and_keeps_its_color_outside(
    run_cli: Run, color_sequence: Path, key: Path, tmp_path: Path
) -> None:
    ran = run_cli("propagate", color_sequence, "--key", f"0={key}", "--range", "0:3", "-o", tmp_path / "out")
    assert ran.code == 0
    assert "color of its own" in ran.err
    assert "--from-grey" in ran.err
    assert np.array_equal(read_png(tmp_path / "out" / "00004.png"), read_png(color_sequence / "004.png"))
    assert lab(read_png(tmp_path / "out" / "00001.png"))[..., 2].mean() > 5


def test_from_grey_drops_the_color_everywhere(run_cli: Run, color_sequence: Path, key: Path, tmp_path: Path) -> None:
    arguments = ("--key", f"0={key}", "--range", "0:3", "--from-grey", "-o", tmp_path / "out")
    ran = run_cli("propagate", color_sequence, *arguments)
    assert ran.code == 0
    assert "dropped first" in ran.err
    before, after = (lab(read_png(path)) for path in (color_sequence / "004.png", tmp_path / "out" / "00004.png"))
    assert np.abs(after[..., 1:]).max() < AB_TOLERANCE
    assert np.abs(after[..., 0] - before[..., 0]).max() <= LIGHTNESS_TOLERANCE


def test_a_grey_clip_is_not_called_colored(run_cli: Run, clip: Path, key: Path, tmp_path: Path) -> None:
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "out.mp4")
    assert ran.code == 0
    assert "of its own" not in ran.err


def test_a_key_of_another_lightness_is_said(run_cli: Run, sequence: Path, tmp_path: Path) -> None:
    bright = write_png(tmp_path / "bright.png", np.full((HEIGHT, WIDTH, 3), (250, 200, 150), np.uint8))
    ran = run_cli("propagate", sequence, "--key", f"0={bright}", "-o", tmp_path / "out")
    assert ran.code == 0
    assert "differs from the clip in lightness" in ran.err


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_video_keeps_its_frames_and_times(run_cli: Run, clip: Path, key: Path, tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    assert run_cli("propagate", clip, "--key", f"0={key}", "--range", "1:4", "-o", out).code == 0
    with av.open(str(out)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == FRAMES
    assert [round(float(frame.time) * 25) for frame in frames] == list(range(FRAMES))
    chroma = [float(np.std(frame.to_ndarray(format="rgb24").astype(int) @ [1, 0, -1])) for frame in frames]
    assert min(chroma[1:4]) > max(chroma[0], *chroma[4:])


def test_force_replaces_a_video(run_cli: Run, clip: Path, key: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"mine")
    assert run_cli("propagate", clip, "--key", f"0={key}", "-o", out, "--force").code == 0
    with av.open(str(out)) as container:
        assert container.streams.video[0].frames == FRAMES


def test_progress_as_json(run_cli: Run, clip: Path, key: Path, tmp_path: Path) -> None:
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "out.mp4", "--progress", "json")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    colored = [line for line in lines if line["stage"] == "color"]
    assert [line["frame"] for line in colored] == list(range(FRAMES))
    assert [line["done"] for line in colored] == list(range(1, FRAMES + 1))
    assert all(line["total"] == FRAMES for line in colored)
    assert colored[-1]["seconds_left"] == 0
    assert lines[-1] == {
        "stage": "done", "output": str(tmp_path / "out.mp4"), "frames": FRAMES, "colored": FRAMES, "notes": [],
    }  # fmt: skip


def test_an_error_as_json(run_cli: Run, clip: Path, tmp_path: Path) -> None:
    ran = run_cli("propagate", clip, "--key", "0=gone.png", "-o", tmp_path / "out.mp4", "--progress", "json")
    last = json.loads(ran.out.splitlines()[-1])
    assert ran.code == last["code"] == 3
    assert last["stage"] == "error"
    assert "gone.png" in last["message"]


def settings(clip: Path, key: Path, out: Path) -> PropagateSettings:
    return PropagateSettings(clip, out, (Keyframe(0, "key", key),), device="cpu")


@pytest.mark.parametrize("kind", ["video", "pictures"])
def test_a_stop_at_any_step_leaves_nothing(clip: Path, key: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / ("out.mp4" if kind == "video" else "%05d.png")
    steps = sum(1 for _ in propagate_job(settings(clip, key, out), CancelToken(), fakes.pipeline()))
    for path in folder.iterdir():
        path.unlink()
    # The last step is after the last frame: the work is done, and only the file is still to be closed.
    for step in range(steps - 2):
        cancel = CancelToken()
        job = propagate_job(settings(clip, key, out), cancel, fakes.pipeline())
        for _ in range(step + 1):
            next(job)
        cancel.cancel()
        with pytest.raises(Cancelled):
            for _ in job:
                pass
        assert not list(folder.iterdir()), f"after step {step}"


def carry_for_ever(lightness_of: Callable[[int], Any], *rest: Any, **named: Any) -> Iterator[Any]:
    """Carries backwards through frames that nobody waits for yet, without an end."""
    while True:
        lightness_of(0)
    yield


@pytest.mark.parametrize("asked", [True, False], ids=["asked to stop", "closed"])
def test_a_stop_reaches_work_that_shows_nothing(clip: Path, key: Path, tmp_path: Path, asked: bool) -> None:
    cancel = CancelToken()
    job = propagate_job(settings(clip, key, tmp_path / "out.mp4"), cancel, fakes.pipeline(carry=carry_for_ever))
    while next(job).stage != "color":
        pass
    if asked:
        cancel.cancel()
        with pytest.raises(Cancelled):
            next(job)
    else:
        job.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "ahead"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "key.png"]


def test_the_window_hands_in_pictures_instead_of_files(clip: Path, tmp_path: Path) -> None:
    orange = np.full((HEIGHT, WIDTH, 3), (200, 140, 60), np.uint8)
    given = PropagateSettings(clip, tmp_path / "out", (Keyframe(0, "key", image=orange),), device="cpu")
    for _ in propagate_job(given, CancelToken(), fakes.pipeline()):
        pass
    assert not is_grey(read_png(tmp_path / "out" / "00005.png"))
