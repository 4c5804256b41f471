"""Superseded work never appears, stops are quick, and nothing is lost between the lanes."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QSettings

from app.progress import CancelToken, Progress
from app.project.commands import AddStroke
from app.project.raster import Rect
from app.ui.main import make_window
from app.ui.runner import JobRunner, Preview, PreviewRequest
from app.ui.window import MainWindow
from tests.app.ui.conftest import FRAMES, Mouse, color_of
from tests.app.ui.fakes import FakeStages


class Counting:
    """A job that counts slowly and notes how it ended."""

    def __init__(self, name: str, steps: int = 1000) -> None:
        self.name, self.steps, self.ended = name, steps, threading.Event()

    def __call__(self, cancel: CancelToken) -> Generator[Any, None, str]:
        try:
            for step in range(self.steps):
                yield Progress("count", step, self.steps)
                yield (self.name, step)
                time.sleep(0.001)
            return self.name
        finally:
            self.ended.set()


@pytest.fixture
def runner(qtbot) -> Iterator[JobRunner]:
    made = JobRunner()
    yield made
    made.close()


def test_a_superseded_job_says_nothing_more(runner: JobRunner, qtbot) -> None:
    said: list[tuple[str, int]] = []
    runner.produced.connect(said.append)
    first, second = Counting("first"), Counting("second", 5)
    runner.start(first)
    qtbot.waitUntil(lambda: len(said) > 3)
    runner.start(second)
    count = len(said)
    with qtbot.waitSignal(runner.finished, timeout=60_000) as finished:
        pass
    assert finished.args == ["second"]
    assert first.ended.is_set()
    assert {name for name, _ in said[count:]} == {"second"}


def test_stopping_is_said_at_once_and_ends_the_job(runner: JobRunner, qtbot) -> None:
    job = Counting("job")
    said: list[object] = []
    runner.start(job)
    qtbot.wait(20)
    with qtbot.waitSignal(runner.stopped, timeout=1000):
        runner.stop()
    assert not runner.running
    runner.produced.connect(said.append)
    assert job.ended.wait(60)
    qtbot.wait(20)
    assert said == []


def test_an_error_ends_the_job_and_is_handed_on(runner: JobRunner, qtbot) -> None:
    def broken(cancel: CancelToken) -> Generator[Any, None, None]:
        yield Progress("begin", 0, 1)
        raise ValueError("broken")

    with qtbot.waitSignal(runner.failed, timeout=60_000) as failed:
        runner.start(broken)
    assert isinstance(failed.args[0], ValueError)
    assert not runner.running


def test_a_request_that_was_overtaken_keeps_its_patches(opened: MainWindow, stages: FakeStages, qtbot) -> None:
    frame = opened.frames.frame(0)
    preview = Preview(stages.load)
    block = np.zeros((4, 4, 4), np.uint8)
    block[:] = (200, 30, 30, 255)
    answered: list[Any] = []
    preview.filled.connect(lambda request, color: answered.append((request, color)))
    for number, x in enumerate((0, 10, 20), 1):
        preview.ask(PreviewRequest(number, 0, frame, 480, [(Rect(x, 0, x + 4, 4), block)]))
    preview.start()
    qtbot.waitUntil(lambda: len(answered) == 1)
    preview.stop()
    request, color = answered[0]
    assert request.generation == 3
    assert len(request.patches) == 3
    assert (color.rgb[2, 2].astype(int)[0] > color.rgb[2, 2].astype(int)[2] + 30)
    assert (color.rgb[2, 12].astype(int)[0] > color.rgb[2, 12].astype(int)[2] + 30)


def test_editing_goes_on_while_frames_are_carried(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    stages.carry_s = 0.05
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: len(stages.carried) > 1)
    mouse.stroke((40, 40), (50, 50))
    assert opened.propagation.running
    assert len(opened.session.project.key(0).strokes) == 2
    qtbot.waitUntil(lambda: not opened.propagation.running)
    project = opened.session.project
    assert not opened.results.is_fresh(project, FRAMES - 1), "it was made from what the key was before"
    assert opened.results.get(FRAMES - 1) is not None


def test_esc_stops_propagating_at_once(opened: MainWindow, mouse: Mouse, stages: FakeStages, qtbot) -> None:
    mouse.stroke((10, 10), (20, 20))
    stages.carry_s = 0.1
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: opened.results.get(1) is not None)
    opened.action("stop").trigger()
    assert not opened.propagation.running
    kept = {n for n in range(FRAMES) if opened.results.get(n) is not None}
    qtbot.wait(300)
    assert {n for n in range(FRAMES) if opened.results.get(n) is not None} == kept
    assert len(kept) < FRAMES


@pytest.mark.parametrize(("direction", "colored"), [("forward", range(4, FRAMES)), ("backward", range(0, 5))])
def test_directions_color_only_their_side(
    opened: MainWindow, mouse: Mouse, qtbot, direction: str, colored: range
) -> None:
    opened.playback.go(4)
    qtbot.waitUntil(lambda: opened.canvas.can_paint and opened.painting.ready_for == 4)
    mouse.stroke((10, 10), (20, 20))
    opened.action(f"propagate_{direction}").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    assert {n for n in range(FRAMES) if opened.results.get(n) is not None} == set(colored)


def test_propagating_again_does_only_what_is_out_of_date(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    opened.playback.go(8)
    qtbot.waitUntil(lambda: opened.canvas.can_paint and opened.painting.ready_for == 8)
    mouse.stroke((30, 10), (40, 20))
    qtbot.waitUntil(lambda: opened.results.is_fresh(opened.session.project, 8))
    stages.carried.clear()
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    assert stages.carried == list(range(1, FRAMES)), "frame 0 is a key and holds"
    stages.carried.clear()
    opened.action("propagate").trigger()
    assert not opened.propagation.running
    assert "up to date" in opened.status_line.words.text()


def test_propagating_while_the_networks_load_waits_for_them_and_loads_them_once(
    qtbot, stages: FakeStages, settings: QSettings, clip_path: Path, tmp_path: Path, answers
) -> None:
    loads: list[str] = []
    may_load = threading.Event()

    def load() -> tuple[Any, Any]:
        loads.append(threading.current_thread().name)
        may_load.wait(60)
        return stages.load()

    window = make_window(load, settings, "cpu")
    try:
        window.show()
        assert window.files.open(clip_path)
        qtbot.waitUntil(lambda: window.canvas.can_paint)
        Mouse(window).stroke((10, 10), (20, 20))
        window.action("propagate").trigger()
        time.sleep(0.1)
        may_load.set()
        qtbot.waitUntil(lambda: not window.propagation.running)
        assert len(loads) == 1
        assert answers == []
        assert len(stages.carried) == FRAMES
    finally:
        window.session.undo.history.mark_saved()
        window.close()
        window.deleteLater()


def test_a_fill_is_not_lost_by_going_to_another_frame(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, qtbot
) -> None:
    stages.densifier.slow_s = 0.3
    mouse.stroke((10, 10), (20, 20), (30, 20))
    opened.playback.go(5)
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    stages.densifier.slow_s = 0.0
    qtbot.waitUntil(lambda: not opened.painting.is_filling)
    assert opened.status_line.busy_words.text() == ""
    assert opened.results.get(0) is not None


def test_a_fill_of_a_project_that_was_left_never_appears_in_the_next(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, clip_path: Path, qtbot
) -> None:
    stages.densifier.slow_s = 0.5
    mouse.stroke((10, 10), (20, 20))
    opened.session.undo.history.mark_saved()
    assert opened.files.open(clip_path)
    stages.densifier.slow_s = 0.0
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    opened.session.do(AddStroke(0, "paint", (9, 9, 200), 3.0, 1.0, ((50.0, 50.0, 1.0),)))
    qtbot.waitUntil(lambda: opened.results.is_fresh(opened.session.project, 0))
    assert color_of(opened, 15, 15)[0] <= color_of(opened, 15, 15)[2] + 2
