"""`demo --hdr` on the first frames of its own clip."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import app.hdr
from app import demo_hdr
from propagation.video.exr import read_exr, write_exr
from propagation.video.images import read_image
from tests.app import fakes
from tests.app.conftest import Ran, write_png
from tests.propagation.hdr.scenes import moving

Run = Callable[..., Ran]


@pytest.fixture
def small_assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four small frames, a key for the first and the truth of the last."""
    folder = tmp_path / "assets"
    folder.mkdir()
    pictures, light, _ = moving(4)
    for n, picture in enumerate(pictures):
        write_png(folder / f"{n}.png", picture)
    for name, n in (("key.exr", 0), ("truth.exr", 3)):
        write_exr(folder / name, light[n])
    new = {"CLIP": folder / "0.png", "KEY": folder / "key.exr", "TRUTH": folder / "truth.exr", "TRUTH_FRAME": 3}
    new |= {"FLOWER": folder / "0.png", "FLOWER_KEY": folder / "truth.exr", "FLOWER_RANGE": range(1, 4)}
    for name, value in new.items():
        monkeypatch.setattr(demo_hdr, name, value)
    monkeypatch.setattr(app.hdr, "real", fakes.pipeline)
    return folder


def test_pictures_preview_and_sheet(run_cli: Run, small_assets: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # a second demo replaces the first
        ran = run_cli("demo", "--hdr", "-o", out)
        assert ran.code == 0, ran.err
    made = ["hdr", "hdr_flower", "hdr_flower_sheet.png", "hdr_preview.mp4", "hdr_sheet.png"]
    assert sorted(path.name for path in out.iterdir()) == made
    assert len(list((out / "hdr").glob("*.exr"))) == 4
    assert sorted(path.name for path in (out / "hdr_flower").iterdir()) == ["00001.exr", "00002.exr", "00003.exr"]
    assert "RMSE of log10 on clipped pixels" in ran.out
    sheet = read_image(out / "hdr_sheet.png").image
    assert sheet.shape[1] > 3 * 384
    done = json.loads(run_cli("demo", "--hdr", "-o", out, "--progress", "json").out.splitlines()[-1])
    assert done["log_rmse"]["Huecast"] < 0.3 * done["log_rmse"]["the clip"]


def test_the_real_assets_are_there_and_fit() -> None:
    from propagation.video.probe import probe

    info = probe(demo_hdr.CLIP)
    assert info.frame_count == demo_hdr.TRUTH_FRAME + 1
    for path in (demo_hdr.KEY, demo_hdr.TRUTH):
        assert read_exr(path).image.shape == (info.height, info.width, 3)
        assert path.stat().st_size < 300_000
    flower = probe(demo_hdr.FLOWER)
    assert flower.frame_count == demo_hdr.FLOWER_RANGE.stop
    assert read_exr(demo_hdr.FLOWER_KEY).image.shape == (flower.height, flower.width, 3)
