"""A real window with stages that need no weights, driven by real mouse and key events, offscreen."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QPoint, QPointF, QSettings, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QMessageBox

from app.ui.color_panel import warm_color_math
from app.ui.main import make_window
from app.ui.window import MainWindow
from tests.app.ui.fakes import FakeStages

WIDTH, HEIGHT, FRAMES = 96, 64, 12


@pytest.fixture(scope="session")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A grey clip of 12 frames whose brightness tells the frame's number."""
    import av

    path = tmp_path_factory.mktemp("clip") / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(12))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "10"}
        for n in range(FRAMES):
            image = np.full((HEIGHT, WIDTH, 3), 60 + 10 * n, np.uint8)
            image[:, WIDTH // 2 :] += 40
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    """The color mathematics is compiled before anything is timed or waited for."""
    warm_color_math()


@pytest.fixture
def stages() -> FakeStages:
    return FakeStages()


@pytest.fixture
def settings(tmp_path: Path) -> QSettings:
    return QSettings(str(tmp_path / "settings.ini"), QSettings.Format.IniFormat)


@pytest.fixture
def window(qtbot, patient: None, stages: FakeStages, settings: QSettings) -> Iterator[MainWindow]:
    """An empty window on the screen; after the test nothing of it may be left."""
    before = {thread.ident for thread in threading.enumerate()}
    made = make_window(stages.load, settings, "cpu")
    made.show()
    qtbot.waitExposed(made)
    # Without a window manager nobody but us gives the window the keyboard.
    made.activateWindow()
    qtbot.waitUntil(made.isActiveWindow)
    yield made
    made.session.undo.history.mark_saved()
    made.close()
    made.deleteLater()
    QApplication.sendPostedEvents(None, 52)
    QApplication.processEvents()
    gc.collect()
    # The scans' pool lives as long as the program, and is made anew where a job changes the number of its threads.
    threads = (thread for thread in threading.enumerate() if not thread.name.startswith("kernel"))
    left = [thread.name for thread in threads if thread.ident not in before]
    assert not left, f"threads left: {left}"
    timers = [timer for timer in QApplication.instance().findChildren(QTimer) if timer.isActive()]
    assert not timers, "timers left running"
    assert not [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()], "widgets left"


@pytest.fixture
def opened(window: MainWindow, clip_path: Path, qtbot) -> MainWindow:
    """The window with the grey clip, its first frame ready to be painted on."""
    qtbot.waitUntil(lambda: window.has_networks)
    assert window.files.open(clip_path)
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    return window


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Message boxes are read and accepted rather than waited for; gives what they said."""
    said: list[tuple[str, str]] = []

    def read(box: QMessageBox) -> int:
        said.append((box.text(), box.informativeText()))
        return int(QMessageBox.StandardButton.Ok)

    monkeypatch.setattr(QMessageBox, "exec", read)
    return said


@pytest.fixture(autouse=True)
def patient(qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits end as soon as they can; the limit only has to outlast a busy machine."""
    wait = qtbot.waitUntil
    monkeypatch.setattr(qtbot, "waitUntil", lambda condition: wait(condition, timeout=120_000))


class Mouse:
    """Real mouse events on the canvas, by source pixels."""

    def __init__(self, window: MainWindow) -> None:
        self._window = window

    def at(self, x: float, y: float) -> QPoint:
        return self._window.canvas.to_widget(QPointF(x, y)).toPoint()

    def stroke(self, *places: tuple[float, float], held=Qt.KeyboardModifier.NoModifier, end: bool = True) -> None:
        canvas = self._window.canvas
        QTest.mouseMove(canvas, self.at(*places[0]))
        QTest.mousePress(canvas, Qt.MouseButton.LeftButton, held, self.at(*places[0]))
        for place in places[1:]:
            QTest.mouseMove(canvas, self.at(*place))
            QApplication.processEvents()
        if end:
            QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, held, self.at(*places[-1]))
        QApplication.processEvents()

    def click(self, x: float, y: float, held=Qt.KeyboardModifier.NoModifier) -> None:
        QTest.mouseClick(self._window.canvas, Qt.MouseButton.LeftButton, held, self.at(x, y))
        QApplication.processEvents()


@pytest.fixture
def mouse(opened: MainWindow) -> Mouse:
    return Mouse(opened)


@pytest.fixture
def press(window: MainWindow) -> Callable[..., None]:
    """Presses a key as a user does, wherever the keyboard goes."""

    def key(code: Qt.Key, held=Qt.KeyboardModifier.NoModifier) -> None:
        window.activateWindow()
        QTest.keyClick(QApplication.focusWidget() or window.canvas, code, held)
        QApplication.processEvents()

    window.canvas.setFocus()
    return key


def color_of(window: MainWindow, x: int, y: int) -> tuple[int, int, int]:
    """The color of the shown result at a source pixel; grey where there is none."""
    picture = window.frames.color(window.playback.frame)
    if picture is None:
        return (0, 0, 0)
    red, green, blue = picture[y, x]
    return (int(red), int(green), int(blue))
