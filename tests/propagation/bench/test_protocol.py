"""The metrics and pictures of the protocol, against values worked out by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.bench import protocol
from propagation.bench.machine import dis_medium_ms, machine_line, median_ms
from propagation.errors import MissingMediaError
from propagation.video.images import write_image


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_psnr_has_255_for_its_peak() -> None:
    assert protocol.psnr(255.0**2) == 0
    assert protocol.psnr(1.0) == pytest.approx(48.1308, abs=1e-4)
    assert protocol.psnr(0.0) == math.inf


def test_squared_errors_of_8_bit_pictures_do_not_wrap_around() -> None:
    black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert protocol.mean_squared_error(black, white) == protocol.mean_squared_error(white, black) == 255**2


def test_lab_of_named_colors() -> None:
    # CIE Lab of the sRGB primaries and white under D65, as any color table prints them.
    colors = np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    expected = [[100, 0, 0], [53.24, 80.09, 67.20], [87.74, -86.18, 83.18], [32.30, 79.19, -107.86]]
    np.testing.assert_allclose(protocol.to_lab(colors)[0], expected, atol=0.1)


def test_8_bit_pictures_survive_lab_and_back() -> None:
    picture = noise(16, 16)
    lab = protocol.to_lab(picture)
    back = protocol.to_rgb8(lab[..., 0], lab[..., 1:])
    np.testing.assert_allclose(back.astype(int), picture, atol=1)  # OpenCV interpolates the curves in a table
    wide = picture.astype(np.uint16) * 257
    np.testing.assert_allclose(protocol.to_lab(wide), lab, atol=1e-3)


def test_psnr_rgb_is_the_error_of_the_8_bit_picture() -> None:
    grey = np.full((8, 8, 3), 128, np.uint8)
    lab = protocol.to_lab(grey)
    assert protocol.psnr_rgb(lab, lab[..., 1:]) == math.inf
    tinted = lab[..., 1:] + np.float32([0, 8])
    error = protocol.to_rgb8(lab[..., 0], tinted).astype(int) - 128
    assert protocol.psnr_rgb(lab, tinted) == pytest.approx(10 * math.log10(255**2 / (error**2).mean()))


def test_sampling_the_grid_returns_the_picture() -> None:
    picture = noise(9, 13).astype(np.float32)
    grid = protocol.sampling_grid(9, 13)
    assert np.array_equal(protocol.sample(picture, grid), picture)
    to_the_right = protocol.sample(picture, grid + np.float32([2, 0]))
    assert np.array_equal(to_the_right[:, :-2], picture[:, 2:])
    assert np.array_equal(to_the_right[:, -1], picture[:, -1])


def test_flicker_is_the_difference_of_changes_along_the_motion() -> None:
    first = noise(8, 12)[..., :2].astype(np.float32)
    second = np.roll(first, 3, axis=1)
    second[:, :3] = first[:, :1]  # what comes in at the border, where sampling replicates
    flow = np.zeros((8, 12, 2), np.float32)
    flow[..., 0] = -3
    # Colors that follow the motion do not flicker, whatever their error; a shift from frame to frame does.
    wrong = (first + 7, second + 7)
    assert protocol.flicker_error(wrong, (first, second), flow) == pytest.approx(0, abs=1e-6)
    assert protocol.flicker_error((first, second + 2), (first, second), flow) == pytest.approx(4)


def test_clips_are_shrunk_to_480_pixels_and_even_sides(tmp_path: Path) -> None:
    folder = tmp_path / "wide"
    folder.mkdir()
    for number in range(3):
        write_image(folder / f"{number:05d}.png", noise(541, 963, number))
    clip = protocol.read_clip(folder, limit=2)
    assert [frame.shape for frame in clip] == [(480, 854, 3)] * 2
    expected = cv2.resize(noise(541, 963, 1), (854, 480), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(clip[1], protocol.to_lab(expected), atol=1e-4)


def test_pictures_are_photographs_and_the_middle_frames_of_clips(tmp_path: Path) -> None:
    write_image(tmp_path / "b.png", noise(20, 30, 9))
    (tmp_path / "a").mkdir()
    for number in range(4):
        write_image(tmp_path / "a" / f"{number}.png", noise(20, 30, number))
    pictures = list(protocol.read_pictures(tmp_path, (16, 8)))
    assert [picture.name for picture in pictures] == ["a", "b.png"]
    for picture, seed in zip(pictures, (2, 9), strict=True):
        expected = cv2.resize(noise(20, 30, seed), (16, 8), interpolation=cv2.INTER_AREA)
        np.testing.assert_allclose(picture.lab, protocol.to_lab(expected), atol=1e-4)


def test_a_folder_without_clips_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingMediaError, match="no such folder"):
        protocol.clip_paths(tmp_path / "none")
    with pytest.raises(MissingMediaError, match="no clip"):
        protocol.clip_paths(tmp_path)
    (tmp_path / "one.mp4").touch()
    with pytest.raises(MissingMediaError, match="no clip"):
        protocol.clip_paths(tmp_path, ["other"])
    assert protocol.clip_paths(tmp_path, ["one"]) == [tmp_path / "one.mp4"]


def test_numbers_that_json_cannot_hold_become_null() -> None:
    value = protocol.to_jsonable({"a": [math.nan, (math.inf, 1.5)], "b": "x"})
    assert json.dumps(value, allow_nan=False) == '{"a": [null, [null, 1.5]], "b": "x"}'


def test_opencv_gets_its_threads_back() -> None:
    before = cv2.getNumThreads()
    with protocol.one_opencv_thread():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before


def test_the_machine_is_one_line_and_its_yardstick_a_time() -> None:
    assert "\n" not in machine_line()
    assert "Python" in machine_line()
    assert 1 < dis_medium_ms(repeats=1) < 10_000
    calls: list[int] = []
    assert median_ms(lambda: calls.append(0), repeats=3) < 10
    assert len(calls) == 4
