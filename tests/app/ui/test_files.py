"""Opening, saving, importing, exporting: every way that can go wrong says so in words and keeps the work."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from app.project.lock import lock_path
from app.ui import messages, sample
from app.ui.export_dialog import ExportDialog
from app.ui.main import CANNOT_START, has_no_screen, run_window
from app.ui.shortcuts import ENTRIES, ShortcutDialog
from app.ui.window import MainWindow
from propagation.errors import MediaError, NoSpaceError
from tests.app.ui.conftest import FRAMES, HEIGHT, WIDTH, Mouse
from tests.app.ui.fakes import FakeStages


def choose(monkeypatch: pytest.MonkeyPatch, path: Path, dialog: str = "getOpenFileName") -> None:
    monkeypatch.setattr(QFileDialog, dialog, lambda *_, **__: (str(path), ""))


def reply(monkeypatch: pytest.MonkeyPatch, answer: bool) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(messages, "ask", lambda parent, title, what, *_, **__: asked.append(what) or answer)
    return asked


def picture(path: Path, width: int = WIDTH, height: int = HEIGHT) -> Path:
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 2] = 180
    cv2.imwrite(str(path), image)
    return path


def test_the_menu_opens_saves_and_opens_again(
    opened: MainWindow, mouse: Mouse, press, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    choose(monkeypatch, tmp_path / "work", "getSaveFileName")
    press(Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    assert (tmp_path / "work.huecast").exists()
    assert opened.windowTitle() == "work.huecast — Huecast"
    mouse.stroke((30, 30), (40, 40))
    assert opened.windowTitle().startswith("• ")
    press(Qt.Key.Key_S, Qt.KeyboardModifier.ControlModifier)
    assert (tmp_path / "work.huecast~").exists()
    choose(monkeypatch, tmp_path / "work.huecast")
    press(Qt.Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    assert len(opened.session.project.key(0).strokes) == 2


@pytest.mark.parametrize(("answer", "leaves"), [("Save", True), ("Discard", True), ("Cancel", False)])
def test_closing_asks_about_unsaved_work(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: str, leaves: bool
) -> None:
    mouse.stroke((10, 10), (20, 20))
    choose(monkeypatch, tmp_path / "work.huecast", "getSaveFileName")
    monkeypatch.setattr(QMessageBox, "exec", lambda box: int(getattr(QMessageBox.StandardButton, answer)))
    assert opened.close() is leaves
    assert (tmp_path / "work.huecast").exists() is (answer == "Save")


def test_a_damaged_project_is_told_and_the_open_one_stays(
    opened: MainWindow, mouse: Mouse, tmp_path: Path, answers
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.session.undo.history.mark_saved()
    bad = tmp_path / "bad.huecast"
    bad.write_bytes(b"PK\x03\x04 nothing of worth")
    assert not opened.files.open(bad)
    assert "damaged" in answers[0][0]
    assert len(opened.session.project.key(0).strokes) == 1
    assert not lock_path(bad).exists()


def test_what_is_no_clip_is_told(opened: MainWindow, tmp_path: Path, answers) -> None:
    text = tmp_path / "film.mp4"
    text.write_text("this is no film")
    assert not opened.files.open(text)
    assert "film.mp4" in answers[0][0]
    assert not opened.files.open(tmp_path / "none.mp4")
    assert opened.playback.count == FRAMES


def test_two_windows_on_one_project_offer_a_copy(
    opened: MainWindow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot
) -> None:
    file = tmp_path / "work.huecast"
    opened.session.save(file)
    opened.session.close()
    other = {"host": socket.gethostname(), "pid": os.getppid()}
    lock_path(file).write_text(json.dumps(other))
    asked = reply(monkeypatch, False)
    assert not opened.files.open(file)
    assert f"process {os.getppid()}" in asked[0]
    reply(monkeypatch, True)
    assert opened.files.open(file)
    assert opened.session.path is None, "a copy has no file that could be overwritten"
    qtbot.waitUntil(lambda: opened.canvas.can_paint)


def test_a_missing_clip_is_relinked(
    opened: MainWindow, mouse: Mouse, clip_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot
) -> None:
    moved = tmp_path / "moved.mp4"
    moved.write_bytes(clip_path.read_bytes())
    assert opened.files.open(moved)
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    mouse.stroke((10, 10), (20, 20))
    file = tmp_path / "work.huecast"
    opened.session.save(file)
    moved.unlink()
    asked = reply(monkeypatch, True)
    choose(monkeypatch, clip_path)
    assert opened.files.open(file)
    assert "not where it was" in asked[0]
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    assert len(opened.session.project.key(0).strokes) == 1
    assert opened.session.project.source.path == str(clip_path)


def test_a_clip_that_is_gone_leaves_the_work_in_place(
    opened: MainWindow, mouse: Mouse, clip_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    file, away = tmp_path / "work.huecast", tmp_path / "away.mp4"
    away.write_bytes(clip_path.read_bytes())
    opened.files.relink(away)
    opened.session.save(file)
    away.unlink()
    reply(monkeypatch, False)
    assert opened.files.open(file)
    qtbot.waitUntil(lambda: "Relink" in opened.canvas.message)
    assert len(opened.session.project.key(0).strokes) == 1
    opened.session.save(tmp_path / "other.huecast")


def test_an_imported_key_colors_its_frame(opened: MainWindow, tmp_path: Path, qtbot) -> None:
    assert opened.files.import_key(0, picture(tmp_path / "key.png"))
    qtbot.waitUntil(lambda: opened.frames.color(0) is not None)
    red, _, blue = (int(v) for v in opened.frames.color(0)[20, 20])
    assert red > blue + 30
    assert opened.action("undo").text() == "Undo import key.png as key frame 0"


def test_a_key_of_another_size_is_refused_never_resampled(opened: MainWindow, tmp_path: Path, answers) -> None:
    assert not opened.files.import_key(0, picture(tmp_path / "key.png", WIDTH + 2))
    assert f"{WIDTH + 2}x{HEIGHT}" in answers[0][0]
    assert "resampled" in answers[0][1]
    assert opened.session.project.keys == {}


def test_a_save_that_fails_says_so_and_the_work_stays_unsaved(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.session.save(tmp_path / "work.huecast")
    before = (tmp_path / "work.huecast").read_bytes()
    mouse.stroke((30, 10), (40, 20))

    def full(*_: object, **__: object) -> None:
        raise NoSpaceError("no space left on the disk", path=tmp_path, advice="Free some space")

    monkeypatch.setattr("app.ui.session.save_project", full)
    assert not opened.files.save()
    assert answers[0] == (f"{tmp_path}: no space left on the disk.", "Free some space.")
    assert opened.session.unsaved
    assert (tmp_path / "work.huecast").read_bytes() == before


def test_details_can_be_copied() -> None:
    details = messages.details_of(MediaError("is damaged", path="/a/film.mp4", advice="Copy it again"))
    assert "film.mp4" in details and "Python" in details
    QGuiApplication.clipboard().setText(details)
    assert QGuiApplication.clipboard().text() == details


def test_an_export_that_is_stopped_leaves_nothing(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, tmp_path: Path, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    stages.carry_s = 0.2
    dialog = ExportDialog(opened.session.project, "grey", tmp_path, {}, stages.pipeline, "cpu", opened)
    dialog.show()
    qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(stages.carried) > 1)
    qtbot.mouseClick(dialog.stop_button, Qt.MouseButton.LeftButton)
    assert "Stopped" in dialog.status.text()
    dialog.reject()
    dialog.deleteLater()
    assert list(tmp_path.glob("*color*")) + list(tmp_path.glob(".*part*")) == []


def test_an_export_asks_before_it_replaces(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mouse.stroke((10, 10), (20, 20))
    (tmp_path / "grey-color.mp4").write_bytes(b"dear to somebody")
    asked = reply(monkeypatch, False)
    dialog = ExportDialog(opened.session.project, "grey", tmp_path, {}, stages.pipeline, "cpu", opened)
    dialog.start()
    assert "is there already" in asked[0]
    assert not dialog.runner.running
    assert (tmp_path / "grey-color.mp4").read_bytes() == b"dear to somebody"
    dialog.deleteLater()


def test_a_propagation_that_breaks_is_told_and_done_frames_stay(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, answers, qtbot
) -> None:
    mouse.stroke((10, 10), (20, 20))
    stages.fail_at = 5
    opened.action("propagate").trigger()
    qtbot.waitUntil(lambda: bool(answers))
    assert "did not expect" in answers[0][0]
    assert opened.results.get(4) is not None
    assert opened.results.get(6) is None


def test_propagating_without_a_key_says_what_to_do(opened: MainWindow, answers) -> None:
    opened.verbs.propagate("both")
    assert "no key frame" in answers[0][0]
    assert "Paint" in answers[0][1]


def test_a_network_that_fails_is_told_and_painting_goes_on(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, qtbot
) -> None:
    stages.densifier.error = RuntimeError("broken")
    mouse.stroke((10, 10), (20, 20))
    qtbot.waitUntil(lambda: "Cannot fill" in opened.status_line.words.text())
    stages.densifier.error = None
    mouse.stroke((30, 10), (40, 20))
    qtbot.waitUntil(lambda: opened.frames.color(0) is not None)
    assert len(opened.session.project.key(0).strokes) == 2


def test_swatches_are_added_by_name(opened: MainWindow, monkeypatch: pytest.MonkeyPatch, press) -> None:
    monkeypatch.setattr(QInputDialog, "getText", lambda *_, **__: ("Tie", True))
    opened.tools.set(color=(1, 2, 3))
    count = len(opened.session.project.swatches)
    opened.color_panel._add_swatch()
    assert opened.session.project.swatches[-1].name == "Tie"
    opened.color_panel.edit_swatch(count, "remove")
    assert len(opened.session.project.swatches) == count
    press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert opened.session.project.swatches[-1].color == (1, 2, 3)


def test_the_shortcut_list_names_every_key_and_can_be_searched(window: MainWindow) -> None:
    dialog = ShortcutDialog(window)
    assert len(dialog._rows) >= sum(1 for entry in ENTRIES if entry.keys)
    dialog._search.setText("propagate")
    hidden = [labels[0].isHidden() for words, labels in dialog._rows if "propagate" not in words]
    assert hidden and all(hidden)
    dialog.deleteLater()


def test_every_action_is_in_a_menu_and_no_key_is_used_twice(window: MainWindow) -> None:
    in_menus = {action for menu in window.menuBar().actions() for action in menu.menu().actions()}
    assert set(window.actions_by_name.values()) <= in_menus
    keys = [key for entry in ENTRIES for key in entry.keys]
    assert len(keys) == len(set(keys))


def test_the_sample_opens_on_its_scribbled_frame(window: MainWindow, qtbot) -> None:
    if not sample.CLIP.exists():
        pytest.skip("needs the demo's film clip in assets/demo")
    window.action("sample").trigger()
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    assert window.session.path is None
    assert not window.session.unsaved
    assert window.playback.frame in window.session.project.key_numbers() or not window.session.project.keys


def test_no_screen_is_told_before_qt_would_abort(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert run_window([]) == CANNOT_START
    assert "no screen" in capsys.readouterr().err
    assert not has_no_screen({"WAYLAND_DISPLAY": "wayland-0"}, "linux")
    assert not has_no_screen({}, "win32")
