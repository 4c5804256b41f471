"""The background worker for inference: previews under the brush in one lane, a long job in the other.

Every request carries a generation number. A preview that was overtaken is dropped before it is computed when it can be
and after when it cannot; whatever a stopped or superseded job still says is never passed on. The two lanes may compute
at once: the kernels let go of the interpreter lock and share no state.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Qt, Signal

from app.keyframes import Keyframe
from app.live import LiveColor, LiveFrame
from app.pipeline import Pipeline
from app.progress import Cancelled, CancelToken, Progress
from app.project.raster import Rect

if TYPE_CHECKING:
    from propagation.video.frame import Frame

Job = Callable[[CancelToken], Generator[Any, None, Any]]
KEPT_FRAMES = 3


@dataclass
class PreviewRequest:
    """What to fill: a frame, the blocks of hints that changed since the last request, or a full picture."""

    generation: int
    index: int
    frame: Frame
    size: int
    patches: list[tuple[Rect, NDArray[np.uint8]]] = field(default_factory=list)
    picture: Keyframe | None = None
    fill: bool = True
    draft: bool = False


class Preview(QObject):
    """Fills the frame under the brush on a thread of its own; the newest request wins, and loses no patch."""

    filled = Signal(object, object)
    """The request that was answered, and its LiveColor or None where nothing is said."""
    ready = Signal()
    """The networks are loaded."""
    failed = Signal(object)

    def __init__(self, load: Callable[[], tuple[Pipeline, Any]], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._load = load
        self._change = threading.Condition()
        self._pending: OrderedDict[int, PreviewRequest] = OrderedDict()
        self._forget = False
        self._stopping = False
        self._kept: OrderedDict[int, LiveFrame] = OrderedDict()
        self._thread = threading.Thread(target=self._work, name="preview", daemon=True)

    def start(self) -> None:
        """Starts the thread, which loads the networks first; call it once the window is on the screen."""
        self._thread.start()

    def ask(self, request: PreviewRequest) -> None:
        """Asks for a fill; patches of a request for the same frame that was not begun yet are kept.

        A fill of another frame that was not begun waits behind this one; what only was to be prepared is dropped.
        """
        with self._change:
            waiting = self._pending.pop(request.index, None)
            for other in [n for n, older in self._pending.items() if not older.fill]:
                del self._pending[other]
            if waiting is not None and request.picture is None:
                request.patches = waiting.patches + request.patches
                request.fill = request.fill or waiting.fill
                if not request.patches:
                    request.picture = waiting.picture
            self._pending[request.index] = request
            self._change.notify()

    def forget(self) -> None:
        """Drops everything kept, as when another clip is opened."""
        with self._change:
            self._pending.clear()
            self._forget = True
            self._change.notify()

    def stop(self) -> None:
        """Ends the thread after what it is computing."""
        with self._change:
            self._stopping = True
            self._change.notify()
        if self._thread.is_alive():
            self._thread.join(timeout=30)

    def _work(self) -> None:
        try:
            stages, densifier = self._load()
        except Exception as error:  # noqa: BLE001  (missing weights and the like are worded by the window)
            self.failed.emit(error)
            return
        self.ready.emit()
        while True:
            with self._change:
                while not self._pending and not self._stopping and not self._forget:
                    self._change.wait()
                if self._stopping:
                    return
                if self._forget:
                    self._forget = False
                    self._kept.clear()
                request = self._pending.popitem()[1] if self._pending else None
            if request is not None:
                self._answer(request, stages, densifier)

    def _answer(self, request: PreviewRequest, stages: Pipeline, densifier: Any) -> None:
        try:
            live = self._live(request, stages, densifier)
            for rect, rgba in request.patches:
                live.patch(rect, rgba)
            if request.picture is not None:
                live.set_picture(request.picture)
            color: LiveColor | None = None
            if request.fill:
                color = live.fill(draft=request.draft)
            else:
                live.prepare(draft=request.draft)
        except Exception as error:  # noqa: BLE001  (worded by the window; the worker lives on)
            self._kept.pop(request.index, None)
            self.failed.emit(error)
            return
        if request.fill:
            self.filled.emit(request, color)

    def _live(self, request: PreviewRequest, stages: Pipeline, densifier: Any) -> LiveFrame:
        live = self._kept.pop(request.index, None)
        if live is None or live.size != request.size:
            live = LiveFrame(request.frame, request.size, densifier, stages)
        self._kept[request.index] = live
        while len(self._kept) > KEPT_FRAMES:
            self._kept.popitem(last=False)
        return live


class JobRunner(QObject):
    """Runs one long job at a time; starting another stops the one before, and its late words are not passed on."""

    progress = Signal(object)
    """Progress of the running job."""
    produced = Signal(object)
    """Anything else that the job yields, such as a colored frame."""
    finished = Signal(object)
    """The job's outcome."""
    stopped = Signal()
    failed = Signal(object)
    _said = Signal(int, str, object)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._generation = 0
        self._cancel: CancelToken | None = None
        self._threads: list[threading.Thread] = []
        self._running = False
        self._said.connect(self._pass_on, Qt.ConnectionType.QueuedConnection)

    @property
    def running(self) -> bool:
        """Whether a job is at work and was not asked to stop."""
        return self._running

    def start(self, job: Job) -> int:
        """Stops what runs and starts `job`; returns its generation."""
        self._supersede()
        self._generation += 1
        self._cancel = CancelToken()
        self._running = True
        before = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(
            target=self._work, args=(self._generation, job, self._cancel, before), name="job", daemon=True
        )
        self._threads = [*before, thread]
        thread.start()
        return self._generation

    def stop(self) -> None:
        """Stops the running job; `stopped` is said at once and nothing of the job afterwards."""
        if self._running:
            self._supersede()
            self.stopped.emit()

    def close(self) -> None:
        """Stops the running job and waits for its thread."""
        self._supersede()
        for thread in self._threads:
            thread.join(timeout=30)

    def _supersede(self) -> None:
        if self._cancel is not None:
            self._cancel.cancel()
        self._generation += 1
        self._running = False

    def _work(self, generation: int, job: Job, cancel: CancelToken, before: list[threading.Thread]) -> None:
        # Two jobs never compute at once: what was asked to stop ends within a frame.
        for thread in before:
            thread.join()
        try:
            steps = job(cancel)
            while True:
                cancel.check()
                try:
                    step = next(steps)
                except StopIteration as end:
                    self._said.emit(generation, "finished", end.value)
                    return
                kind = "progress" if isinstance(step, Progress) else "produced"
                self._said.emit(generation, kind, step)
        except Cancelled:
            self._said.emit(generation, "stopped", None)
        except Exception as error:  # noqa: BLE001  (worded by the window)
            self._said.emit(generation, "failed", error)
        finally:
            if "steps" in locals():
                steps.close()

    def _pass_on(self, generation: int, kind: str, value: object) -> None:
        if generation != self._generation:
            return
        if kind in ("finished", "failed", "stopped"):
            self._running = False
        if kind == "stopped":
            self.stopped.emit()
        else:
            getattr(self, kind).emit(value)
