"""What `densify` writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.app.conftest import HEIGHT, WIDTH, Ran, grey_frame, read_png, write_png
from tests.app.test_propagate import AB_TOLERANCE, LIGHTNESS_TOLERANCE, lab

Run = Callable[..., Ran]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return write_png(tmp_path / "image.png", grey_frame(0))


def test_fills_the_picture_and_writes_the_reach(run_cli: Run, image: Path, hints: Path, tmp_path: Path) -> None:
    out, reach = tmp_path / "out.png", tmp_path / "reach.png"
    ran = run_cli("densify", image, "--hints", hints, "-o", out, "--reach", reach)
    assert ran.code == 0, ran.err
    result = lab(read_png(out))
    painted = cv2.imread(str(hints), cv2.IMREAD_UNCHANGED)
    exact = painted[..., 3] == 255
    wanted = lab(np.ascontiguousarray(painted[..., 2::-1]))[..., 1:]
    assert np.abs(result[..., 1:] - wanted)[exact].max() <= AB_TOLERANCE
    assert np.abs(result[..., 0] - lab(grey_frame(0))[..., 0]).max() <= LIGHTNESS_TOLERANCE
    assert np.abs(result[~exact][:, 1:]).min() > 0.1, "the fill reaches everywhere"
    shown = cv2.imread(str(reach), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (HEIGHT, WIDTH)
    assert shown[exact].min() == 255
    assert shown[0, 0] == 0


def test_refuses_before_the_work_and_force_replaces(run_cli: Run, image: Path, hints: Path, tmp_path: Path) -> None:
    out, reach = tmp_path / "out.png", tmp_path / "reach.png"
    reach.write_bytes(b"mine")
    arguments = ("densify", image, "--hints", hints, "-o", out, "--reach", reach)
    assert run_cli(*arguments).code == 4
    assert not out.exists()
    assert reach.read_bytes() == b"mine"
    assert run_cli(*arguments, "--force").code == 0
    assert out.exists()


def test_the_picture_is_never_replaced_by_its_own_result(run_cli: Run, image: Path, hints: Path) -> None:
    before = image.read_bytes()
    assert run_cli("densify", image, "--hints", hints, "-o", image, "--force").code == 4
    assert image.read_bytes() == before


def test_hints_of_another_size(run_cli: Run, image: Path, tmp_path: Path) -> None:
    other = write_png(tmp_path / "other.png", np.full((10, 10, 4), 255, np.uint8))
    ran = run_cli("densify", image, "--hints", other, "-o", tmp_path / "out.png")
    assert ran.code == 3
    assert "10x10" in ran.err
    assert f"{WIDTH}x{HEIGHT}" in ran.err


def test_a_picture_that_is_none(run_cli: Run, hints: Path, tmp_path: Path) -> None:
    (tmp_path / "no.png").write_bytes(b"no")
    assert run_cli("densify", tmp_path / "no.png", "--hints", hints, "-o", tmp_path / "out.png").code == 3
    assert run_cli("densify", tmp_path / "gone.png", "--hints", hints, "-o", tmp_path / "out.png").code == 3
