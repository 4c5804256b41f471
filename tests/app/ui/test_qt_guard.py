"""The process outlives more signals than Python has references to True."""

from __future__ import annotations

import os
import subprocess
import sys


def test_a_process_survives_many_signals() -> None:
    code = (
        "from PySide6.QtCore import QObject, Signal\n"
        "from app.ui.qt_guard import keep_true_alive\n"
        "keep_true_alive()\n"
        "class Emitter(QObject):\n"
        "    said = Signal(int)\n"
        "emitter = Emitter()\n"
        "for n in range(200_000):\n"
        "    emitter.said.emit(n)\n"
    )
    offscreen = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    ended = subprocess.run([sys.executable, "-c", code], env=offscreen, timeout=120)
    assert ended.returncode == 0
