"""Carried color between sessions: written as it comes, and brought back when a project is opened again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PySide6.QtCore import QObject, Qt, Signal

from app.project.document import Project
from app.project.result_cache import ResultCache, maker
from app.results import Result, ResultStore, Signatures
from propagation.errors import PropagationError

AHEAD_FRAMES = 16


class KeptResults(QObject):
    """The result store's copy on the disk, on a thread of its own. A cache: whatever fails costs only time."""

    brought_back = Signal(int)
    """So many frames have their color from before."""
    recalled = Signal(int)
    """A result that was not in memory is again, or turned out to be gone."""
    failed = Signal(object)
    """Writing failed; said once."""
    _read = Signal(int, int, object)
    """Number of the project, frame, and its Result, or its signature when it is only known to be there, or None when it
    is gone; at the end frame -1 and how many there were."""

    def __init__(self, results: ResultStore, folder: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._results, self._folder = results, folder
        self._cache: ResultCache | None = None
        self._serial = 0
        self._fails = False
        self._asked: set[int] = set()
        self._viewed: int | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="results")
        self._read.connect(self._take, Qt.ConnectionType.QueuedConnection)

    def keep(self, frame: int, result: Result) -> None:
        """Writes the result of `frame`."""
        self._thread.submit(self._write, frame, result)

    def fetch(self, project: Project) -> None:
        """Brings back what is known of `project`, whose results are empty; what was asked for before is dropped."""
        self._serial += 1
        self._asked.clear()
        if project.source is not None and project.keys:
            self._thread.submit(self._fetch, self._serial, project)

    def recall(self, viewed: int, direction: int) -> None:
        """Reads the results that the view comes to and that are not in memory."""
        steps = range(-1 if direction > 0 else 1, AHEAD_FRAMES * direction, direction)
        for frame in sorted((viewed + step for step in steps), key=lambda frame: abs(frame - viewed)):
            signature = self._results.elsewhere.get(frame)
            if signature is not None and frame not in self._asked:
                self._asked.add(frame)
                self._viewed = viewed
                self._thread.submit(self._recall, self._serial, frame, signature)

    def stop(self) -> None:
        """Ends the thread after what is to be written."""
        self._serial += 1
        self._thread.shutdown(wait=True)

    def _take(self, serial: int, frame: int, found: object) -> None:
        if serial != self._serial:
            return
        if isinstance(found, Result):
            if self._results.get(frame) is None:
                viewed = frame if self._viewed is None else self._viewed
                self._results.put(frame, found.ab, found.signature, viewed, is_carried=found.is_carried)
            if frame in self._asked:
                self._asked.discard(frame)
                self.recalled.emit(frame)
        elif isinstance(found, str):
            # Known by its name alone; read when the view comes to it.
            if self._results.get(frame) is None:
                self._results.elsewhere[frame] = found
        elif isinstance(found, int):
            self.brought_back.emit(found)
        else:
            self._asked.discard(frame)
            self._results.drop(frame)
            self.recalled.emit(frame)

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
        room, count = self._results.budget_bytes, 0
        for frame in sorted(self._opened.known(signatures), key=lambda frame: abs(frame - start)):
            if serial != self._serial:
                break
            found: Result | str | None = signatures[frame]
            if room > 0:
                ab = self._opened.read(frame, signatures[frame])
                found = None if ab is None else Result(ab, signatures[frame], frame not in project.keys)
                room -= 0 if ab is None else ab.nbytes
            if found is not None:
                count += 1
                self._read.emit(serial, frame, found)
        self._read.emit(serial, -1, count)

    def _recall(self, serial: int, frame: int, signature: str) -> None:
        ab = self._opened.read(frame, signature) if serial == self._serial else None
        self._read.emit(serial, frame, None if ab is None else Result(ab, signature))
