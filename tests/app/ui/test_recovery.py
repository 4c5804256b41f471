"""A crash costs seconds: unsaved work is written while one works, offered at the next start, and gone on closing."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import QSettings
from PySide6.QtWidgets import QMessageBox

from app.project.recovery import RecoveryFile, left_work
from app.project.store import open_project
from app.ui import messages
from app.ui.main import make_window
from app.ui.window import MainWindow
from tests.app.ui.conftest import Mouse
from tests.app.ui.fakes import FakeStages


def kept(window: MainWindow) -> list[Path]:
    window.recovery._writer.submit(lambda: None).result()
    return sorted(window.recovery.folder.glob("*.huecast"))


def answer(monkeypatch: pytest.MonkeyPatch, place: int) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(messages, "choose", lambda parent, title, what, *_: asked.append(what) or place)
    return asked


def test_unsaved_work_is_kept_soon_and_gone_once_saved(
    opened: MainWindow, mouse: Mouse, tmp_path: Path, qtbot
) -> None:
    opened.recovery._pause_ms = 20
    assert kept(opened) == []
    mouse.stroke((10, 10), (20, 20))
    qtbot.waitUntil(lambda: len(kept(opened)) == 1)
    assert open_project(kept(opened)[0]).project.keys == opened.session.project.keys
    opened.session.save(tmp_path / "work.huecast")
    assert kept(opened) == []
    mouse.stroke((30, 30), (40, 40))
    qtbot.waitUntil(lambda: len(kept(opened)) == 1)
    opened.session.undo_step()
    assert kept(opened) == [], "the project is what the file holds again"


def test_closing_with_an_answer_leaves_nothing(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.recovery.write_now()
    assert len(kept(opened)) == 1
    monkeypatch.setattr(QMessageBox, "exec", lambda box: int(QMessageBox.StandardButton.Discard))
    opened.close()
    assert list(opened.recovery.folder.iterdir()) == []


def test_an_end_without_an_answer_leaves_the_work_and_the_next_start_takes_it_up(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, settings: QSettings, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, qtbot,
) -> None:
    opened.session.save(tmp_path / "work.huecast")
    mouse.stroke((10, 10), (20, 20))
    opened.shut_down()
    asked = answer(monkeypatch, 0)
    after = make_window(stages.load, settings, "cpu")
    try:
        after.show()
        assert after.files.offer_recovery(asked=False)
        assert "work.huecast" in asked[0]
        assert after.session.project.keys == opened.session.project.keys
        assert after.session.unsaved
        assert after.session.path == tmp_path / "work.huecast", "it is saved to where it belongs"
        qtbot.waitUntil(lambda: after.canvas.can_paint)
        assert after.files.save()
        assert kept(after) == []
        assert open_project(tmp_path / "work.huecast").project == after.session.project
    finally:
        after.session.undo.history.mark_saved()
        after.close()
        after.deleteLater()


@pytest.mark.parametrize(("place", "stays"), [(1, False), (2, True)])
def test_what_is_not_taken_up_is_thrown_away_or_offered_again(
    opened: MainWindow, monkeypatch: pytest.MonkeyPatch, place: int, stays: bool
) -> None:
    file = RecoveryFile.new(opened.recovery.folder)
    file.write(opened.session.project, None, "film")
    file.let_go()
    before = opened.session.project
    answer(monkeypatch, place)
    assert not opened.files.offer_recovery(asked=False)
    assert opened.session.project is before
    found = list(left_work(opened.recovery.folder))
    assert bool(found) is stays
    for left in found:
        left.file.remove()


def test_a_place_that_cannot_be_written_is_told_and_painting_goes_on(
    opened: MainWindow, mouse: Mouse, tmp_path: Path, qtbot
) -> None:
    (tmp_path / "file").write_text("in the way")
    opened.recovery._file = RecoveryFile.new(tmp_path / "file")
    mouse.stroke((10, 10), (20, 20))
    opened.recovery.write_now()
    qtbot.waitUntil(lambda: "not being kept" in opened.status_line.words.text())
    mouse.stroke((30, 30), (40, 40))
    assert len(opened.session.project.key(0).strokes) == 2


def test_asking_for_recovery_says_when_there_is_nothing(window: MainWindow, answers) -> None:
    window.action("recover").trigger()
    assert "no unsaved work" in answers[0][0]
