"""Keeps unsaved work on the disk while one works, so that a crash costs seconds, and offers it at the next start."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, QStandardPaths, QTimer, Signal
from PySide6.QtWidgets import QWidget

from app.project.document import Project
from app.project.recovery import LeftWork, RecoveryFile, left_work
from app.ui import messages
from app.ui.session import Session
from propagation.errors import PropagationError

EVERY_MS = 4000
# A project so large that writing it takes long is written more seldom: at most one part in so many of the time.
SHARE = 20


class Recovery(QObject):
    """Writes the project within seconds of a change, on a thread of its own, until it is saved."""

    failed = Signal(object)
    """Writing failed; said once until it works again."""

    def __init__(self, session: Session, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.folder = folder
        self._file = RecoveryFile.new(folder)
        self._is_there = False
        self._fails = False
        self._pause_ms = EVERY_MS
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="recovery")
        self._later = QTimer(self, singleShot=True)
        self._later.timeout.connect(self.write_now)
        session.changed.connect(self._changed)
        session.replaced.connect(self._changed)
        session.state_changed.connect(self._changed)

    def write_now(self) -> None:
        """Writes unsaved work without waiting for the next time."""
        self._later.stop()
        if self._session.unsaved:
            self._is_there = True
            self._writer.submit(self._write, self._file, self._session.project, self._session.path, self._session.name)

    def take_up(self, left: LeftWork) -> None:
        """Goes on with work that was left behind, and with its file."""
        self._session.recover(left.project, left.project_path)
        self._drop()
        self._file, self._is_there = left.file, True

    def forget(self) -> None:
        """The user has decided about the work: nothing is to be recovered."""
        self._later.stop()
        self._drop()

    def stop(self) -> None:
        """Ends the thread. Work that nobody has decided about is written once more and left for the next start."""
        if self._is_there or self._later.isActive():
            self.write_now()
        self._later.stop()
        self._writer.submit(self._file.let_go)
        self._writer.shutdown(wait=True)

    def _changed(self, *_: object) -> None:
        if not self._session.unsaved:
            self.forget()
        elif not self._later.isActive():
            self._later.start(self._pause_ms)

    def _drop(self) -> None:
        if self._is_there:
            self._is_there = False
            self._writer.submit(self._file.remove)
            self._file = RecoveryFile.new(self.folder)

    def _write(self, file: RecoveryFile, project: Project, path: Path | None, name: str) -> None:
        begun_s = time.monotonic()
        try:
            file.write(project, path, name)
        except (PropagationError, OSError) as error:
            if not self._fails:
                self._fails = True
                self.failed.emit(error)
            return
        self._fails = False
        self._pause_ms = max(EVERY_MS, round((time.monotonic() - begun_s) * 1000 * SHARE))


def offer(window: QWidget, recovery: Recovery) -> LeftWork | None:
    """Asks about everything that was left behind until something is taken up; None when nothing is."""
    for left in left_work(recovery.folder):
        when = datetime.fromtimestamp(left.written_s)
        words = f"{when:%H:%M}" if when.date() == datetime.now().date() else f"{when:%d %B %Y, %H:%M}"
        keys = len(left.project.keys)
        answer = messages.choose(
            window, "Unsaved work",
            f"Huecast ended without closing. Unsaved work on {left.name} was kept, from {words}.",
            f"It has {keys} key frame{'' if keys == 1 else 's'}. The saved project, if there is one, stays as it is "
            "until you save.",
            ("Recover", "Discard", "Not now"),
        )
        if answer == 0:
            recovery.take_up(left)
            return left
        if answer == 1:
            left.file.remove()
        else:
            left.file.let_go()
    return None


def own_folder(settings: QSettings, name: str, place: QStandardPaths.StandardLocation) -> Path:
    """A folder of the program's own: beside a settings file that was chosen, else where the system wants it."""
    if settings.format() == QSettings.Format.IniFormat:
        return Path(settings.fileName()).parent / name
    return Path(QStandardPaths.writableLocation(place)) / name
