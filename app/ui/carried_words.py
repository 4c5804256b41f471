"""What the window says and shows while color is carried, and when carried color comes back from the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QObject, QTimer

from app.ui import messages

if TYPE_CHECKING:
    from app.ui.window import MainWindow

STATES_MS = 80
_STAGES = {"densify": "Filling key frames", "color": "Carrying color, frame"}


class CarriedWords(QObject):
    """Listens to the propagation and the kept results of a window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.states_later = QTimer(self, singleShot=True, interval=STATES_MS)
        self.states_later.timeout.connect(self.show_states)
        kept, propagation = window.kept_results, window.propagation
        kept.brought_back.connect(self._brought_back)
        kept.failed.connect(self._not_cached)
        kept.recalled.connect(self._recalled)
        propagation.made.connect(kept.keep)
        propagation.colored.connect(self._recalled)
        propagation.progress.connect(self._job_progress)
        propagation.ended.connect(self._job_ended)
        propagation.failed.connect(self._job_failed)

    def show_states(self) -> None:
        """Marks on the timeline what is up to date."""
        window = self._window
        window.timeline.set_states(window.results.states(window.session.project))
        window.verbs.enable()

    def _brought_back(self, count: int) -> None:
        self._window.frames.recheck()
        self.states_later.start()
        if count:
            self._window.say(f"The color of {count} frames is there from before")

    def _recalled(self, _: int) -> None:
        self._window.frames.recheck()
        if not self.states_later.isActive():
            self.states_later.start()

    def _not_cached(self, error: Exception) -> None:
        what, advice = messages.words_of(error)
        self._window.say(f"Carried color is not being kept for the next time. {what} {advice}")

    def _job_progress(self, progress: Any) -> None:
        bar = self._window.status_line.job_bar
        bar.show()
        bar.setRange(0, progress.total)
        bar.setValue(progress.done)
        stage = _STAGES.get(progress.stage, progress.stage)
        # Before the first one is done, the clip may have to be gone through to a key far away.
        where = f", at frame {progress.frame_index}" if not progress.done and progress.frame_index is not None else ""
        self._window.say(f"{stage}: {progress.done} of {progress.total}{where}. Esc stops")

    def _job_ended(self, words: str) -> None:
        window = self._window
        window.status_line.job_bar.hide()
        window.say(words)
        for frame in window.session.project.key_numbers():
            result = window.results.get(frame)
            if result is not None and window.results.is_fresh(window.session.project, frame):
                window.kept_results.keep(frame, result)
        self.show_states()

    def _job_failed(self, error: Exception) -> None:
        self._window.status_line.job_bar.hide()
        self.show_states()
        messages.show_error(self._window, "Propagation failed", error)
