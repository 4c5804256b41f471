"""Two windows on one project: the second is told, and a lock of the dead is not honoured."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.errors import ProjectLockedError
from app.project.lock import ProjectLock, lock_path


def test_a_second_lock_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    first, second = ProjectLock(tmp_path / "film.huecast"), ProjectLock(tmp_path / "film.huecast")
    first.take()
    with pytest.raises(ProjectLockedError, match="open in this program"):
        second.take()
    first.release()
    second.take()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_releasing_what_was_never_taken_leaves_the_others_lock(tmp_path: Path) -> None:
    first, second = ProjectLock(tmp_path / "film.huecast"), ProjectLock(tmp_path / "film.huecast")
    first.take()
    second.release()
    assert first.path.exists()


def test_a_living_process_is_named(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        lock_path(tmp_path / "film.huecast").write_text(json.dumps({"host": socket.gethostname(), "pid": other.pid}))
        with pytest.raises(ProjectLockedError, match=f"process {other.pid}"):
            ProjectLock(tmp_path / "film.huecast").take()
        other.communicate(b"\n")


def test_a_lock_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as other:
        other.wait()
    lock_path(tmp_path / "film.huecast").write_text(json.dumps({"host": socket.gethostname(), "pid": other.pid}))
    lock = ProjectLock(tmp_path / "film.huecast")
    lock.take()
    assert json.loads(lock.path.read_text())["pid"] == os.getpid()


def test_a_process_number_used_again_is_not_the_holder(tmp_path: Path) -> None:
    told = {"host": socket.gethostname(), "pid": os.getppid(), "born": "1"}
    lock_path(tmp_path / "film.huecast").write_text(json.dumps(told))
    if Path("/proc/self/stat").exists():
        ProjectLock(tmp_path / "film.huecast").take()
        assert json.loads(lock_path(tmp_path / "film.huecast").read_text())["pid"] == os.getpid()


def test_another_machines_lock_stands(tmp_path: Path) -> None:
    lock_path(tmp_path / "film.huecast").write_text(json.dumps({"host": "studio-7", "pid": 1}))
    with pytest.raises(ProjectLockedError, match="a window on studio-7"):
        ProjectLock(tmp_path / "film.huecast").take()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 3}', "null"])
def test_a_damaged_lock_is_replaced(tmp_path: Path, content: str) -> None:
    lock_path(tmp_path / "film.huecast").write_text(content)
    ProjectLock(tmp_path / "film.huecast").take()
    assert json.loads(lock_path(tmp_path / "film.huecast").read_text())["pid"] == os.getpid()


def test_a_folder_that_cannot_be_written_needs_no_lock(tmp_path: Path) -> None:
    ProjectLock(tmp_path / "gone" / "film.huecast").take()
    assert not (tmp_path / "gone").exists()
