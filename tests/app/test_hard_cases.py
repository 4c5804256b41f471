"""Clips and keys that are odd but legitimate: the right answer or a clear sentence, and nothing lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.video.reader import open_clip
from tests.app.conftest import FRAMES, HEIGHT, WIDTH, Ran, grey_frame, make_clip, read_png, write_key, write_png

Run = Callable[..., Ran]

# 8-bit code values that writing a picture in Lab and back may move.
ROUNDING = 2


def pictures(folder: Path, images: list[NDArray[np.uint8]]) -> Path:
    folder.mkdir()
    for index, image in enumerate(images):
        write_png(folder / f"{index:05d}.png", image)
    return folder


def tinted(image: NDArray[np.uint8], tint: tuple[float, float, float]) -> NDArray[np.uint8]:
    return np.clip(image * np.float32(tint), 0, 255).astype(np.uint8)


def ab_of(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 1:]


def moderate(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a color surely exists at the clip's own lightness too."""
    return np.hypot(*np.moveaxis(ab_of(rgb), -1, 0)) < 30


def test_a_key_of_another_scene_is_refused_before_anything_is_written(
    run_cli: Run, sequence: Path, tmp_path: Path
) -> None:
    scene = cv2.resize(np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype(np.uint8), (WIDTH, HEIGHT))
    other = write_png(tmp_path / "other.png", scene)
    ran = run_cli("propagate", sequence, "--key", f"2={other}", "-o", tmp_path / "out")
    assert ran.code == 3
    assert "other.png" in ran.err and "does not show what frame 2 shows" in ran.err and "count from 0" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_key_that_was_moved_and_scaled_is_laid_onto_its_frame_and_said(run_cli: Run, tmp_path: Path) -> None:
    scene = cv2.resize(np.random.default_rng(1).integers(30, 220, (10, 14, 3)).astype(np.uint8), (200, 150))
    grey = np.repeat(cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    clip = pictures(tmp_path / "clip", [np.ascontiguousarray(grey[15:135, 20:180])] * 3)
    moved = np.ascontiguousarray(scene[12:132, 25:185])  # 5 to the right of the frame, 3 above it
    key = write_png(tmp_path / "key.png", cv2.resize(moved, (320, 240), interpolation=cv2.INTER_CUBIC))
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "320x240 where the clip is 160x120" in ran.err
    said = re.search(r"shifted by ([-+.\d]+), ([-+.\d]+) px", ran.err)
    assert said is not None and [float(each) for each in said.groups()] == pytest.approx([-5, 3], abs=0.25)
    wanted, found = ab_of(np.ascontiguousarray(scene[15:135, 20:180])), ab_of(read_png(tmp_path / "out" / "00000.png"))
    inside = (slice(8, -8), slice(8, -8))
    assert np.abs(found - wanted)[inside].mean() < 0.3 * np.abs(ab_of(moved) - wanted)[inside].mean()


def test_two_keys_that_disagree_both_come_through(run_cli: Run, sequence: Path, tmp_path: Path) -> None:
    keys = {n: write_png(tmp_path / f"{n}.png", tinted(grey_frame(n), tint)) for n, tint in
            ((2, (1.2, 1.0, 0.7)), (3, (0.8, 1.0, 1.25)))}  # fmt: skip
    arguments = [word for n, path in keys.items() for word in ("--key", f"{n}={path}")]
    ran = run_cli("propagate", sequence, *arguments, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    for n, path in keys.items():
        wanted = read_png(path)
        apart = np.abs(ab_of(read_png(tmp_path / "out" / f"{n:05d}.png")) - ab_of(wanted))
        assert apart[moderate(wanted)].max() < ROUNDING


@pytest.mark.parametrize("kind", ["pictures", "video"])
def test_a_clip_of_one_frame(run_cli: Run, tmp_path: Path, kind: str) -> None:
    is_video = kind == "video"
    clip = make_clip(tmp_path / "one.mp4", 1) if is_video else pictures(tmp_path / "one", [grey_frame(0)])
    out = tmp_path / ("out.mp4" if is_video else "out")
    ran = run_cli("propagate", clip, "--key", f"0={write_key(tmp_path / 'key.png', 0)}", "-o", out)
    assert ran.code == 0, ran.err
    with open_clip(out) as made:
        assert made.info.frame_count == 1
        red, _, blue = made.frame(0).image.reshape(-1, 3).mean(0)
    assert red > blue + 20


def test_black_frames_stay_black(run_cli: Run, tmp_path: Path) -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    clip = pictures(tmp_path / "clip", [grey_frame(0), black, black, grey_frame(3), black])
    keys = ("--key", f"0={write_key(tmp_path / 'key.png', 0)}", "--key", f"4={write_png(tmp_path / 'k.png', black)}")
    ran = run_cli("propagate", clip, *keys, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    for n in (1, 2, 4):
        assert read_png(tmp_path / "out" / f"{n:05d}.png").max() <= ROUNDING


def test_a_key_on_a_black_frame_is_taken_and_its_lightness_said(run_cli: Run, tmp_path: Path) -> None:
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    clip = pictures(tmp_path / "clip", [black, black])
    ran = run_cli("propagate", clip, "--key", f"0={write_key(tmp_path / 'key.png', 0)}", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert "differs from the clip in lightness" in ran.err


def test_a_clip_that_changes_size_keeps_its_frames_in_the_first_ones_size(run_cli: Run, tmp_path: Path) -> None:
    first = make_clip(tmp_path / "first.ts")
    then = make_clip(tmp_path / "then.ts", width=WIDTH // 2, height=HEIGHT // 2)
    clip = tmp_path / "both.ts"
    clip.write_bytes(first.read_bytes() + then.read_bytes())
    ran = run_cli("propagate", clip, "--key", f"0={write_key(tmp_path / 'key.png', 0)}", "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    made = sorted((tmp_path / "out").iterdir())
    assert len(made) == 2 * FRAMES
    assert {read_png(path).shape for path in made} == {(HEIGHT, WIDTH, 3)}


def test_a_hundred_keys_all_come_through(run_cli: Run, tmp_path: Path) -> None:
    count = 100
    clip = pictures(tmp_path / "clip", [grey_frame(n % FRAMES) for n in range(count)])
    tints = [(1.0 + 0.2 * np.sin(n), 1.0, 1.0 + 0.2 * np.cos(n)) for n in range(count)]
    words: list[str] = []
    for n, tint in enumerate(tints):
        words += ["--key", f"{n}={write_png(tmp_path / f'key{n}.png', tinted(grey_frame(n % FRAMES), tint))}"]
    ran = run_cli("propagate", clip, *words, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    assert f"{count} frames" in ran.out
    for n in (0, 1, 50, 99):
        wanted = read_png(tmp_path / f"key{n}.png")
        apart = np.abs(ab_of(read_png(tmp_path / "out" / f"{n:05d}.png")) - ab_of(wanted))
        assert apart[moderate(wanted)].max() < ROUNDING
