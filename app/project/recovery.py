"""Unsaved work kept apart from its project, so that a crash costs seconds: written while one works, gone on closing.

All recovery files lie in one folder of the program's own. Each is a project file of its own right, with a lock that
tells whether the window that wrote it is still there, and a note that names the project it belongs to.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.errors import ProjectLockedError
from app.project.document import Project
from app.project.lock import ProjectLock
from app.project.media import Found
from app.project.store import SUFFIX, open_project, save_project, sweep_leftovers
from propagation.atomic import atomic_write
from propagation.errors import PropagationError


class RecoveryFile:
    """One window's recovery file; the lock beside it is held from the first write until `remove` or `let_go`."""

    def __init__(self, path: Path, lock: ProjectLock | None = None) -> None:
        self.path = path
        self._lock = lock
        self._told: dict[str, str | None] | None = None

    @classmethod
    def new(cls, folder: Path) -> RecoveryFile:
        """A file of a name that nobody else has, not written yet."""
        return cls(folder / f"{secrets.token_hex(8)}{SUFFIX}")

    def write(self, project: Project, project_path: Path | None, name: str) -> None:
        """Keeps `project` whole or leaves what was kept before. Raises OutputError, NoSpaceError."""
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self._lock is None:
            self._lock = ProjectLock(self.path)
            self._lock.take()
        told = {"project": None if project_path is None else str(project_path), "name": name}
        if told != self._told:
            with atomic_write(_note(self.path)) as temporary:
                temporary.write_text(json.dumps(told), encoding="utf-8")
            self._told = told
        save_project(project, self.path, keep_previous=False)

    def remove(self) -> None:
        """The work is saved or given up: nothing is to be recovered."""
        for path in (self.path, _note(self.path)):
            with contextlib.suppress(OSError):
                path.unlink()
        self.let_go()

    def let_go(self) -> None:
        """Leaves the file for the next start."""
        if self._lock is not None:
            self._lock.release()
        self._lock = self._told = None


@dataclass(frozen=True)
class LeftWork:
    """Unsaved work of a window that ended without closing. Its file is held by this process until it is decided on."""

    project: Project
    source: Found
    """What became of its clip."""
    file: RecoveryFile
    project_path: Path | None
    """The project file it was going to be saved to, if it had one."""
    name: str
    written_s: float
    """When, in seconds since the epoch."""


def left_work(folder: Path) -> Iterator[LeftWork]:
    """What windows that are gone left in `folder`, newest first; what cannot be read any more is passed over."""
    for path in sorted(folder.glob(f"*{SUFFIX}"), key=_written_s, reverse=True):
        lock = ProjectLock(path)
        try:
            lock.take()
        except ProjectLockedError:
            continue
        try:
            sweep_leftovers(path)
            opened = open_project(path)
        except PropagationError:
            lock.release()
            continue
        told = _read_note(path)
        target = told.get("project")
        yield LeftWork(
            opened.project,
            opened.source,
            RecoveryFile(path, lock),
            Path(target) if target else None,
            told.get("name") or "Untitled",
            _written_s(path),
        )


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _read_note(path: Path) -> dict[str, str]:
    try:
        told = json.loads(_note(path).read_text(encoding="utf-8")[:65536])
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: value for key, value in told.items() if isinstance(value, str)} if isinstance(told, dict) else {}


def _written_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
