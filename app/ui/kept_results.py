"""Carried color between sessions: written as it comes, and brought back when a project is opened again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from app.project.document import Project
from app.project.result_cache import ResultCache, maker
from app.results import BUDGET_BYTES, Result, ResultStore, Signatures
from propagation.errors import PropagationError


class KeptResults(QObject):
    """The result store's copy on the disk, on a thread of its own. A cache: whatever fails costs only time."""

    brought_back = Signal(int)
    """So many frames have their color from before."""
    failed = Signal(object)
    """Writing failed; said once."""
    _read = Signal(int, int, object)
    """Number of the project, frame, Result; or frame -1 and how many there were."""

    def __init__(self, results: ResultStore, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._results, self._folder = results, folder
        self._cache: ResultCache | None = None
        self._serial = 0
        self._fails = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="results")
        self._read.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def keep(self, frame: int) -> None:
        """Writes the result of `frame`."""
        result = self._results.get(frame)
        if result is not None:
            self._thread.submit(self._write, frame, result)

    def fetch(self, project: Project) -> None:
        """Brings back what is known of `project`, whose results are empty; what was asked for before is dropped."""
        self._serial += 1
        if project.source is not None and project.keys:
            self._thread.submit(self._fetch, self._serial, project)

    def stop(self) -> None:
        """Ends the thread after what is to be written."""
        self._serial += 1
        self._thread.shutdown(wait=True)

    def _take(self, serial: int, frame: int, found: object) -> None:
        if serial != self._serial:
            return
        if isinstance(found, Result):
            if self._results.get(frame) is None:
                self._results.put(frame, found.ab, found.signature, frame, is_carried=found.is_carried)
        elif isinstance(found, int):
            self.brought_back.emit(found)

    # On the thread.

    @property
    def _opened(self) -> ResultCache:
        if self._cache is None:
            self._cache = ResultCache(self._folder, maker())
        return self._cache

    def _write(self, frame: int, result: Result) -> None:
        try:
            self._opened.write(frame, result.signature, result.ab)
        except (PropagationError, OSError) as error:
            if not self._fails:
                self._fails = True
                self.failed.emit(error)

    def _fetch(self, serial: int, project: Project) -> None:
        told = Signatures(project)
        signatures = [told.of(frame) for frame in range(project.frame_count)]
        start = project.key_numbers()[0]
        room, count = BUDGET_BYTES, 0
        for frame in sorted(self._opened.known(signatures), key=lambda frame: abs(frame - start)):
            if serial != self._serial or room <= 0:
                break
            ab = self._opened.read(frame, signatures[frame])
            if ab is not None:
                room, count = room - ab.nbytes, count + 1
                self._read.emit(serial, frame, Result(ab, signatures[frame], frame not in project.keys))
        self._read.emit(serial, -1, count)
