"""The main window: puts the parts together and passes words between them. It keeps no state of the document."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSettings, QStandardPaths, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QDockWidget,
    QMainWindow,
    QMessageBox,
    QScrollArea,
    QWidget,
)

from app import machine
from app.pipeline import Pipeline
from app.project.document import Project
from app.project.raster import Rect
from app.results import Result, ResultStore
from app.ui import messages, theme
from app.ui.actions import Actions
from app.ui.bars import RecentMenu, StatusLine, TimelinePanel, fill_menus, main_bar, tool_bar
from app.ui.canvas import Canvas
from app.ui.carried_words import CarriedWords
from app.ui.color_panel import ColorPanel, warm_color_math
from app.ui.files import Files
from app.ui.frame_view import FrameView
from app.ui.frames import FrameService
from app.ui.hdr import HdrView
from app.ui.hdr_panel import HdrPanel
from app.ui.hdr_verbs import HdrVerbs
from app.ui.held_keys import HeldKeys
from app.ui.kept_results import KeptResults
from app.ui.naming import named
from app.ui.painting import Painting
from app.ui.panels import BrushPanel, LayerPanel, SidePanel
from app.ui.playback import Playback
from app.ui.propagation import Propagation
from app.ui.recovery import Recovery, own_folder
from app.ui.runner import Preview
from app.ui.session import Session
from app.ui.shortcuts import make_actions, repaint_icons
from app.ui.timeline import Timeline
from app.ui.tools import Brush, ToolBox

if TYPE_CHECKING:
    from propagation.video.frame import ClipInfo, Frame

WELCOME = (
    "Open a clip (Ctrl+O) or drop one here.\n\nPaint on a frame and watch it fill, then propagate.\n"
    "File > Open sample project shows how; ? lists every key."
)


class MainWindow(QMainWindow):
    """One window with one project."""

    shown = Signal()
    """The window is on the screen for the first time."""
    device_left = Signal(str)
    """A GPU was given up, in words; from any thread."""

    def __init__(
        self, load: Callable[[], tuple[Pipeline, Any]], settings: QSettings | None = None, device: str = "auto"
    ) -> None:
        """`load` gives the stages and a densifier; it is called on the worker's thread and may be slow."""
        super().__init__()
        self.device = device
        self.settings = settings or QSettings()
        self._load = load
        self._loaded: tuple[Pipeline, Any] | None = None
        self._loading = threading.Lock()
        self._is_shown = False
        self._is_closed = False
        self._device_listener = machine.DeviceListener(self.device_left.emit)
        self.has_networks = False
        self.session = Session(self)
        self.tools = ToolBox(self.session, self)
        self.results = ResultStore()
        self.frames = FrameService(self.results.get, self._compose, self)
        self.preview = Preview(self._load_once, self)
        self.painting = Painting(self.session, self.frames, self.results, self.preview, self)
        self.playback = Playback(self._is_ready, self)
        self.propagation = Propagation(self.results, lambda: self.playback.frame, self.wait_for_stages, device, self)
        data_folder = own_folder(self.settings, "recovery", QStandardPaths.StandardLocation.AppDataLocation)
        self.recovery = Recovery(self.session, data_folder, self)
        cache_folder = own_folder(self.settings, "results", QStandardPaths.StandardLocation.CacheLocation)
        self.kept_results = KeptResults(self.results, cache_folder, self)
        self.files = Files(self, self.session, self.settings, self.recovery)
        self.files.told.connect(self.say)
        self.hdr = HdrView(self)
        self.carried_words = CarriedWords(self)
        self.actions_by_name = make_actions(self, theme.current())
        self._build()
        self.view = FrameView(self)
        self.hdr_verbs = HdrVerbs(self)
        self.verbs = Actions(self)
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
        self.hdr_panel = HdrPanel()
        self.canvas.layers = self.layer_panel.layers
        side = QScrollArea(widgetResizable=True)
        side.setFrameShape(QScrollArea.Shape.NoFrame)
        side.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        side.setWidget(SidePanel(self.color_panel, self.brush_panel, self.layer_panel, self.hdr_panel))
        side.setMinimumWidth(268)
        self.timeline = Timeline()
        self.timeline_panel = TimelinePanel(self.timeline, self.actions_by_name)
        self._dock("Tools and color", side, Qt.DockWidgetArea.RightDockWidgetArea, "side")
        self._dock("Timeline", self.timeline_panel, Qt.DockWidgetArea.BottomDockWidgetArea, "timeline_dock")
        self.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.BottomDockWidgetArea)
        fill_menus(self.menuBar(), self.actions_by_name, RecentMenu(self.files.recent, self.files.open, self))
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, main_bar(self.actions_by_name))
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, tool_bar(self.actions_by_name))
        self.status_line = StatusLine(self.statusBar())

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea, name: str) -> None:
        dock = named(QDockWidget(title, self), name)
        dock.setWidget(widget)
        dock.setFeatures(QDockWidget.DockWidgetFeature.NoDockWidgetFeatures)
        dock.setTitleBarWidget(QWidget())
        self.addDockWidget(area, dock)

    def _connect(self) -> None:
        session, frames, playback = self.session, self.frames, self.playback
        session.changed.connect(self._project_changed)
        session.replaced.connect(self._project_replaced)
        session.state_changed.connect(self._state_changed)
        session.refused.connect(lambda error: messages.show_error(self, "That does not fit", error))
        self.recovery.failed.connect(self._not_kept)
        self.device_left.connect(self._device_lost)
        frames.opened.connect(self._clip_opened)
        frames.failed.connect(self._reading_failed)
        frames.thumbnail_ready.connect(self.timeline.add_thumbnail)
        self.preview.failed.connect(self._preview_failed)
        self.painting.hints_changed.connect(self._hints_changed)
        self.painting.filled.connect(self._filled)
        self.painting.busy.connect(self._show_busy)
        self.preview.ready.connect(self._networks_ready)
        playback.playing_changed.connect(self._playing_changed)
        timeline = self.timeline
        timeline.sought.connect(playback.go)
        timeline.marks_dragged.connect(self.verbs.drag_marks)
        timeline.drag_ended.connect(session.seal)
        timeline.thumbnails_wanted.connect(frames.want_thumbnails)
        self.view.picked.connect(self._color_chosen)
        self.canvas.zoomed.connect(self.status_line.show_zoom)
        self.canvas.refused.connect(self.say)
        self.tools.changed.connect(self._brush_changed)
        self.color_panel.chosen.connect(self._color_chosen)
        self.layer_panel.changed.connect(self._layers_changed)
        self.tools.picture_under = self.view.carried_picture
        QGuiApplication.styleHints().colorSchemeChanged.connect(self.take_theme)
        self._brush_changed(self.tools.brush)

    def _restore(self) -> None:
        geometry = self.settings.value("geometry")
        if geometry is not None:
            self.restoreGeometry(geometry)

    # The networks.

    def _load_once(self) -> tuple[Pipeline, Any]:
        """Called on workers' threads: the first one loads, the others wait for it."""
        with self._loading:
            if self._loaded is None:
                warm_color_math()
                self._loaded = self._load()
            return self._loaded

    def wait_for_stages(self) -> Pipeline:
        """The stages, on a worker's thread; loads them there when nothing has yet."""
        return self._load_once()[0]

    def _compose(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        from app.live import show_carried

        return show_carried(frame, result.ab, self.wait_for_stages())

    # The project.

    def _project_replaced(self) -> None:
        project = self.session.project
        self.propagation.stop()
        self.results.clear()
        self.hdr.forget()
        self.playback.set_clip(None)
        self.view.clear("Opening…" if project.source else WELCOME)
        self.timeline.set_clip(0, 16 / 9)
        self.timeline.set_project(project)
        self.frames.open(Path(project.source.path) if project.source else None)
        self.kept_results.fetch(project)
        self._state_changed()

    def _project_changed(self, before: Project, after: Project) -> None:
        if before.source != after.source and after.source is not None:
            self.results.clear()
            self.hdr.forget()
            self.painting.reset()
            self.canvas.message = "Opening…"
            self.canvas.can_paint = False
            self.frames.open(Path(after.source.path))
            self.kept_results.fetch(after)
        if before.keys is not after.keys or before.range != after.range or before.settings != after.settings:
            self.timeline.set_project(after)
            self.playback.set_range(after.range)
            self.carried_words.states_later.start()
        self.view.show_place()

    def _not_kept(self, error: Exception) -> None:
        what, advice = messages.words_of(error)
        self.say(f"Unsaved work is not being kept for a crash; save soon. {what} {advice}")

    def _state_changed(self) -> None:
        session = self.session
        self.setWindowTitle(f"{'• ' if session.unsaved else ''}{session.name} — Huecast")
        self.setWindowModified(False)
        self.verbs.name_undo()
        self.verbs.enable()

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
        self.view.show(self.playback.frame)
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

    def _playing_changed(self, playing: bool) -> None:
        from app.ui import icons

        self.actions_by_name["play"].setIcon(icons.icon("pause" if playing else "play", theme.current()))
        self.view.pause(playing)

    # Painting.

    def _hints_changed(self, rect: Rect | None) -> None:
        if rect is None:
            self.canvas.set_hints(self.painting.hints)
        else:
            self.canvas.patch_hints(rect, self.painting.hints_block(rect))

    def _filled(self, index: int, draft: bool) -> None:
        self.view.refresh_color(index)
        if not draft:
            self.carried_words.states_later.start()

    def _networks_ready(self) -> None:
        self.has_networks = True
        self.color_panel.set_ready()
        self._show_busy(self.painting.is_filling)

    def _show_busy(self, busy: bool) -> None:
        """Says what the user waits for, in a corner that nothing else writes to."""
        words = "" if self.has_networks else "Loading the networks…"
        self.status_line.busy_words.setText("Filling…" if busy and self.has_networks else words)

    def _preview_failed(self, error: Exception) -> None:
        if self._is_closed:
            return
        self.has_networks = True
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

    # Jobs.

    def _device_lost(self, why: str) -> None:
        self.status_line.show_lost_device(why)
        self.say(why)

    def say(self, words: str) -> None:
        """Shows words in the status line."""
        self.status_line.words.setText(words)

    # Qt's own events.

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802  (Qt's name)
        super().showEvent(event)
        if not self._is_shown:
            self._is_shown = True
            # Keys work at once, and do not start in the color's text field.
            self.canvas.setFocus()
            # After the first picture of the window is out: loading the networks takes seconds.
            QTimer.singleShot(0, self.preview.start)
            QTimer.singleShot(0, self.shown.emit)

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
        if self._is_closed:
            event.accept()
            return
        if not self.files.may_leave():
            event.ignore()
            return
        self.recovery.forget()
        self.settings.setValue("geometry", self.saveGeometry())
        self.shut_down()
        event.accept()

    def shut_down(self) -> None:
        """Ends every thread and lets go of the project's file; work that nobody decided about is left to recover."""
        if self._is_closed:
            return
        self._is_closed = True
        self._device_listener.close()
        self.recovery.stop()
        self.carried_words.states_later.stop()
        self.view.stop()
        self.playback.stop()
        self.propagation.close()
        self.hdr.stop()
        self.preview.stop()
        self.frames.stop()
        self.kept_results.stop()
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
