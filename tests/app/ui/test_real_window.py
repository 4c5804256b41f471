"""The window in a process of its own: the journey once more on a virtual screen, and what showing it may import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="needs Xvfb, which `.ci/run` installs")
def test_the_journey_in_a_real_window() -> None:
    screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    with subprocess.Popen(screen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None
            number = server.stdout.readline().strip()
            environment = {**os.environ, "DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
            ended = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/app/ui/test_journey.py"],
                cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280,
            )
        finally:
            server.terminate()
    if "could not load the Qt platform plugin" in ended.stderr + ended.stdout:
        pytest.skip("needs Qt's xcb libraries (libxcb-cursor0, libxcb-icccm4, libxcb-keysyms1 and others)")
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-1000:]


SHOW = """
import sys
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QApplication
from app.ui.main import make_window
app = QApplication([])
window = make_window(lambda: ((), None), QSettings(sys.argv[1], QSettings.Format.IniFormat))
window.shown.connect(app.quit)
window.show()
app.exec()
print([name for name in ("torch", "scenedetect", "skimage") if name in sys.modules])
window.shut_down()
"""


def test_the_window_is_shown_before_torch_is_imported(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SHOW, str(tmp_path / "settings.ini")], cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}, capture_output=True, text=True, timeout=120,
    )
    assert ended.stdout == "[]\n", ended.stdout + ended.stderr
