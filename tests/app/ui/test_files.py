"""Opening, saving, importing, exporting: every way that can go wrong says so in words and keeps the work."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

import cv2
import numpy as np
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QFontDatabase, QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog, QMessageBox, QPushButton

from app.project.lock import lock_path
from app.project.store import open_project, save_project
from app.ui import messages, sample
from app.ui.export_dialog import ExportDialog
from app.ui.files import PROGRAM
from app.ui.main import CANNOT_START, has_no_screen, is_deaf, run_window
from app.ui.shortcuts import ENTRIES, MOUSE, ShortcutDialog
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


def test_a_flat_key_of_another_aspect_is_refused(opened: MainWindow, tmp_path: Path, answers) -> None:
    assert not opened.files.import_key(0, picture(tmp_path / "key.png", WIDTH + 2))
    assert f"{WIDTH + 2}x{HEIGHT}" in answers[0][0]
    assert "clip's size" in answers[0][1]
    assert opened.session.project.keys == {}


def test_a_key_that_was_moved_is_laid_onto_its_frame_and_said(opened: MainWindow, tmp_path: Path) -> None:
    frame = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    frame[:, WIDTH // 2 - 4 :] = (40, 90, 160)  # BGR; the clip's own edge lies in the middle
    cv2.imwrite(str(tmp_path / "key.png"), frame)
    assert opened.files.import_key(0, tmp_path / "key.png")
    assert "shifted by -4" in opened.status_line.words.text()
    picture = opened.session.project.keys[0].picture
    laid = cv2.imdecode(np.frombuffer(picture.png, np.uint8), cv2.IMREAD_UNCHANGED)
    red_over_blue = laid[20, :, 2].astype(int) - laid[20, :, 0]
    assert abs(red_over_blue[WIDTH // 2 - 3]) < 10 and red_over_blue[WIDTH // 2 + 3] > 40


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


def test_an_errors_details_can_be_copied_and_esc_closes_it(window: MainWindow) -> None:
    error = MediaError("is damaged", path="/a/film.mp4", advice="Copy it again")
    seen: list[str] = []

    def answer() -> None:
        box = QApplication.activeModalWidget()
        QTest.mouseClick(box.findChild(QPushButton, "copy_details"), Qt.MouseButton.LeftButton)
        seen.extend((box.text(), box.informativeText(), QGuiApplication.clipboard().text()))
        assert box.isVisible(), "copying does not close it"
        QTest.keyClick(box, Qt.Key.Key_Escape)

    QTimer.singleShot(100, answer)
    messages.show_error(window, "Cannot open", error)
    assert seen[0] == "/a/film.mp4: is damaged."
    assert seen[1] == "Copy it again."
    assert seen[2] == messages.details_of(error)
    assert "film.mp4" in seen[2] and "Python" in seen[2]


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


def test_the_shortcut_list_and_the_tooltips_are_true_and_complete(window: MainWindow) -> None:
    native = QKeySequence.SequenceFormat.NativeText
    dialog = ShortcutDialog(window)
    listed = {(labels[0].text(), labels[1].text()) for _, labels in dialog._rows}
    assert set(window.actions_by_name) == {entry.name for entry in ENTRIES}
    for entry in ENTRIES:
        action = window.action(entry.name)
        keys = ", ".join(key.toString(native) for key in action.shortcuts())
        words = entry.text.rstrip("…")
        assert ((keys, words) in listed) is bool(keys), entry.name
        assert f"<b>{words}</b>" in action.toolTip()
        assert not keys or f"({keys})" in action.toolTip(), entry.name
    assert len(listed) == sum(1 for entry in ENTRIES if entry.keys) + len(MOUSE)
    dialog.deleteLater()


def test_the_shortcut_list_can_be_searched(window: MainWindow) -> None:
    dialog = ShortcutDialog(window)
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
    assert PROGRAM not in (window.files.export_folder() / "x").parents, "an update would take the export away"
    assert window.playback.frame in window.session.project.key_numbers() or not window.session.project.keys


def test_no_screen_is_told_before_qt_would_abort(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert run_window([]) == CANNOT_START
    assert "no screen" in capsys.readouterr().err
    assert not has_no_screen({"WAYLAND_DISPLAY": "wayland-0"}, "linux")
    assert not has_no_screen({}, "win32")


def test_a_screen_that_does_not_answer_is_told_before_qt_would_abort(
    monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":64999")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    assert run_window([]) == CANNOT_START
    assert "(:64999) does not answer" in capsys.readouterr().err
    assert not is_deaf({"DISPLAY": "elsewhere:0"}, "linux"), "only screens of this machine are asked"
    assert not is_deaf({"DISPLAY": ":64999", "QT_QPA_PLATFORM": "offscreen"}, "linux")


def test_a_machine_without_fonts_is_told(window: MainWindow, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    monkeypatch.setattr(QFontDatabase, "families", lambda: [])
    assert run_window([]) == CANNOT_START
    assert "no fonts" in capsys.readouterr().err


def test_a_project_of_a_newer_version_is_told_and_left_alone(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers
) -> None:
    file = tmp_path / "later.huecast"
    monkeypatch.setattr("app.project.store.VERSION", 99)
    save_project(opened.session.project, file)
    monkeypatch.undo()
    monkeypatch.setattr(QMessageBox, "exec", lambda box: answers.append((box.text(), box.informativeText())) or 0)
    before = file.read_bytes()
    mouse.stroke((10, 10), (20, 20))
    opened.session.undo.history.mark_saved()
    assert not opened.files.open(file)
    assert "newer Huecast" in answers[0][0] and "Update" in answers[0][1]
    assert file.read_bytes() == before
    assert len(opened.session.project.key(0).strokes) == 1
    assert not lock_path(file).exists()


def test_a_changed_clip_is_told_and_the_work_stays(
    opened: MainWindow, mouse: Mouse, clip_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot
) -> None:
    clip, file = tmp_path / "film.mp4", tmp_path / "work.huecast"
    clip.write_bytes(clip_path.read_bytes())
    assert opened.files.open(clip)
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    mouse.stroke((10, 10), (20, 20))
    opened.session.save(file)
    clip.write_bytes(clip_path.read_bytes() + b"more")
    asked = reply(monkeypatch, False)
    assert opened.files.open(file)
    assert "changed or replaced" in asked[0]
    assert len(opened.session.project.key(0).strokes) == 1


def test_a_folder_that_may_only_be_read_is_told_and_the_work_stays_unsaved(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers
) -> None:
    mouse.stroke((10, 10), (20, 20))
    opened.session.path = tmp_path / "work.huecast"
    opened_for_real = os.open

    def read_only(path, *rest, **how):
        if str(path).startswith(f"{tmp_path}/.work"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return opened_for_real(path, *rest, **how)

    monkeypatch.setattr("propagation.atomic.os.open", read_only)
    assert not opened.files.save()
    assert "may not be written" in answers[0][0] and "rights" in answers[0][1]
    assert opened.session.unsaved
    monkeypatch.undo()
    assert opened.files.save()


def test_a_clip_that_breaks_in_the_middle_is_told_and_the_rest_stays_usable(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot
) -> None:
    said: list[tuple[str, str]] = []
    monkeypatch.setattr(QMessageBox, "exec", lambda box: said.append((box.text(), box.informativeText())) or 0)
    (tmp_path / "film").mkdir()
    for n in range(8):
        picture(tmp_path / "film" / f"{n:03d}.png")
    broken = tmp_path / "film" / "005.png"
    broken.write_bytes(broken.read_bytes()[:60])
    qtbot.waitUntil(lambda: window.has_networks)
    assert window.files.open(tmp_path / "film")
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    Mouse(window).stroke((10, 10), (20, 20))
    window.playback.go(5)
    qtbot.waitUntil(lambda: "cannot be read" in window.canvas.message)
    assert not window.canvas.can_paint
    window.playback.go(6)
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    assert window.canvas.message == ""
    window.action("propagate").trigger()
    qtbot.waitUntil(lambda: bool(said))
    assert "005.png" in said[0][0]
    assert window.files._save(tmp_path / "work.huecast")
    assert len(open_project(tmp_path / "work.huecast").project.key(0).strokes) == 1


def test_a_name_without_its_ending_replaces_nothing_unasked(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "work.huecast").write_bytes(b"dear to somebody")
    mouse.stroke((10, 10), (20, 20))
    choose(monkeypatch, tmp_path / "work", "getSaveFileName")
    asked = reply(monkeypatch, False)
    assert not opened.files.save_as()
    assert "is there already" in asked[0]
    assert (tmp_path / "work.huecast").read_bytes() == b"dear to somebody"


@pytest.mark.parametrize("name", ["work.huecast", "work.huecast~"])
def test_the_version_before_a_damaged_project_can_be_opened(
    opened: MainWindow, mouse: Mouse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot, name: str
) -> None:
    file = tmp_path / "work.huecast"
    mouse.stroke((10, 10), (20, 20))
    opened.session.save(file)
    mouse.stroke((30, 30), (40, 40))
    opened.session.save(file)
    file.write_bytes(file.read_bytes()[:-100])
    asked = reply(monkeypatch, True)
    assert opened.files.open(tmp_path / name)
    assert len(asked) == (1 if name == file.name else 0)
    assert len(opened.session.project.key(0).strokes) == 1
    assert opened.session.unsaved, "the damaged file is replaced only by saving"
    assert opened.session.path == file
    qtbot.waitUntil(lambda: opened.canvas.can_paint)
    assert opened.files.save()
    assert len(open_project(file).project.key(0).strokes) == 1
