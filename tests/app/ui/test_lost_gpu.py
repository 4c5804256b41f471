"""A GPU that is given up while the window is open stays in sight."""

from __future__ import annotations

import logging
import threading

from app.ui.window import MainWindow
from kernels.errors import DEVICE_LOG


def test_the_status_line_keeps_saying_that_the_gpu_is_gone(window: MainWindow, qtbot) -> None:
    line, words = window.status_line, "The GPU failed; going on with the CPU, which is slower."
    assert not line.device_words.text()
    log = logging.getLogger(DEVICE_LOG)
    worker = threading.Thread(target=log.warning, args=(words,))
    worker.start()
    worker.join()
    qtbot.waitUntil(lambda: line.words.text() == words)
    window.say("Carrying color, frame: 3 of 40")
    assert "CPU" in line.device_words.text() and line.device_words.toolTip() == words


def test_a_closed_window_no_longer_listens(window: MainWindow) -> None:
    log = logging.getLogger(DEVICE_LOG)
    assert log.handlers
    window.shut_down()
    assert not log.handlers
