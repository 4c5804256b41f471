"""The whole way: open, scribble, fill, propagate, undo, correct, save, reopen, export, and play what was exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt

from app.results import FrameState
from app.ui.export_dialog import ExportDialog
from app.ui.window import MainWindow
from propagation.video.reader import open_clip
from tests.app.ui.conftest import FRAMES, Mouse, color_of
from tests.app.ui.fakes import FakeStages

RED, BLUE = (200, 60, 50), (60, 80, 200)


def is_colored(window: MainWindow, frame: int) -> bool:
    return window.results.states(window.session.project)[frame] is FrameState.FRESH


def test_the_journey_of_a_restorer(
    opened: MainWindow, mouse: Mouse, press, qtbot, tmp_path: Path, stages: FakeStages, answers
) -> None:
    window = opened
    # Scribble: the frame fills while the brush is down.
    window.tools.set(color=RED, radius_px=5.0)
    mouse.stroke((20, 20), (30, 22), (40, 24), end=False)
    qtbot.waitUntil(lambda: color_of(window, 30, 22)[0] > color_of(window, 30, 22)[2] + 40)
    mouse.stroke((20, 30), (30, 30))
    assert window.session.unsaved
    assert window.windowTitle().startswith("•")
    qtbot.waitUntil(lambda: is_colored(window, 0))

    # Propagate: every frame is colored, and the view of another frame shows it.
    press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not window.propagation.running)
    assert all(is_colored(window, n) for n in range(FRAMES))
    press(Qt.Key.Key_End)
    assert window.playback.frame == FRAMES - 1
    qtbot.waitUntil(lambda: color_of(window, 30, 22)[0] > color_of(window, 30, 22)[2] + 20)

    # Correct that frame: the color that was carried stays under the stroke, and the frame is a key now.
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    window.tools.set(color=BLUE)
    mouse.stroke((70, 40), (80, 44))
    assert window.session.project.key_numbers() == [0, FRAMES - 1]
    assert window.session.project.key(FRAMES - 1).picture is not None
    qtbot.waitUntil(lambda: color_of(window, 75, 42)[2] > color_of(window, 75, 42)[0] + 40)
    states = window.results.states(window.session.project)
    assert states[5] is FrameState.STALE, "what lies between the keys is out of date"

    # Undo gives back what was carried; redo the correction.
    press(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.session.project.key_numbers() == [0]
    qtbot.waitUntil(lambda: color_of(window, 30, 22)[0] > color_of(window, 30, 22)[2] + 20)
    assert is_colored(window, FRAMES - 1)
    press(Qt.Key.Key_Y, Qt.KeyboardModifier.ControlModifier)
    assert window.session.project.key_numbers() == [0, FRAMES - 1]
    press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: not window.propagation.running)

    # Save and reopen: everything that was made is there.
    project, file = window.session.project, tmp_path / "grey.huecast"
    window.session.save(file)
    assert not window.session.unsaved
    assert window.files.open(file)
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    assert window.session.project.keys == project.keys
    assert window.session.project.recent[0] == BLUE

    # Export, and play the export.
    out = tmp_path / "out.mp4"
    dialog = ExportDialog(window.session.project, "grey", tmp_path, {}, stages.pipeline, "cpu", window)
    dialog.place.setText(str(out))
    dialog.show()
    qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Done" in dialog.status.text())
    dialog.reject()
    dialog.deleteLater()
    with open_clip(out) as clip:
        assert clip.info.frame_count == FRAMES
        red = clip.frame(0).image[22, 30].astype(int)
        assert red[0] > red[2] + 40
    assert window.files.open(out)
    qtbot.waitUntil(lambda: window.playback.count == FRAMES)
    press(Qt.Key.Key_Space)
    qtbot.waitUntil(lambda: window.playback.frame == FRAMES - 1)
    qtbot.waitUntil(lambda: not window.playback.playing)
    assert answers == [], "no message box interrupted the work"


@pytest.mark.parametrize("ends", [True, False])
def test_cuts_are_searched_for_once_and_a_search_that_has_not_ended_is_let_go(
    opened: MainWindow, mouse: Mouse, press, qtbot, stages: FakeStages, ends: bool
) -> None:
    window, stages.search_ends = opened, ends
    for y in (20, 30):
        qtbot.waitUntil(lambda: window.canvas.can_paint)
        mouse.stroke((20, y), (40, y))
        qtbot.waitUntil(lambda: is_colored(window, 0))
        press(Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        qtbot.waitUntil(lambda: not window.propagation.running)
        assert is_colored(window, FRAMES - 1)
    assert stages.searches == (1 if ends else 2)
    assert len(window.propagation._searches) == (1 if ends else 0)


def test_an_export_of_known_colors_carries_nothing_again(
    opened: MainWindow, mouse: Mouse, qtbot, tmp_path: Path, stages: FakeStages
) -> None:
    window = opened
    window.tools.set(color=RED)
    mouse.stroke((20, 20), (30, 22))
    window.action("propagate").trigger()
    qtbot.waitUntil(lambda: not window.propagation.running)
    stages.carried.clear()
    dialog = window.verbs.export_dialog()
    dialog.place.setText(str(tmp_path / "pictures" / "%05d.png"))
    dialog.format.setCurrentIndex(3)
    dialog.place.setText(str(tmp_path / "pictures" / "%05d.png"))
    dialog.start()
    qtbot.waitUntil(lambda: "Done" in dialog.status.text())
    dialog.reject()
    dialog.deleteLater()
    assert stages.carried == []
    written = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert written == [f"{n:05d}.png" for n in range(FRAMES)]
    with open_clip(tmp_path / "pictures") as clip:
        shown = window.frames.color(0)
        assert shown is not None
        assert np.abs(clip.frame(0).image.astype(int) - shown.astype(int)).mean() < 2, "what was seen is written"
