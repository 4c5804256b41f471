"""A project that is opened again has the color that was carried before; nothing else pretends to be it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QSettings

from app.results import FrameState
from app.ui.main import make_window
from app.ui.window import MainWindow
from propagation.errors import NoSpaceError
from tests.app.ui.conftest import FRAMES, HEIGHT, WIDTH, Mouse
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


def test_color_that_memory_has_no_room_for_counts_as_known_and_comes_back_with_the_view(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, tmp_path: Path, qtbot
) -> None:
    one_bytes = HEIGHT * WIDTH * 4
    opened.results.budget_bytes = 4 * one_bytes
    mouse.stroke((10, 10), (20, 20))
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    assert opened.results.size_bytes <= 4 * one_bytes
    assert opened.results.get(FRAMES - 1) is None
    assert states(opened) == {FrameState.FRESH}
    assert not opened.propagation.start(opened.session.project), "nothing is to be carried again"
    opened.kept_results._thread.submit(lambda: None).result()
    opened.playback.go(FRAMES - 1)
    qtbot.waitUntil(lambda: opened.frames.color(FRAMES - 1) is not None)
    assert opened.results.size_bytes <= 4 * one_bytes
    assert states(opened) == {FrameState.FRESH}

    # The files are thrown away behind our back: nothing pretends otherwise.
    for file in opened.kept_results._folder.glob("*.ab"):
        file.unlink()
    opened.playback.go(2)
    qtbot.waitUntil(lambda: FrameState.NONE in states(opened))


def test_a_long_project_opened_again_reads_only_what_memory_has_room_for(
    opened: MainWindow, mouse: Mouse, tmp_path: Path, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: not opened.propagation.running)
    opened.session.save(tmp_path / "work.huecast")
    opened.results.budget_bytes = 3 * HEIGHT * WIDTH * 4
    assert opened.files.open(tmp_path / "work.huecast")
    qtbot.waitUntil(lambda: states(opened) == {FrameState.FRESH})
    assert opened.results.size_bytes <= opened.results.budget_bytes
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    opened.playback.go(9)
    qtbot.waitUntil(lambda: opened.frames.color(9) is not None)
