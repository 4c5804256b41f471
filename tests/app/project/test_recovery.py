"""What a window that ended without closing leaves is found by the next one, whole, and by nobody else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.project.lock import lock_path
from app.project.recovery import RecoveryFile, left_work
from tests.app.project.projects import some_project
from tests.app.project.test_store import edited

WORKER = """
import sys
from pathlib import Path
from app.project.recovery import RecoveryFile
from tests.app.project.test_store import edited
RecoveryFile.new(Path(sys.argv[1])).write(edited(3), Path("/films/film.huecast"), "film.huecast")
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_work_of_a_killed_window_is_found_but_not_that_of_a_living_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "written\n"
        assert list(left_work(tmp_path)) == [], "its window is still there"
        other.send_signal(signal.SIGKILL)
        other.wait()
    found = list(left_work(tmp_path))
    assert [left.project for left in found] == [edited(3)]
    assert found[0].project_path == Path("/films/film.huecast")
    assert found[0].name == "film.huecast"
    assert list(left_work(tmp_path)) == [], "while one window decides, no other is offered it"
    found[0].file.let_go()
    again = next(left_work(tmp_path))
    again.file.remove()
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_state_is_kept(tmp_path: Path) -> None:
    file = RecoveryFile.new(tmp_path)
    file.write(edited(1), None, "film")
    file.write(edited(2), None, "film")
    assert not list(tmp_path.glob("*~")), "older versions would only fill the disk"
    file.let_go()
    left = next(left_work(tmp_path))
    assert left.project == edited(2)
    assert left.project_path is None
    left.file.remove()


def test_the_newest_work_comes_first(tmp_path: Path) -> None:
    for seconds in (1000, 3000, 2000):
        file = RecoveryFile.new(tmp_path)
        file.write(some_project(), None, str(seconds))
        file.let_go()
        os.utime(file.path, (seconds, seconds))
    assert [left.name for left in left_work(tmp_path)] == ["3000", "2000", "1000"]


@pytest.mark.parametrize("note", [None, "", "[]", '{"project": 3, "name": null}', "{"])
def test_a_lost_note_loses_no_work(tmp_path: Path, note: str | None) -> None:
    file = RecoveryFile.new(tmp_path)
    file.write(edited(1), Path("/films/film.huecast"), "film")
    file.let_go()
    path = file.path.with_suffix(".json")
    assert json.loads(path.read_text()) == {"project": "/films/film.huecast", "name": "film"}
    if note is None:
        path.unlink()
    else:
        path.write_text(note)
    left = next(left_work(tmp_path))
    assert left.project == edited(1)
    assert (left.project_path, left.name) == (None, "Untitled")


def test_what_cannot_be_read_is_passed_over_and_stays(tmp_path: Path) -> None:
    (tmp_path / "0011223344556677.huecast").write_bytes(b"damaged")
    assert list(left_work(tmp_path)) == []
    assert (tmp_path / "0011223344556677.huecast").exists()
    assert not lock_path(tmp_path / "0011223344556677.huecast").exists()
    assert list(left_work(tmp_path / "none")) == []
