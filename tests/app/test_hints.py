"""What `hints sample` writes, and that `densify` takes it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.app.conftest import Ran, write_png
from tests.app.test_propagate import AB_TOLERANCE, lab

Run = Callable[..., Ran]


@pytest.fixture
def colored() -> np.ndarray:
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.random((48, 64, 3)).astype(np.float32), (0, 0), 5)
    return np.rint((smooth - smooth.min()) / np.ptp(smooth) * 200 + 20).astype(np.uint8)


@pytest.fixture
def pair(tmp_path: Path, colored: np.ndarray) -> tuple[Path, Path]:
    grey = cv2.cvtColor(cv2.cvtColor(colored, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return write_png(tmp_path / "grey.png", grey), write_png(tmp_path / "color.png", colored)


def read_rgba(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture.shape[2] == 4
    return picture[..., [2, 1, 0, 3]]


@pytest.mark.parametrize(("option", "count"), [("superpixels", 12), ("patches", 5), ("strokes", 4)])
def test_hints_show_the_color_of_the_reference(run_cli: Run, pair, colored, tmp_path: Path, option, count) -> None:
    out = tmp_path / "hints.png"
    ran = run_cli("hints", "sample", pair[0], "--from", pair[1], f"--{option}", count, "-o", out)
    assert ran.code == 0, ran.err
    hints = read_rgba(out)
    hinted = hints[..., 3] == 255
    assert set(np.unique(hints[..., 3])) == {0, 255} and not hints[~hinted].any()
    assert f"{hinted.sum()} pixels" in ran.out
    shown = lab(np.ascontiguousarray(hints[..., :3]))[hinted][:, 1:]
    truth = lab(colored)[..., 1:]
    if option == "superpixels":
        assert 4 <= hinted.sum() <= count + 4
        assert np.abs(shown - truth[hinted]).max() <= AB_TOLERANCE
    else:
        assert shown.min() >= truth.min() - AB_TOLERANCE and shown.max() <= truth.max() + AB_TOLERANCE


def test_one_seed_is_one_picture_and_densify_takes_it(run_cli: Run, pair, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ran = run_cli("hints", "sample", pair[0], "--from", pair[1], "--seed", seed, "-o", tmp_path / f"{name}.png")
        assert ran.code == 0, ran.err
    one, same, other = (read_rgba(tmp_path / f"{name}.png") for name in "abc")
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    ran = run_cli("densify", pair[0], "--hints", tmp_path / "a.png", "-o", tmp_path / "filled.png")
    assert ran.code == 0, ran.err


def test_bad_requests_are_refused(run_cli: Run, pair, tmp_path: Path) -> None:
    small = write_png(tmp_path / "small.png", np.zeros((10, 12, 3), np.uint8))
    out = tmp_path / "out.png"
    ran = run_cli("hints", "sample", pair[0], "--from", small, "-o", out)
    assert ran.code == 3 and "12x10" in ran.err and "64x48" in ran.err and not out.exists()
    ran = run_cli("hints", "sample", pair[0], "--from", pair[1], "--strokes", 2, "--patches", 2, "-o", out)
    assert ran.code == 2 and "one of" in ran.err
    assert run_cli("hints", "sample", pair[0], "--from", pair[1], "-o", pair[1], "--force").code == 4
