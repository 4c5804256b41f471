"""The open project: its history, its file and its lock. Widgets read the document here and change it by commands."""

from __future__ import annotations

import contextlib
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.errors import EditError, ProjectLockedError
from app.project.commands import Command
from app.project.document import Project
from app.project.history import History, Push
from app.project.lock import ProjectLock
from app.project.media import Found
from app.project.store import open_project, save_project, sweep_leftovers
from app.ui.history import UndoAdapter


class Session(QObject):
    """One project at a time. `changed(before, after)` follows every edit, undo and redo; `replaced` another project."""

    changed = Signal(object, object)
    replaced = Signal()
    state_changed = Signal()
    """Undo, redo, the file's name or whether it is saved may have changed."""
    refused = Signal(object)
    """An EditError: the edit did not fit."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path: Path | None = None
        self._lock: ProjectLock | None = None
        self._undo: UndoAdapter
        self._take(History(Project()))

    @property
    def project(self) -> Project:
        """The document as it is now."""
        return self._undo.history.project

    @property
    def undo(self) -> UndoAdapter:
        """Undo and redo of this project."""
        return self._undo

    @property
    def unsaved(self) -> bool:
        """Whether closing would lose work."""
        return self._undo.history.unsaved

    @property
    def name(self) -> str:
        """What the title calls the project."""
        if self.path is not None:
            return self.path.name
        source = self.project.source
        return Path(source.path).stem if source else "Untitled"

    def do(self, command: Command) -> bool:
        """Does an edit; False, and `refused`, when it does not fit."""
        try:
            return self._undo.push(command) is not Push.NOTHING
        except EditError as error:
            self.refused.emit(error)
            return False

    def seal(self) -> None:
        """Ends the step that edits merge into, as when the brush is lifted."""
        self._undo.history.seal()

    def undo_step(self) -> None:
        """Takes the last edit back."""
        self._undo.undo()

    def redo_step(self) -> None:
        """Does the edit taken back last again."""
        self._undo.redo()

    def start(self, project: Project) -> None:
        """A new project without a file."""
        self.close()
        self._take(History(project))
        self.replaced.emit()
        self.state_changed.emit()

    def open(self, path: Path) -> Found:
        """Opens a project file and takes its lock; raises ProjectError or ProjectLockedError with the old one kept."""
        path = Path(path).absolute()
        if self.path == path and self._lock is not None:
            self._lock.release()
        lock = ProjectLock(path)
        lock.take()
        try:
            sweep_leftovers(path)
            opened = open_project(path)
        except Exception:
            lock.release()
            raise
        self.close()
        self.path, self._lock = path, lock
        self._take(History(opened.project))
        self.replaced.emit()
        self.state_changed.emit()
        return opened.source

    def recover(self, project: Project, path: Path | None) -> None:
        """Takes up work that was never saved; it goes to `path` when it is saved, where nobody else has that open."""
        self.close()
        if path is not None and path.parent.is_dir():
            lock = ProjectLock(path)
            with contextlib.suppress(ProjectLockedError):
                lock.take()
                self.path, self._lock = path, lock
        history = History(project)
        history.mark_unsaved()
        self._take(history)
        self.replaced.emit()
        self.state_changed.emit()

    def save(self, path: Path | None = None) -> None:
        """Writes the project to its file, or to `path` from now on. Raises OutputError, NoSpaceError, lock errors."""
        target = Path(path).absolute() if path is not None else self.path
        if target is None:
            raise ValueError("a project without a file needs a path to be saved")
        lock = self._lock
        if lock is None or target != self.path:
            lock = ProjectLock(target)
            lock.take()
        project = self.project
        try:
            save_project(project, target)
        except Exception:
            if lock is not self._lock:
                lock.release()
            raise
        if lock is not self._lock and self._lock is not None:
            self._lock.release()
        self.path, self._lock = target, lock
        self._undo.history.mark_saved(project)
        self.state_changed.emit()

    def close(self) -> None:
        """Lets go of the file."""
        if self._lock is not None:
            self._lock.release()
        self.path, self._lock = None, None

    def _take(self, history: History) -> None:
        if hasattr(self, "_undo"):
            self._undo.changed.disconnect(self.changed)
            self._undo.deleteLater()
        self._undo = UndoAdapter(history, self)
        self._undo.changed.connect(self.changed)
        self._undo.steps_changed.connect(self.state_changed)
