"""The main window: puts the parts together and passes words between them. It keeps no state of the document."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QEvent, QPointF, QSettings, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QShowEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QLabel,
    QMainWindow,
    QMessageBox,
    QProgressBar,
    QScrollArea,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from app.pipeline import Pipeline
from app.project.document import Picture, Project
from app.project.plan import encode_picture, to_8_bit
from app.project.raster import Rect
from app.results import Result, ResultStore
from app.ui import messages, theme
from app.ui.actions import Actions
from app.ui.canvas import Canvas
from app.ui.color_panel import ColorPanel, hex_text, rgb_to_lab, warm_color_math
from app.ui.files import Files
from app.ui.frames import FrameService
from app.ui.held_keys import HeldKeys
from app.ui.naming import named
from app.ui.painting import Painting
from app.ui.panels import BrushPanel, LayerPanel, SidePanel
from app.ui.playback import Playback
from app.ui.propagation import Propagation
from app.ui.runner import Preview
from app.ui.session import Session
from app.ui.shortcuts import ENTRIES, LINES_ABOVE, make_actions, repaint_icons
from app.ui.timeline import Timeline
from app.ui.tools import Brush, ToolBox

if TYPE_CHECKING:
    from propagation.video.frame import ClipInfo, Frame

REST_MS = 160
MENUS = ("File", "Edit", "Tools", "Propagate", "Playback", "View", "Help")
WELCOME = "Open a clip (Ctrl+O) or drop one here.\n\nPaint on a frame and watch it fill, then propagate."


class MainWindow(QMainWindow):
    """One window with one project."""

    shown = Signal()
    """The window is on the screen for the first time."""

    def __init__(
        self, load: Callable[[], tuple[Pipeline, Any]], settings: QSettings | None = None, device: str = "auto"
    ) -> None:
        """`load` gives the stages and a densifier; it is called on the worker's thread and may be slow."""
        super().__init__()
        self.device = device
        self.settings = settings or QSettings()
        self._stages: Pipeline | None = None
        self._load = load
        self._is_shown = False
        self._is_closed = False
        self._has_networks = False
        self.session = Session(self)
        self.tools = ToolBox(self.session, self)
        self.results = ResultStore()
        self.frames = FrameService(self.results.get, self._compose, self)
        self.preview = Preview(self._load_once, self)
        self.painting = Painting(self.session, self.frames, self.results, self.preview, self)
        self.playback = Playback(self._is_ready, self)
        self.propagation = Propagation(self.results, lambda: self.playback.frame, self.wait_for_stages, device, self)
        self.files = Files(self, self.session, self.settings)
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._states_later = QTimer(self, singleShot=True, interval=80)
        self.actions_by_name = make_actions(self, theme.current())
        self._build()
        self._actions = Actions(self)
        self._held = HeldKeys(self)
        self._connect()
        self._restore()
        self._project_replaced()

    # Building.

    def _build(self) -> None:
        self.setWindowTitle("Huecast")
        self.setAcceptDrops(True)
        self.resize(1280, 800)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks)
        self.canvas = Canvas(self.tools)
        self.setCentralWidget(self.canvas)
        self.color_panel = ColorPanel(self.session)
        self.brush_panel = BrushPanel(self.tools)
        self.layer_panel = LayerPanel()
        self.canvas.layers = self.layer_panel.layers
        side = QScrollArea(widgetResizable=True)
        side.setFrameShape(QScrollArea.Shape.NoFrame)
        side.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        side.setWidget(SidePanel(self.color_panel, self.brush_panel, self.layer_panel))
        side.setMinimumWidth(268)
        self.timeline = Timeline()
        self._dock("Tools and color", side, Qt.DockWidgetArea.RightDockWidgetArea, "side")
        self._dock("Timeline", self._timeline_panel(), Qt.DockWidgetArea.BottomDockWidgetArea, "timeline_dock")
        self.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.BottomDockWidgetArea)
        self._build_menus()
        self._build_bars()
        self._build_status()

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea, name: str) -> None:
        dock = named(QDockWidget(title, self), name)
        dock.setWidget(widget)
        dock.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        dock.setTitleBarWidget(QWidget())
        self.addDockWidget(area, dock)

    def _timeline_panel(self) -> QWidget:
        panel = QWidget()
        layout = QVBoxLayout(panel)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        bar = QToolBar()
        bar.setIconSize(QSize(18, 18))
        names = ("first_frame", "previous_key", "previous_frame", "play", "next_frame", "next_key", "last_frame", "",
                 "mark_in", "mark_out", "", "keep_key", "clear_strokes", "", "propagate_backward", "propagate",
                 "propagate_forward", "stop")
        for name in names:
            if name:
                bar.addAction(self.actions_by_name[name])
            else:
                bar.addSeparator()
        self.place_words = named(QLabel(), "place")
        self.place_words.setContentsMargins(14, 0, 14, 0)
        bar.addWidget(self.place_words)
        layout.addWidget(bar)
        layout.addWidget(self.timeline, 1)
        return panel

    def _build_menus(self) -> None:
        menus = {name: self.menuBar().addMenu(name) for name in MENUS}
        for entry in ENTRIES:
            if entry.name in LINES_ABOVE:
                menus[entry.menu].addSeparator()
            menus[entry.menu].addAction(self.actions_by_name[entry.name])
            if entry.name == "sample":
                self.recent_menu = menus["File"].addMenu("Open recent")
        self.recent_menu.aboutToShow.connect(self._fill_recent)

    def _fill_recent(self) -> None:
        self.recent_menu.clear()
        for path in self.files.recent():
            action = self.recent_menu.addAction(path.name)
            action.setToolTip(str(path))
            action.triggered.connect(partial(self._open_recent, path))
        self.recent_menu.setDisabled(self.recent_menu.isEmpty())

    def _open_recent(self, path: Path, _: bool = False) -> None:
        self.files.open(path)

    def _build_bars(self) -> None:
        top = named(QToolBar("Main", movable=False), "main_bar")
        top.setIconSize(QSize(20, 20))
        for name in ("open", "save", "", "undo", "redo", "", "import_key", "export", "", "fit", "actual", "",
                     "before_after", "wipe", "", "shortcuts"):
            if name:
                top.addAction(self.actions_by_name[name])
            else:
                top.addSeparator()
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, top)
        left = named(QToolBar("Tools", movable=False), "tool_bar")
        left.setIconSize(QSize(22, 22))
        for name in ("brush", "eraser", "protect", "picker", "pan"):
            left.addAction(self.actions_by_name[name])
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, left)
        for bar in (top, left):
            bar.toggleViewAction().setVisible(False)

    def _build_status(self) -> None:
        self.status_words = named(QLabel(), "status_words")
        self.cursor_words = named(QLabel(), "cursor_words")
        self.zoom_words = named(QLabel(), "zoom_words")
        self.bar = named(QProgressBar(textVisible=False), "job_bar")
        self.bar.setFixedSize(160, 10)
        self.bar.hide()
        self.statusBar().addWidget(self.status_words, 1)
        self.busy_words = named(QLabel("Loading the networks…"), "busy_words")
        for widget in (self.busy_words, self.bar, self.cursor_words, self.zoom_words):
            self.statusBar().addPermanentWidget(widget)
        self.statusBar().setSizeGripEnabled(False)
        self.statusBar().setContentsMargins(8, 0, 8, 2)
        for words in (self.cursor_words, self.zoom_words):
            words.setContentsMargins(10, 0, 0, 0)

    def _connect(self) -> None:
        session, frames, playback = self.session, self.frames, self.playback
        session.changed.connect(self._project_changed)
        session.replaced.connect(self._project_replaced)
        session.state_changed.connect(self._state_changed)
        session.refused.connect(lambda error: messages.show_error(self, "That does not fit", error))
        frames.opened.connect(self._clip_opened)
        frames.failed.connect(self._reading_failed)
        frames.frame_ready.connect(self._frame_ready)
        frames.color_ready.connect(self._color_ready)
        frames.thumbnail_ready.connect(self.timeline.add_thumbnail)
        self.preview.failed.connect(self._preview_failed)
        self.painting.hints_changed.connect(self._hints_changed)
        self.painting.filled.connect(self._filled)
        self.painting.busy.connect(self._show_busy)
        self.preview.ready.connect(self._networks_ready)
        playback.moved.connect(self._moved)
        playback.playing_changed.connect(self._playing_changed)
        self.propagation.colored.connect(self._carried)
        self.propagation.progress.connect(self._job_progress)
        self.propagation.ended.connect(self._job_ended)
        self.propagation.failed.connect(self._job_failed)
        timeline = self.timeline
        timeline.sought.connect(playback.go)
        timeline.marks_dragged.connect(self._actions.drag_marks)
        timeline.drag_ended.connect(session.seal)
        timeline.thumbnails_wanted.connect(frames.want_thumbnails)
        self.canvas.hovered.connect(self._hovered)
        self.canvas.picked.connect(self._picked)
        self.canvas.zoomed.connect(lambda scale: self.zoom_words.setText(f"{scale * 100:.0f} %"))
        self.canvas.refused.connect(self.say)
        self.tools.changed.connect(self._brush_changed)
        self.color_panel.chosen.connect(self._color_chosen)
        self.layer_panel.changed.connect(self._layers_changed)
        self.tools.picture_under = self._carried_picture
        self._rest.timeout.connect(self._rested)
        self._states_later.timeout.connect(self._show_states)
        self._brush_changed(self.tools.brush)

    def _restore(self) -> None:
        geometry = self.settings.value("geometry")
        if geometry is not None:
            self.restoreGeometry(geometry)

    # The networks.

    def _load_once(self) -> tuple[Pipeline, Any]:
        warm_color_math()
        stages, densifier = self._load()
        self._stages = stages
        return stages, densifier

    def wait_for_stages(self) -> Pipeline:
        """The stages, on a worker's thread; loads them there when nothing has yet."""
        if self._stages is None:
            self._stages = self._load()[0]
        return self._stages

    def _compose(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        from app.live import show_carried

        return show_carried(frame, result.ab, self.wait_for_stages())

    # The project.

    def _project_replaced(self) -> None:
        project = self.session.project
        self.propagation.stop()
        self.results.clear()
        self.playback.set_clip(None)
        self.canvas.can_paint = False
        self.canvas.set_source(None)
        self.canvas.set_color(None)
        self.canvas.message = "Opening…" if project.source else WELCOME
        self.timeline.set_clip(0, 16 / 9)
        self.timeline.set_project(project)
        self.frames.open(Path(project.source.path) if project.source else None)
        self._state_changed()

    def _project_changed(self, before: Project, after: Project) -> None:
        if before.source != after.source and after.source is not None:
            self.results.clear()
            self.painting.reset()
            self.canvas.message = "Opening…"
            self.canvas.can_paint = False
            self.frames.open(Path(after.source.path))
        if before.keys is not after.keys or before.range != after.range or before.settings != after.settings:
            self.timeline.set_project(after)
            self.playback.set_range(after.range)
            self._states_later.start()
        self._show_place()

    def _state_changed(self) -> None:
        session, undo = self.session, self.session.undo
        self.setWindowTitle(f"{'• ' if session.unsaved else ''}{session.name} — Huecast")
        self.setWindowModified(False)
        for name, can, label in (
            ("undo", undo.can_undo, undo.history.undo_label),
            ("redo", undo.can_redo, undo.history.redo_label),
        ):
            action = self.actions_by_name[name]
            action.setEnabled(can)
            action.setText(f"{name.capitalize()} {label[0].lower()}{label[1:]}" if label else name.capitalize())
        self._enable()

    def _enable(self) -> None:
        project, frame = self.session.project, self.playback.frame
        key, has_clip = project.key(frame), self.playback.count > 0
        can = {
            "save": self.session.unsaved or self.session.path is None,
            "relink": project.source is not None,
            "import_key": has_clip, "export": has_clip and bool(project.keys),
            "keep_key": has_clip and key.is_empty and self.results.get(frame) is not None,
            "drop_picture": key.picture is not None and bool(key.strokes),
            "clear_strokes": bool(key.strokes), "remove_key": not key.is_empty,
            "propagate": bool(project.keys), "propagate_forward": bool(project.keys),
            "propagate_backward": bool(project.keys),
            "clear_in": project.mark_in is not None, "clear_out": project.mark_out is not None,
        }
        for name, enabled in can.items():
            self.actions_by_name[name].setEnabled(enabled)
        self.actions_by_name["from_grey"].setChecked(project.settings.from_grey)

    # The clip and its frames.

    def _clip_opened(self, serial: int, info: ClipInfo) -> None:
        if serial != self.frames.serial:
            return
        self.canvas.message = "Reading…"
        self.playback.set_clip(info)
        self.playback.set_range(self.session.project.range)
        self.timeline.set_clip(info.frame_count, info.width / info.height)
        self.timeline.set_project(self.session.project)
        keys = self.session.project.key_numbers()
        if keys:
            self.playback.go(keys[0])
        self._moved(self.playback.frame)
        if info.problems:
            self.say(" ".join(info.problems))

    def _reading_failed(self, serial: int, error: Exception) -> None:
        if serial != self.frames.serial:
            return
        what, advice = messages.words_of(error)
        if self.playback.count:
            self.playback.stop()
            self.canvas.message = f"This frame cannot be read. {what}"
            self.canvas.update()
            self.say(f"{what} {advice}")
        else:
            self.canvas.message = f"{what}\n{advice}\n\nFile > Relink clip… tells where the clip is now."
            self.canvas.update()

    def _is_ready(self, index: int) -> bool:
        return self.frames.frame(index) is not None

    def _moved(self, index: int) -> None:
        """Another frame is in view: shows what is there of it and asks for the rest."""
        if not self.playback.count:
            return
        self.frames.want(index, -1 if self.playback.speed < 0 else 1)
        self.timeline.set_frame(index)
        self._show_place()
        self._enable()
        self.canvas.frame_number = index
        frame = self.frames.frame(index)
        if frame is not None:
            self._show_frame(index, frame)
        else:
            self.canvas.can_paint = False
            self.painting.leave()
        self._rest.start()

    def _frame_ready(self, index: int) -> None:
        frame = self.frames.frame(index)
        if index == self.playback.frame and frame is not None and self.painting.ready_for != index:
            self._show_frame(index, frame)
            self._rest.start()

    def _show_frame(self, index: int, frame: Frame) -> None:
        self.canvas.message = ""
        self.canvas.set_source(frame.image)
        self._show_color(index)
        self.painting.visit(index, hurried=True)
        self.canvas.can_paint = not self.playback.playing

    def _rested(self) -> None:
        """The view stays on a frame: now what takes longer may begin."""
        index = self.playback.frame
        if not self.playback.playing and self.frames.frame(index) is not None:
            self.painting.visit(index, hurried=False)
            self.canvas.can_paint = True

    def _color_ready(self, index: int) -> None:
        if index == self.playback.frame:
            self._show_color(index)

    def _show_color(self, index: int) -> None:
        picture = self.frames.color(index)
        self.canvas.set_color(self.frames.old_color(index) if picture is None else picture)

    def _show_states(self) -> None:
        self.timeline.set_states(self.results.states(self.session.project))
        self._enable()

    def _show_place(self) -> None:
        count, frame = self.playback.count, self.playback.frame
        source = self.session.project.source
        if not count or source is None:
            self.place_words.setText("")
            return
        seconds = frame / source.rate
        minutes, rest = divmod(float(seconds), 60)
        key = "  ◆ key" if not self.session.project.key(frame).is_empty else ""
        self.place_words.setText(f"Frame {frame} of {count - 1}   {int(minutes):02d}:{rest:06.3f}{key}")

    def _playing_changed(self, playing: bool) -> None:
        from app.ui import icons

        self.actions_by_name["play"].setIcon(icons.icon("pause" if playing else "play", theme.current()))
        self.canvas.can_paint = not playing and self.frames.frame(self.playback.frame) is not None
        if not playing:
            self._rest.start()

    # Painting.

    def _hints_changed(self, rect: Rect | None) -> None:
        if rect is None:
            self.canvas.set_hints(self.painting.hints)
        else:
            self.canvas.patch_hints(rect, self.painting.hints_block(rect))

    def _filled(self, index: int, draft: bool) -> None:
        if index == self.playback.frame:
            self._show_color(index)
        if not draft:
            self._states_later.start()

    def _networks_ready(self) -> None:
        self._has_networks = True
        self.color_panel.set_ready()
        self._show_busy(self.painting.is_filling)

    def _show_busy(self, busy: bool) -> None:
        """Says what the user waits for, in a corner that nothing else writes to."""
        words = "" if self._has_networks else "Loading the networks…"
        self.busy_words.setText("Filling…" if busy and self._has_networks else words)

    def _preview_failed(self, error: Exception) -> None:
        if self._is_closed:
            return
        self._has_networks = True
        self.color_panel.set_ready()
        self._show_busy(False)
        what, advice = messages.words_of(error)
        self.say(f"Cannot fill: {what} {advice}")

    def _brush_changed(self, brush: Brush) -> None:
        action = self.actions_by_name.get(brush.tool)
        if action is not None:
            action.setChecked(True)
        self.color_panel.set_color(brush.color)

    def _color_chosen(self, color: tuple[int, int, int]) -> None:
        tool = self.tools.brush.tool if self.tools.brush.tool in ("brush", "pan") else "brush"
        self.tools.set(color=color, tool=tool)

    def _layers_changed(self, layers: Any) -> None:
        self.canvas.layers = layers
        self.canvas.update()

    def _hovered(self, place: QPointF | None) -> None:
        color = self._color_at(place) if place is not None else None
        if place is None or color is None:
            self.cursor_words.setText("")
            return
        if not self._has_networks:
            return
        lightness, a, b = rgb_to_lab(color)
        self.cursor_words.setText(
            f"{int(place.x())}, {int(place.y())}   {hex_text(color)}   L* {lightness:.0f} a* {a:.0f} b* {b:.0f}"
        )
        if not self.tools.is_painting:
            self.color_panel.plane.set_lightness(lightness)

    def _picked(self, place: QPointF) -> None:
        color = self._color_at(place)
        if color is not None:
            self._color_chosen(color)

    def _color_at(self, place: QPointF) -> tuple[int, int, int] | None:
        """What is seen at a place: the result where it is shown, else the clip."""
        index = self.playback.frame
        frame = self.frames.frame(index)
        shown = None if self.canvas.shows_before else self.frames.old_color(index)
        image = shown if shown is not None else (frame.image if frame is not None else None)
        if image is None or not (0 <= place.x() < image.shape[1] and 0 <= place.y() < image.shape[0]):
            return None
        pixel = to_8_bit(image[int(place.y()), int(place.x()), :3])
        return (int(pixel[0]), int(pixel[1]), int(pixel[2]))

    # Jobs.

    def _carried_picture(self, frame: int) -> Picture | None:
        """The color that was carried to a frame, as a picture to correct; None for key frames and grey ones."""
        shown = self.frames.old_color(frame)
        if shown is None or not self.session.project.key(frame).is_empty:
            return None
        return encode_picture(shown, "carried")

    def _carried(self, index: int) -> None:
        self.frames.recheck()
        if not self._states_later.isActive():
            self._states_later.start()

    def _job_progress(self, progress: Any) -> None:
        words = {"shots": "Finding shots", "densify": "Filling key frames", "color": "Carrying color"}
        self.bar.show()
        self.bar.setRange(0, progress.total if progress.stage == "color" else 0)
        self.bar.setValue(progress.done)
        self.say(f"{words.get(progress.stage, progress.stage)}… Esc stops")

    def _job_ended(self, words: str) -> None:
        self.bar.hide()
        self.say(words)
        self._show_states()

    def _job_failed(self, error: Exception) -> None:
        self.bar.hide()
        self._show_states()
        messages.show_error(self, "Propagation failed", error)

    def say(self, words: str) -> None:
        """Shows words in the status line."""
        self.status_words.setText(words)

    # Qt's own events.

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  (Qt's name)
        super().showEvent(event)
        if not self._is_shown:
            self._is_shown = True
            # After the first picture of the window is out: loading the networks takes seconds.
            QTimer.singleShot(0, self.preview.start)
            QTimer.singleShot(0, self.shown.emit)

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        super().changeEvent(event)
        if event.type() == QEvent.Type.ThemeChange and hasattr(self, "timeline"):
            self.take_theme()

    def take_theme(self) -> None:
        """Paints everything in the current theme."""
        chosen = theme.current()
        theme.apply(chosen)
        self.canvas.set_theme(chosen)
        self.timeline.set_theme(chosen)
        repaint_icons(self.actions_by_name, chosen)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            QTimer.singleShot(0, lambda: self.files.open(paths[0]))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        if not self._is_closed and not self.files.may_leave():
            event.ignore()
            return
        self.settings.setValue("geometry", self.saveGeometry())
        self.shut_down()
        event.accept()

    def shut_down(self) -> None:
        """Ends every thread and lets go of the project's file."""
        if self._is_closed:
            return
        self._is_closed = True
        for timer in (self._rest, self._states_later):
            timer.stop()
        self.playback.stop()
        self.propagation.close()
        self.preview.stop()
        self.frames.stop()
        self.session.close()
        self._held.remove()

    def action(self, name: str) -> QAction:
        """The action `name` of shortcuts.ENTRIES."""
        return self.actions_by_name[name]

    def about(self) -> None:
        """Says what this is and what computes."""
        QMessageBox.about(self, "About Huecast", self._about_words())

    def _about_words(self) -> str:
        return (
            "<b>Huecast</b><br>Scribble or color one frame, get the whole shot.<br><br>"
            "The clip's own lightness is always kept; only color is added. What it shows is synthesised, not archival."
        )
