"""The menus, toolbars and the status line of the window, made from its actions."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import (
    QLabel,
    QMenu,
    QMenuBar,
    QProgressBar,
    QStatusBar,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.ui.naming import named
from app.ui.shortcuts import ENTRIES, LINES_ABOVE
from app.ui.timeline import Timeline

MENUS = ("File", "Edit", "Tools", "Propagate", "Playback", "View", "Help")
# An empty name is a line between groups.
MAIN_BAR = ("open", "save", "", "undo", "redo", "", "import_key", "export", "", "fit", "actual", "", "before_after",
            "wipe", "", "shortcuts")
TOOL_BAR = ("brush", "eraser", "protect", "picker", "pan")
TIMELINE_BAR = ("first_frame", "previous_key", "previous_frame", "play", "next_frame", "next_key", "last_frame", "",
                "mark_in", "mark_out", "", "keep_key", "clear_strokes", "", "propagate_backward", "propagate",
                "propagate_forward", "stop")

ActionMap = Mapping[str, QAction]


def fill_menus(menu_bar: QMenuBar, actions: ActionMap, recent: RecentMenu) -> None:
    """Every action in its menu, in the table's order; recent files follow the sample."""
    menus = {name: menu_bar.addMenu(name) for name in MENUS}
    for menu in menus.values():
        menu.setToolTipsVisible(True)
    for entry in ENTRIES:
        if entry.name in LINES_ABOVE:
            menus[entry.menu].addSeparator()
        menus[entry.menu].addAction(actions[entry.name])
        if entry.name == "sample":
            menus["File"].addMenu(recent)


def main_bar(actions: ActionMap) -> QToolBar:
    """The bar above the canvas."""
    return _bar(QToolBar("Main", movable=False), "main_bar", 20, MAIN_BAR, actions)


def tool_bar(actions: ActionMap) -> QToolBar:
    """The bar of tools beside the canvas."""
    return _bar(QToolBar("Tools", movable=False), "tool_bar", 22, TOOL_BAR, actions)


class RecentMenu(QMenu):
    """Files opened lately, looked up each time that the menu opens."""

    def __init__(
        self, recent: Callable[[], Iterable[Path]], open_file: Callable[[Path], object], parent: QWidget
    ) -> None:
        super().__init__("Open recent", parent)
        self._recent = recent
        self._open_file = open_file
        self.aboutToShow.connect(self._fill)

    def _fill(self) -> None:
        self.clear()
        for path in self._recent():
            action = self.addAction(path.name)
            action.setToolTip(html.escape(str(path)))
            action.triggered.connect(partial(self._open, path))
        self.setDisabled(self.isEmpty())

    def _open(self, path: Path, _: bool = False) -> None:
        self._open_file(path)


class TimelinePanel(QWidget):
    """The timeline under its bar, which also says where in the clip the view is."""

    def __init__(self, timeline: Timeline, actions: ActionMap) -> None:
        super().__init__()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        bar = _bar(QToolBar(), "timeline_bar", 18, TIMELINE_BAR, actions)
        button = bar.widgetForAction(actions["propagate"])
        if isinstance(button, QToolButton):
            # What everything leads to is not to be found by its tooltip alone.
            named(button, "propagate_button").setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.place_words = named(QLabel(), "place")
        self.place_words.setContentsMargins(14, 0, 14, 0)
        bar.addWidget(self.place_words)
        layout.addWidget(bar)
        layout.addWidget(timeline, 1)


class StatusLine:
    """What the status bar says: words at the left; what is waited for, a job's bar, the cursor and the zoom right."""

    def __init__(self, status_bar: QStatusBar) -> None:
        self.words = named(QLabel(textFormat=Qt.TextFormat.PlainText), "status_words")
        self.busy_words = named(QLabel("Loading the networks…"), "busy_words")
        self.device_words = named(QLabel(), "device_words")
        self.cursor_words = named(QLabel(), "cursor_words")
        self.zoom_words = named(QLabel(), "zoom_words")
        self.job_bar = named(QProgressBar(textVisible=False), "job_bar")
        self.job_bar.setFixedSize(160, 10)
        self.job_bar.hide()
        status_bar.addWidget(self.words, 1)
        for widget in (self.busy_words, self.job_bar, self.device_words, self.cursor_words, self.zoom_words):
            status_bar.addPermanentWidget(widget)
        status_bar.setSizeGripEnabled(False)
        status_bar.setContentsMargins(8, 0, 8, 2)
        for words in (self.device_words, self.cursor_words, self.zoom_words):
            words.setContentsMargins(10, 0, 0, 0)

    def show_lost_device(self, why: str) -> None:
        """Keeps in sight that a GPU was given up; `why` is a sentence."""
        self.device_words.setText("On the CPU now")
        self.device_words.setToolTip(why)

    def show_zoom(self, scale: float) -> None:
        """Widget pixels a source pixel, as a percentage."""
        self.zoom_words.setText(f"{scale * 100:.0f} %")


def _bar(bar: QToolBar, name: str, icon_px: int, names: Iterable[str], actions: ActionMap) -> QToolBar:
    named(bar, name).setIconSize(QSize(icon_px, icon_px))
    for action in names:
        if action:
            bar.addAction(actions[action])
        else:
            bar.addSeparator()
    # Hiding a bar by its context menu would lose it: nothing brings it back.
    bar.toggleViewAction().setVisible(False)
    return bar
