"""The demo on small stand-ins for its clips."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from app import demo
from tests.app import fakes
from tests.app.conftest import FRAMES, HEIGHT, WIDTH, Ran, make_clip, read_png, write_png

Run = Callable[..., Ran]


@pytest.fixture
def small_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A film with scribbles on its third frame, and a flower in color."""
    folder = tmp_path / "assets"
    folder.mkdir()
    film = make_clip(folder / "his_girl_friday.mp4")
    flower = make_clip(folder / "flower.mp4", color=(1.2, 1.0, 0.6))
    scribbles = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    scribbles[10:20, 10:40] = (160, 120, 100, 255)
    write_png(folder / "friday_hints_00002.png", scribbles)
    for name, value in {"ASSETS": folder, "FILM": film, "FLOWER": flower}.items():
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setattr(demo, "real", fakes.pipeline)
    return folder


def test_writes_both_videos_and_their_sheets_and_says_where(run_cli: Run, small_assets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "demo"
    ran = run_cli("demo", "-o", out)
    assert ran.code == 0, ran.err
    names = ["flower.mp4", "flower_sheet.png", "his_girl_friday.mp4", "his_girl_friday_sheet.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert all(str(out / name) in ran.out for name in names)
    assert all(method in ran.out for method in ("Huecast", "hold", "DIS chain", "DIS frame by frame"))
    for name in ("flower.mp4", "his_girl_friday.mp4"):
        with av.open(str(out / name)) as container:
            assert container.streams.video[0].frames == FRAMES
    for name in ("flower_sheet.png", "his_girl_friday_sheet.png"):
        assert cv2.cvtColor(read_png(out / name), cv2.COLOR_RGB2HSV)[..., 1].max() > 100, "there is color on the sheet"


def test_ours_is_scored_like_the_baselines(run_cli: Run, small_assets: Path, tmp_path: Path) -> None:
    ran = run_cli("demo", "-o", tmp_path / "out", "--progress", "json")
    last = json.loads(ran.out.splitlines()[-1])
    # The stand-in for the network holds the key's colors, so it must score as that baseline does.
    assert last["psnr_ab"]["Huecast"] == pytest.approx(last["psnr_ab"]["hold"], abs=0.01)
    assert len(last["files"]) == 4


def test_a_second_demo_replaces_the_first(run_cli: Run, small_assets: Path, tmp_path: Path) -> None:
    assert run_cli("demo", "-o", tmp_path / "out").code == 0
    assert run_cli("demo", "-o", tmp_path / "out").code == 0


def test_missing_scribbles_are_told(run_cli: Run, small_assets: Path, tmp_path: Path) -> None:
    (small_assets / "friday_hints_00002.png").unlink()
    ran = run_cli("demo", "-o", tmp_path / "out")
    assert ran.code == 3
    assert "friday_hints" in ran.err


def test_its_own_assets_are_there() -> None:
    assert demo.FILM.exists()
    assert demo.FLOWER.exists()
    assert (demo.ASSETS / "LICENSE-CC0.txt").exists()
