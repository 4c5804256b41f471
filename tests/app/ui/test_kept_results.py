"""A project that is opened again has the color that was carried before; nothing else pretends to be it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QSettings

from app.results import FrameState
from app.ui.main import make_window
from app.ui.window import MainWindow
from propagation.errors import NoSpaceError
from tests.app.ui.conftest import FRAMES, Mouse
from tests.app.ui.fakes import FakeStages


def states(window: MainWindow) -> set[FrameState]:
    return set(window.results.states(window.session.project))


def test_a_project_opened_again_needs_no_propagating(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, settings: QSettings, tmp_path: Path, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    assert states(opened) == {FrameState.FRESH}
    before = {frame: opened.results.get(frame).ab for frame in range(FRAMES)}
    opened.session.save(tmp_path / "work.huecast")
    opened.shut_down()
    stages.carried.clear()

    again = make_window(stages.load, settings, "cpu")
    try:
        again.show()
        assert again.files.open(tmp_path / "work.huecast")
        qtbot.waitUntil(lambda: "from before" in again.status_line.words.text())
        assert again.results.states(again.session.project) == [FrameState.FRESH] * FRAMES
        for frame, ab in before.items():
            np.testing.assert_array_equal(again.results.get(frame).ab, ab)
        again.playback.go(7)
        qtbot.waitUntil(lambda: again.frames.color(7) is not None)
        assert not again.propagation.start(again.session.project), "every frame is up to date"
        assert stages.carried == []
        # An edit made since then makes it stale as ever.
        qtbot.waitUntil(lambda: again.canvas.can_paint)
        Mouse(again).stroke((30, 30), (40, 40))
        assert FrameState.STALE in states(again)
    finally:
        again.session.undo.history.mark_saved()
        again.close()
        again.deleteLater()


def test_a_changed_project_takes_nothing_that_is_not_its_own(
    opened: MainWindow, mouse: Mouse, tmp_path: Path, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    mouse.stroke((60, 10), (70, 20))
    opened.session.save(tmp_path / "work.huecast")
    assert opened.files.open(tmp_path / "work.huecast")
    opened.kept_results._thread.submit(lambda: None).result()
    assert opened.results.states(opened.session.project)[5] is FrameState.NONE


def test_a_full_disk_is_told_and_costs_nothing_else(opened: MainWindow, mouse: Mouse, monkeypatch, qtbot) -> None:
    def full(*_: object) -> None:
        raise NoSpaceError("no space left on the disk", advice="Free some space")

    monkeypatch.setattr("app.project.result_cache.ResultCache.write", full)
    told = []
    opened.kept_results.failed.connect(told.append)
    mouse.stroke((10, 10), (20, 20))
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running and bool(told))
    assert len(told) == 1
    assert states(opened) == {FrameState.FRESH}
