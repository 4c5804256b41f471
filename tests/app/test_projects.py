"""`propagate`, `render` and `info` on project files, without a window."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

import app.exporting
from app.project.document import KeyFrame, Project, Settings, Source, Stroke
from app.project.media import fingerprint
from app.project.plan import encode_picture
from app.project.store import save_project
from propagation.video.probe import probe
from propagation.video.reader import open_clip
from tests.app import fakes
from tests.app.conftest import FRAMES, HEIGHT, WIDTH, Ran, make_clip, read_png

Run = Callable[..., Ran]
ORANGE = (200, 120, 60)


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.exporting, "real", fakes.pipeline)


@pytest.fixture
def painted(clip: Path) -> Project:
    """The grey clip with a stroke on frame 0, a picture on frame 3, and marks around frames 1 to 4."""
    source = Source(str(clip), "video", WIDTH, HEIGHT, FRAMES, Fraction(25), fingerprint([clip]))
    stroke = Stroke(1, "paint", ORANGE, 5.0, 1.0, ((10.0, 10.0, 1.0), (40.0, 20.0, 1.0)))
    with open_clip(clip) as opened:
        picture = encode_picture(opened.frame(3).image, "third.png")
    keys = {0: KeyFrame((stroke,)), 3: KeyFrame(picture=picture)}
    return Project(source=source, keys=keys, mark_in=1, mark_out=4, next_stroke_id=2)


@pytest.fixture
def project(painted: Project, tmp_path: Path) -> Path:
    path = tmp_path / "film.huecast"
    save_project(painted, path)
    return path


def is_colored(path: Path) -> bool:
    image = read_png(path).astype(int)
    return bool((image.max(axis=2) - image.min(axis=2)).mean() > 8)


def colored_frames(folder: Path) -> list[int]:
    return [index for index in range(FRAMES) if is_colored(folder / f"{index:05d}.png")]


def test_render_colors_the_range_of_the_project(run_cli: Run, project: Path, tmp_path: Path) -> None:
    ran = run_cli("render", project, "-o", tmp_path / "out")
    assert ran.code == 0, ran.err
    # Nearest of keys 0 and 3 in the range 1:5; the picture of 3 is the clip's own grey.
    assert colored_frames(tmp_path / "out") == [1]


def test_render_takes_another_range(run_cli: Run, project: Path, tmp_path: Path) -> None:
    assert run_cli("render", project, "-o", tmp_path / "out", "--range", "0:").code == 0
    assert colored_frames(tmp_path / "out") == [0, 1]
    for bounds in (":0", "2:99"):
        ran = run_cli("render", project, "-o", tmp_path / "never", "--range", bounds)
        assert ran.code == 3
        assert "range" in ran.err


def test_propagate_writes_a_video_beside_the_project(run_cli: Run, project: Path) -> None:
    ran = run_cli("propagate", project)
    assert ran.code == 0, ran.err
    assert probe(project.with_suffix(".mp4")).frame_count == FRAMES
    again = run_cli("propagate", project)
    assert again.code == 4
    assert run_cli("propagate", project, "--force").code == 0


def test_propagate_and_render_write_the_same_pictures(run_cli: Run, project: Path, tmp_path: Path) -> None:
    run_cli("render", project, "-o", tmp_path / "rendered")
    run_cli("propagate", project, "-o", tmp_path / "propagated")
    written = sorted((tmp_path / "rendered").iterdir())
    assert written
    assert all(path.read_bytes() == (tmp_path / "propagated" / path.name).read_bytes() for path in written)


def test_the_direction_of_the_project_counts(run_cli: Run, painted: Project, tmp_path: Path) -> None:
    for direction, frames in (("forward", [1, 2]), ("backward", [])):
        path = tmp_path / f"{direction}.huecast"
        save_project(replace(painted, settings=Settings(direction=direction)), path)
        assert run_cli("render", path, "-o", tmp_path / direction).code == 0
        assert colored_frames(tmp_path / direction) == frames


def test_propagate_overrides_the_settings_of_the_project(
    run_cli: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Settings] = []
    export = app.exporting.export_job

    def watch(settings: app.exporting.ExportSettings, *rest: object) -> object:
        seen.append(settings.project.settings)
        return export(settings, *rest)

    monkeypatch.setattr(app.exporting, "export_job", watch)
    run_cli("propagate", project, "-o", tmp_path / "plain")
    run_cli("propagate", project, "-o", tmp_path / "other", "--size", "64", "--from-grey")
    assert seen == [Settings(), Settings(work_size=64, from_grey=True)]


@pytest.mark.parametrize("option", ["--key", "--hints"])
def test_a_project_takes_no_further_keys(run_cli: Run, project: Path, key: Path, option: str) -> None:
    ran = run_cli("propagate", project, option, f"0={key}")
    assert ran.code == 2
    assert "key frames" in ran.err


def test_info_tells_what_a_project_holds(run_cli: Run, project: Path, clip: Path) -> None:
    ran = run_cli("info", project, "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert found["kind"] == "project"
    assert found["clip"] == {
        "state": "found", "path": str(clip), "kind": "video", "width": WIDTH, "height": HEIGHT, "frames": FRAMES,
        "rate": "25",
    }
    assert found["range"] == "1:5"
    assert found["keyframes"] == [
        {"frame": 0, "strokes": 1, "picture": None},
        {"frame": 3, "strokes": 0, "picture": "third.png"},
    ]
    text = run_cli("info", project).out
    assert "1 stroke" in text
    assert "third.png" in text


def test_a_clip_that_is_gone(run_cli: Run, project: Path, clip: Path, tmp_path: Path) -> None:
    clip.unlink()
    assert json.loads(run_cli("info", project, "--json").out)["clip"]["state"] == "missing"
    ran = run_cli("render", project, "-o", tmp_path / "out.mp4")
    assert ran.code == 3
    assert "Relink" in ran.err
    assert str(clip) in ran.err


def test_a_clip_that_moved_along_with_its_project(run_cli: Run, project: Path, clip: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    clip.rename(moved / clip.name)
    project.rename(moved / project.name)
    assert run_cli("render", moved / project.name, "-o", tmp_path / "out.mp4").code == 0


def test_a_clip_that_was_replaced(run_cli: Run, project: Path, clip: Path, tmp_path: Path) -> None:
    make_clip(clip, color=(1.0, 0.8, 0.8))
    ran = run_cli("propagate", project, "-o", tmp_path / "out.mp4")
    assert ran.code == 3
    assert "changed or replaced" in ran.err
    assert not (tmp_path / "out.mp4").exists()


def test_projects_without_a_clip_or_a_key(run_cli: Run, painted: Project, tmp_path: Path) -> None:
    for name, empty, words in (("a", Project(), "no clip"), ("b", replace(painted, keys={}), "neither a key")):
        path = tmp_path / f"{name}.huecast"
        save_project(empty, path)
        ran = run_cli("render", path, "-o", tmp_path / "out.mp4")
        assert ran.code == 3
        assert words in ran.err
        assert run_cli("info", path).code == 0


@pytest.mark.parametrize("verb", [("info",), ("propagate",), ("render", "-o", "out.mp4")])
def test_a_damaged_project_is_bad_input(run_cli: Run, project: Path, tmp_path: Path, verb: tuple[str, ...]) -> None:
    project.write_bytes(project.read_bytes()[:-40])
    for path in (project, tmp_path / "gone.huecast"):
        ran = run_cli(verb[0], path, *verb[1:])
        assert ran.code == 3
        assert path.name in ran.err
