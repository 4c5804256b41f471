"""Drives the real window offscreen and prints how it feels in figures, with the time of one DIS call of the same run.

    QT_QPA_PLATFORM=offscreen python tests/benchmarks/window.py [CLIP] [--propagate]

It paints strokes while the networks fill, lets the event loop's gaps be measured all along, scrubs through cached
frames, and, with --propagate, carries and exports. Without trained weights it says so and stops.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PySide6.QtCore import QPointF, QSettings, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.ui.main import make_window
from app.ui.window import MainWindow
from run import MALLOC

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {
    "window visible": "2000 ms",
    "stroke to picture, median": "80 ms",
    "stroke to picture, 95 %": "200 ms",
    "event-loop gap, 99 %": "60 ms",
    "event-loop gap, worst": "250 ms",
    "cached frame shown": "30 ms",
}


class Gaps:
    """Times between rounds of the event loop: a timer of 0 ms fires once a round."""

    def __init__(self) -> None:
        self.gaps_ms: list[float] = []
        self._last = 0.0
        self._timer = QTimer()
        self._timer.timeout.connect(self._round)

    def __enter__(self) -> Gaps:
        self._last = time.perf_counter()
        self._timer.start(1)
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.stop()

    def _round(self) -> None:
        now = time.perf_counter()
        self.gaps_ms.append((now - self._last) * 1000)
        self._last = now

    def words(self) -> str:
        """99 % and the worst."""
        gaps = np.array(self.gaps_ms or [0.0])
        return f"99 % {np.percentile(gaps, 99):.0f} ms, worst {gaps.max():.0f} ms ({len(gaps)} rounds)"


def wait(condition: Callable[[], bool], limit_s: float = 300) -> bool:
    """Runs the event loop until `condition`; False when it took too long."""
    end = time.perf_counter() + limit_s
    while not condition():
        if time.perf_counter() > end:
            return False
        QApplication.processEvents()
        time.sleep(0.0005)
    return True


def startup_ms() -> float:
    """From starting Python to the first exposed window, and torch must not be there yet."""
    code = (
        "import sys, time\n"
        "from PySide6.QtCore import QSettings, QTimer\n"
        "from PySide6.QtWidgets import QApplication\n"
        "from app.ui.main import make_window\n"
        "app = QApplication([])\n"
        f"window = make_window(lambda: time.sleep(60), QSettings({tempfile.mktemp()!r}, QSettings.Format.IniFormat))\n"
        "window.show()\n"
        "while not window.windowHandle().isExposed(): app.processEvents()\n"
        "app.processEvents()\n"
        "print('torch' in sys.modules, flush=True)\n"
        "import os; os._exit(0)\n"
    )
    start = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    took = (time.perf_counter() - start) * 1000
    if "True" in told.stdout:
        print("  torch was imported before the window was shown")
    return took


def dis_ms() -> float:
    """Median of one DIS MEDIUM call at 854x480, the machine's yardstick."""
    import cv2

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (60, 107), dtype=np.uint8)
    first = cv2.resize(noise, (854, 480), interpolation=cv2.INTER_CUBIC)
    second = np.roll(first, 3, axis=1)
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    times = []
    for _ in range(7):
        start = time.perf_counter()
        flow.calc(first, second, None)
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times))


def paint(window: MainWindow, strokes: int = 6) -> tuple[list[float], str]:
    """Paints, and measures from a mouse move to the picture that shows it."""
    filled: dict[int, float] = {}
    window.preview.filled.connect(lambda request, _: filled.__setitem__(request.generation, time.perf_counter()))
    canvas, times = window.canvas, []
    width, height = canvas._size_px
    with Gaps() as gaps:
        for stroke in range(strokes):
            y = height * (stroke + 1) / (strokes + 1)
            places = [QPointF(width * (0.1 + 0.7 * i / 24), y + 6 * np.sin(i / 3)) for i in range(25)]
            QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=canvas.to_widget(places[0]).toPoint())
            for place in places[1:]:
                QTest.mouseMove(canvas, canvas.to_widget(place).toPoint())
                asked, start = window.painting._generation, time.perf_counter()
                wait(lambda asked=asked: any(g >= asked for g in filled), 20)
                times.append((time.perf_counter() - start) * 1000)
            QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=canvas.to_widget(places[-1]).toPoint())
            wait(lambda: not window.painting.is_filling and not window.painting._rest.isActive(), 60)
    return times, gaps.words()


def scrub(window: MainWindow, frames: int = 20) -> float:
    """Median time to show a cached frame, painted."""
    count = min(frames, window.playback.count)
    for index in range(count):
        window.playback.go(index)
        wait(lambda index=index: window.frames.frame(index) is not None)
    times = []
    for index in range(count):
        start = time.perf_counter()
        window.playback.go(index)
        window.canvas.repaint()
        times.append((time.perf_counter() - start) * 1000)
    return float(np.median(times))


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", nargs="?", default=str(ROOT / "assets" / "demo" / "his_girl_friday.mp4"))
    parser.add_argument("--propagate", action="store_true")
    options = parser.parse_args()
    tell("window visible", f"{startup_ms():.0f} ms")
    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as folder:
        window = make_window(settings=QSettings(f"{folder}/settings.ini", QSettings.Format.IniFormat))
        window.resize(1280, 800)
        window.show()
        failed: list[str] = []
        window.preview.failed.connect(lambda error: failed.append(str(error)))
        window.files.open(Path(options.clip))
        has_networks: list[bool] = []
        window.preview.ready.connect(lambda: has_networks.append(True))
        wait(lambda: window.canvas.can_paint and bool(has_networks or failed))
        if failed:
            print(f"cannot measure: {failed[0]}")
            window.shut_down()
            return 1
        # The first strokes compile kernels and prepare the frame; they are not what painting feels like.
        paint(window, 1)
        times, painting_gaps = paint(window)
        tell("stroke to picture, median", f"{np.median(times):.0f} ms")
        tell("stroke to picture, 95 %", f"{np.percentile(times, 95):.0f} ms")
        tell("event-loop gap while painting", painting_gaps)
        tell("cached frame shown", f"{scrub(window):.0f} ms")
        tell("one DIS MEDIUM call, 854x480", f"{dis_ms():.0f} ms")
        if options.propagate:
            propagate_and_export(window, Path(folder))
        window.session.undo.history.mark_saved()
        window.close()
        app.processEvents()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; gaps: targets 99 % 60 ms, worst 250 ms")
    return 0


def tell(name: str, value: str) -> None:
    """Prints a row at once: a run on a busy machine that is stopped has still said what it knows."""
    target = f"   (target {TARGETS[name]})" if name in TARGETS else ""
    print(f"{name:34s} {value}{target}", flush=True)


def propagate_and_export(window: MainWindow, folder: Path) -> None:
    """Carries over 40 frames and exports them, watching the event loop."""
    from app.project.commands import SetMarks
    from app.ui.export_dialog import ExportDialog

    window.session.do(SetMarks(0, min(39, window.playback.count - 1)))
    start = time.perf_counter()
    with Gaps() as gaps:
        window.action("propagate").trigger()
        wait(lambda: not window.propagation.running)
    took = time.perf_counter() - start
    tell("event-loop gap while propagating", gaps.words())
    tell("propagated", f"{len(window.session.project.range) / took:.1f} frames a second")
    colors = window.results.fresh_colors(window.session.project)
    dialog = ExportDialog(
        window.session.project, "bench", folder, colors, window.wait_for_stages, window.device, window
    )
    dialog.show()
    with Gaps() as gaps:
        dialog.start()
        wait(lambda: not dialog.runner.running)
    dialog.reject()
    dialog.deleteLater()
    tell("event-loop gap while exporting", gaps.words())


if __name__ == "__main__":
    if os.name != "nt" and "GLIBC_TUNABLES" not in os.environ:
        # As `run.py` starts the program; the C library reads this once, when a process begins.
        os.environ["GLIBC_TUNABLES"] = MALLOC
        os.execv(sys.executable, [sys.executable, *sys.argv])
    sys.exit(main())
