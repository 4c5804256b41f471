"""The command line with the trained networks, on pictures so simple that there is no doubt what is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import app.jobs
from app.pipeline import real
from tests.app.conftest import Ran, read_png, write_png
from tests.app.test_propagate import LIGHTNESS_TOLERANCE, lab

Run = Callable[..., Ran]
HEIGHT, WIDTH, FRAMES = 96, 128, 6


@pytest.fixture(autouse=True)
def trained(run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.jobs, "real", real)


def is_disc(index: int) -> NDArray[np.bool_]:
    """Where a light disc lies that moves to the right, four pixels a frame."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return (x - 40 - 4 * index) ** 2 + (y - 48) ** 2 < 24**2


def scene(index: int) -> NDArray[np.uint8]:
    """A light disc on dark ground, with a little texture to see motion by."""
    grey = np.where(is_disc(index), 180, 70) + np.random.default_rng(0).integers(-6, 7, (HEIGHT, WIDTH))
    moved = np.roll(np.random.default_rng(1).integers(-12, 13, (HEIGHT, WIDTH)), 4 * index, axis=1)
    grey = np.where(is_disc(index), grey + moved, grey)
    return np.repeat(cv2.GaussianBlur(grey.astype(np.uint8), (3, 3), 0)[..., None], 3, axis=2)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "scene"
    folder.mkdir()
    for index in range(FRAMES):
        write_png(folder / f"{index:02d}.png", scene(index))
    return folder


@pytest.fixture
def hints(tmp_path: Path) -> Path:
    """A red stroke on the disc, a blue one on the ground."""
    image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    image[44:52, 30:50] = (220, 150, 140, 255)
    image[6:12, 10:110] = (60, 70, 110, 255)
    image[84:90, 10:110] = (60, 70, 110, 255)
    return write_png(tmp_path / "hints.png", image)


def assert_disc_is_red_and_ground_blue(picture: NDArray[np.uint8], index: int) -> None:
    inside = cv2.erode(is_disc(index).astype(np.uint8), np.ones((9, 9))) > 0
    outside = cv2.dilate(is_disc(index).astype(np.uint8), np.ones((9, 9))) == 0
    a, b = np.moveaxis(lab(picture)[..., 1:], -1, 0)
    assert (a[inside] > 8).mean() > 0.9
    assert (b[outside] < -5).mean() > 0.9
    assert np.abs(lab(picture)[..., 0] - lab(scene(index))[..., 0]).max() <= LIGHTNESS_TOLERANCE


def test_densify_fills_each_object_with_its_own_hint(run_cli: Run, clip: Path, hints: Path, tmp_path: Path) -> None:
    ran = run_cli("densify", clip / "00.png", "--hints", hints, "-o", tmp_path / "out.png", "--device", "cpu")
    assert ran.code == 0, ran.err
    assert_disc_is_red_and_ground_blue(read_png(tmp_path / "out.png"), 0)


@pytest.mark.parametrize("number", [0, 3])
def test_color_goes_with_what_moves(run_cli: Run, clip: Path, hints: Path, tmp_path: Path, number: int) -> None:
    if number:
        moved = np.roll(cv2.imread(str(hints), cv2.IMREAD_UNCHANGED), 4 * number, axis=1)
        assert cv2.imwrite(str(hints), moved)
    ran = run_cli("propagate", clip, "--hints", f"{number}={hints}", "-o", tmp_path / "out", "--device", "cpu")
    assert ran.code == 0, ran.err
    for index in range(FRAMES):
        assert_disc_is_red_and_ground_blue(read_png(tmp_path / "out" / f"{index:05d}.png"), index)
