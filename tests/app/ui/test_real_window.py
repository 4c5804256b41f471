"""The journey once more in a real window, on a virtual screen of its own."""

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
