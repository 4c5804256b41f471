"""Propagate in the window: runs the carrying job over what is out of date and keeps each frame as it is done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from app.carrying import CarrySettings, ColoredFrame, carry_job
from app.errors import EditError
from app.exporting import WORK_SIZE, frame_reader
from app.pipeline import Cuts, Pipeline
from app.progress import CancelToken, Progress
from app.project.document import Project
from app.project.plan import job_keyframes
from app.results import FrameState, ResultStore, Signatures
from app.ui.runner import JobRunner


class Propagation(QObject):
    """One run at a time; a newer one ends the one before it, and nothing of that appears any more."""

    colored = Signal(int)
    """The color of a frame is there."""
    made = Signal(int, object)
    """A frame and its Result, which may have left the memory already."""
    progress = Signal(object)
    ended = Signal(str)
    """The run is over, in words."""
    failed = Signal(object)

    def __init__(
        self, results: ResultStore, viewed: Callable[[], int], stages: Callable[[], Pipeline], device: str,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._device = device
        self._results, self._viewed, self._stages = results, viewed, stages
        self._signatures: Signatures | None = None
        self._frames = range(0)
        self._done = 0
        self._searches: dict[tuple[object, range], Cuts] = {}
        self.runner = JobRunner(self)
        self.runner.progress.connect(self._told)
        self.runner.produced.connect(self._keep)
        self.runner.finished.connect(self._finished)
        self.runner.stopped.connect(self._stopped)
        self.runner.failed.connect(self.failed)

    @property
    def running(self) -> bool:
        """Whether frames are being carried."""
        return self.runner.running

    def start(self, project: Project) -> bool:
        """Carries over the range's frames that are out of date; False when there are none. EditError without a key."""
        if project.source is None or not project.keys:
            raise EditError(
                "There is no key frame to carry color from",
                advice="Paint on a frame first, or import a colored picture of it",
            )
        states = self._results.states(project)
        stale = [n for n in project.range if states[n] is not FrameState.FRESH]
        if not stale:
            return False
        self._frames = range(stale[0], stale[-1] + 1)
        self._signatures = Signatures(project)
        self._done = 0
        frames, device = self._frames, self._device

        def job(cancel: CancelToken) -> Generator[Progress | ColoredFrame, None, int]:
            stages = self._with_known_cuts(self._stages(), project)
            settings = CarrySettings(
                Path(project.source.path) if project.source else Path(),
                job_keyframes(project, frame_reader(project)),
                frames.start,
                frames.stop,
                project.settings.direction,
                device=device,
                size=project.settings.work_size or WORK_SIZE,
            )
            try:
                return (yield from carry_job(settings, cancel, stages))
            finally:
                # What is not finished holds on to the frames that it reads from.
                self._searches = {place: search for place, search in self._searches.items() if search.finished}

        self.runner.start(job)
        return True

    def _with_known_cuts(self, stages: Pipeline, project: Project) -> Pipeline:
        """`stages` that search a run of frames no more once a search of it has come to its end: correcting and
        propagating again reads no frame for cuts."""
        mark = project.source.fingerprint if project.source else None

        def search_cuts(read: Callable[[int], Any], frames: range) -> Cuts:
            place = (mark, frames)
            if place not in self._searches:
                self._searches[place] = stages.search_cuts(read, frames)
            return self._searches[place]

        return replace(stages, search_cuts=search_cuts)

    def stop(self) -> None:
        """Ends the run at once; frames that are done stay."""
        self.runner.stop()

    def close(self) -> None:
        """Ends the run and waits for it."""
        self.runner.close()

    def _told(self, progress: Progress) -> None:
        self.progress.emit(progress)

    def _keep(self, frame: Any) -> None:
        if not isinstance(frame, ColoredFrame) or self._signatures is None:
            return
        self._done += 1
        signature = self._signatures.of(frame.index)
        known = self._results.get(frame.index)
        if known is None or known.is_carried or known.signature != signature:
            self.made.emit(frame.index, self._results.put(frame.index, frame.ab, signature, self._viewed()))
        self.colored.emit(frame.index)

    def _finished(self, count: object) -> None:
        missed = len(self._frames) - self._done
        words = f"{self._done} frames colored"
        if missed > 0:
            words += f"; {missed} lie in shots without a key frame, or where the direction does not reach"
        self.ended.emit(words)

    def _stopped(self) -> None:
        self.ended.emit(f"Stopped; {self._done} frames are done")
