"""The export dialog: what the command line can write, with progress and a stop that leaves nothing half done."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QCloseEvent, QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from app.exporting import ExportSettings, export_job
from app.jobs import Outcome
from app.pipeline import Pipeline
from app.progress import CancelToken, Progress
from app.project.document import Project
from app.ui import messages
from app.ui.naming import named
from app.ui.runner import JobRunner


@dataclass(frozen=True)
class Format:
    """One kind of output."""

    words: str
    suffix: str
    tip: str
    is_video: bool = True


PATTERN = "%05d"
VIDEO_TIP = "8 bits, 10 where the clip has more; sound is copied"
FORMATS = (
    Format("MP4 video (H.264, plays everywhere)", ".mp4", VIDEO_TIP),
    Format("MOV video (H.264)", ".mov", VIDEO_TIP),
    Format("MKV video (H.264)", ".mkv", f"{VIDEO_TIP}, whatever its kind"),
    Format("PNG pictures (lossless)", "/%05d.png", "One picture a frame, numbered by the clip's frames; "
           "16 bits where the clip has more than 8", False),
)
STAGES = {
    "check": "Checking the key frames",
    "densify": "Filling key frames",
    "color": "Coloring and writing",
    "light": "Carrying light and writing",
    "finish": "Checking the file",
}


class ExportDialog(QDialog):
    """Asks for format, place and range, then writes. What is written is `_job`'s."""

    formats: tuple[Format, ...] = FORMATS
    what_words = "Color"
    """What is carried over the range."""
    ending = "color"
    """What the suggested name ends in."""
    colored_words = "with color"
    """What the frames are that an outcome counts as colored."""
    exported = Signal(object)
    """The Outcome."""

    def __init__(
        self,
        project: Project,
        name: str,
        folder: Path,
        colors: Mapping[int, NDArray[np.floating]],
        stages: Callable[[], Pipeline],
        device: str = "auto",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setMinimumWidth(520)
        self._project, self._colors, self._stages = project, colors, stages
        self._device = device
        self._started_s = 0.0
        self._was_there = False
        self._out: Path | None = None
        self.runner = JobRunner(self)
        self.runner.progress.connect(self._show_progress)
        self.runner.finished.connect(self._finished)
        self.runner.failed.connect(self._failed)
        self.runner.stopped.connect(self._stopped)
        self.format = named(QComboBox(), "format")
        for kind in self.formats:
            self.format.addItem(kind.words)
        self.place = named(QLineEdit(str(folder / f"{name}-{self.ending}.mp4")), "place")
        self.browse = QPushButton("Choose…")
        self.range_marks = named(QRadioButton(self._range_words()), "range_marks")
        self.range_all = named(QRadioButton(f"Whole clip (frames 0 to {project.frame_count - 1})"), "range_all")
        self.note = named(QLabel(wordWrap=True), "dim")
        self.bar = named(QProgressBar(textVisible=False), "bar")
        self.status = named(QLabel(wordWrap=True, textFormat=Qt.TextFormat.PlainText), "status")
        self.start_button = named(QPushButton("Export", default=True), "start")
        self.stop_button = named(QPushButton("Close"), "stop")
        self.show_button = named(QPushButton("Show in folder"), "show")
        self._lay_out()
        self._connect()
        self._format_changed()

    def _range_words(self) -> str:
        run = self._project.range
        return f"Between the marks (frames {run.start} to {run.stop - 1})"

    def _lay_out(self) -> None:
        place = QHBoxLayout()
        place.addWidget(self.place, 1)
        place.addWidget(self.browse)
        ranges = QVBoxLayout()
        group = QButtonGroup(self)
        for button in (self.range_marks, self.range_all):
            ranges.addWidget(button)
            group.addButton(button)
        has_marks = self._project.mark_in is not None or self._project.mark_out is not None
        self.range_marks.setVisible(has_marks)
        (self.range_marks if has_marks else self.range_all).setChecked(True)
        form = QFormLayout()
        form.addRow("Format", self.format)
        form.addRow("To", place)
        form.addRow(self.what_words, ranges)
        form.addRow("", self.note)
        buttons = QHBoxLayout()
        buttons.addWidget(self.show_button)
        buttons.addStretch(1)
        buttons.addWidget(self.stop_button)
        buttons.addWidget(self.start_button)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.bar)
        layout.addWidget(self.status)
        layout.addLayout(buttons)
        self.bar.hide()
        self.show_button.hide()

    def _connect(self) -> None:
        self.format.currentIndexChanged.connect(self._format_changed)
        self.browse.clicked.connect(self._browse)
        self.start_button.clicked.connect(self.start)
        self.stop_button.clicked.connect(self._stop_or_close)
        self.show_button.clicked.connect(self._show_in_folder)

    @property
    def chosen(self) -> Format:
        """The format in the list."""
        return self.formats[self.format.currentIndex()]

    def _format_changed(self) -> None:
        kind = self.chosen
        old = Path(self.place.text())
        base = old.parent.parent if old.stem == PATTERN else old.parent
        stem = old.parent.name if old.stem == PATTERN else old.stem
        self.place.setText(str(base / f"{stem}{kind.suffix}"))
        outside = "Frames without color leave as they came, with the clip's length and times kept. "
        self.note.setText(f"{kind.tip}. {outside if kind.is_video else ''}")

    def _browse(self) -> None:
        if self.chosen.is_video:
            path, _ = QFileDialog.getSaveFileName(
                self,
                "Export to",
                self.place.text(),
                f"Video (*{self.chosen.suffix})",
                options=QFileDialog.Option.DontConfirmOverwrite,
            )
        else:
            start = str(Path(self.place.text()).parent.parent)
            path = QFileDialog.getExistingDirectory(self, "Export to folder", start)
            path = f"{path}{self.chosen.suffix}" if path else ""
        if path:
            self.place.setText(path)

    def start(self) -> None:
        """Begins writing, after asking when something is there."""
        out = Path(self.place.text()).expanduser()
        if not self.place.text().strip():
            self.status.setText("Say where to write.")
            return
        if self.chosen.is_video and out.suffix.lower() != self.chosen.suffix:
            out = out.with_name(out.name + self.chosen.suffix)
            self.place.setText(str(out))
        there = self._what_is_there(out)
        if there and not messages.ask(self, "Export", there, "It is replaced only when the export is complete.",
                                      "Replace"):
            return
        self._out = out
        self._begin(self._job(out, bool(there)))

    def _frames(self) -> tuple[int, int]:
        run = range(self._project.frame_count) if self.range_all.isChecked() else self._project.range
        return run.start, run.stop

    def _what_is_there(self, out: Path) -> str:
        if self.chosen.is_video:
            return f"{out.name} is there already." if out.exists() else ""
        there = sorted(out.parent.glob(f"*{out.suffix}")) if out.parent.is_dir() else []
        return f"The folder {out.parent.name} holds {len(there)} pictures already." if there else ""

    def _job(self, out: Path, replace: bool) -> Callable[[CancelToken], Generator[Progress, None, Outcome]]:
        """The work itself; `replace` what is there already."""
        stages = self._stages
        settings = ExportSettings(self._project, out, *self._frames(), self._device, replace, self._colors)

        def job(cancel: CancelToken) -> Generator[Progress, None, Outcome]:
            return (yield from export_job(settings, cancel, stages()))

        return job

    def _begin(self, job: Callable[[CancelToken], Generator[Progress, None, Outcome]]) -> None:
        self._set_running(True)
        self.status.setText("Starting…")
        self._started_s = time.monotonic()
        self.runner.start(job)

    def _set_running(self, running: bool) -> None:
        for widget in (self.format, self.place, self.browse, self.range_all, self.range_marks, self.start_button):
            widget.setEnabled(not running)
        self.bar.setVisible(running)
        self.bar.setRange(0, 0)
        self.stop_button.setText("Stop" if running else "Close")
        self.show_button.hide()

    def _show_progress(self, progress: Progress) -> None:
        words = STAGES.get(progress.stage, progress.stage)
        if progress.stage in ("color", "light"):
            self.bar.setRange(0, progress.total)
            self.bar.setValue(progress.done)
            words += f": frame {progress.done} of {progress.total}{self._time_left(progress)}"
        self.status.setText(words)

    def _time_left(self, progress: Progress) -> str:
        spent_s = time.monotonic() - self._started_s
        if progress.done < 5 or spent_s < 1:
            return ""
        left_s = spent_s / progress.done * (progress.total - progress.done)
        return f", {left_s:.0f} s left" if left_s < 90 else f", {left_s / 60:.0f} min left"

    def _finished(self, outcome: Any) -> None:
        self._set_running(False)
        notes = " ".join(outcome.notes)
        self.status.setText(f"Done: {outcome.frames} frames, {outcome.colored} of them {self.colored_words}. {notes}")
        self.show_button.show()
        self.stop_button.setDefault(True)
        self.exported.emit(outcome)

    def _failed(self, error: BaseException) -> None:
        self._set_running(False)
        self.status.setText("The export failed; nothing was left behind.")
        messages.show_error(self, "Export failed", error)

    def _stopped(self) -> None:
        self._set_running(False)
        self.status.setText("Stopped; nothing was left behind.")

    def _stop_or_close(self) -> None:
        if self.runner.running:
            self.runner.stop()
        else:
            self.reject()

    def reject(self) -> None:
        """Esc stops an export that runs, and closes the dialog otherwise."""
        if self.runner.running:
            self.runner.stop()
            return
        self.runner.close()
        super().reject()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802  (Qt's name)
        self.runner.close()
        super().closeEvent(event)

    def _show_in_folder(self) -> None:
        if self._out is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._out.parent)))
