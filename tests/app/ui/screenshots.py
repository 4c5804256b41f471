"""Takes the window's pictures: the sample filled and carried on, at two sizes, dark and light, and its dialogs.

    QT_QPA_PLATFORM=offscreen python -m tests.app.ui.screenshots FOLDER

Needs the trained weights of assets/weights; look at every picture it writes.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QPointF, QSettings, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from app.project.commands import SetMarks
from app.ui import messages, sample
from app.ui.main import make_window, name_application
from app.ui.shortcuts import ShortcutDialog
from app.ui.window import MainWindow
from propagation.errors import NoSpaceError

CARRIED = 8
SIZES = ((1280, 800), (2560, 1440))


def wait(condition: Callable[[], bool], limit_s: float = 300) -> None:
    """Runs the event loop until `condition`."""
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.002)


def settle(seconds: float = 0.4) -> None:
    """Lets what is under way be painted."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def take(widget: QWidget, folder: Path, name: str) -> None:
    """Writes what a widget shows."""
    settle()
    path = folder / f"{name}.png"
    widget.grab().save(str(path))
    print(path)


def pictures_of(window: MainWindow, folder: Path, theme: str) -> None:
    """Every picture of one theme."""
    window.verbs.choose_theme(theme)
    for width, height in SIZES:
        window.resize(width, height)
        settle()
        window.canvas.fit()
        place = window.canvas.to_widget(QPointF(320, 150)).toPoint()
        QTest.mouseMove(window.canvas, place)
        take(window, folder, f"window_{theme}_{width}x{height}")
    window.resize(*SIZES[0])
    settle()
    window.action("wipe").setChecked(True)
    window.timeline.zoom(4)
    take(window, folder, f"wipe_{theme}")
    window.action("wipe").setChecked(False)
    window.timeline.show_all()
    for number, menu in enumerate(window.menuBar().actions()):
        menu.menu().adjustSize()
        take(menu.menu(), folder, f"menu{number}_{theme}")
    for name, dialog in (("export", window.verbs.export_dialog()), ("shortcuts", ShortcutDialog(window))):
        dialog.show()
        take(dialog, folder, f"{name}_{theme}")
        dialog.reject()
        dialog.deleteLater()
    error = NoSpaceError("no space left on the disk", path="/films/friday.huecast", advice="Free some space")
    take_box(lambda: messages.show_error(window, "Cannot save", error), folder, f"error_{theme}")
    take_box(lambda: window.files.may_leave(), folder, f"unsaved_{theme}")


def take_box(ask: Callable[[], object], folder: Path, name: str) -> None:
    """Writes what a message box shows that `ask` waits for, and lets it go."""

    def shoot() -> None:
        box = QApplication.activeModalWidget()
        if box is not None:
            take(box, folder, name)
            box.close()

    QTimer.singleShot(300, shoot)
    ask()


def carry_on(window: MainWindow, folder: Path) -> None:
    """Propagates over a few frames, takes the README's picture, and corrects one of the frames."""
    key = window.playback.frame
    window.session.do(SetMarks(key - CARRIED, key + CARRIED))
    window.verbs.propagate("both")
    wait(lambda: not window.propagation.running)
    QTest.mouseMove(window.canvas, window.canvas.to_widget(QPointF(430, 170)).toPoint())
    take(window, folder, "readme")
    window.playback.go(key + CARRIED // 2)
    wait(lambda: window.frames.color(window.playback.frame) is not None and window.canvas.can_paint)
    window.tools.press(window.playback.frame, 60, 330)
    for step in range(12):
        window.tools.move(60 + 6 * step, 330 + 2 * step)
    window.tools.release()
    wait(lambda: window.results.is_fresh(window.session.project, window.playback.frame))


def main() -> int:
    """Opens the sample, waits until it is filled, and takes the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication.instance() or QApplication([])
    name_application()
    with tempfile.TemporaryDirectory() as scratch:
        window = make_window(settings=QSettings(f"{scratch}/settings.ini", QSettings.Format.IniFormat))
        take(window, folder, "empty")
        window.show()
        sample.open_sample(window.files, window.session)
        wait(lambda: window.frames.color(window.playback.frame) is not None)
        window.verbs.choose_theme("dark")
        carry_on(window, folder)
        for theme in ("dark", "light"):
            pictures_of(window, folder, theme)
        window.session.undo.history.mark_saved()
        window.close()
        app.processEvents()
    return 0


if __name__ == "__main__":
    sys.exit(main())
