"""HDR in the window: a key is looked at before it is taken, light is seen at an exposure, and written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from PySide6.QtTest import QTest

from app.hdr_view import show_light
from app.ui.hdr_key_dialog import DIFFERENCE, OVERLAID, SIDE_BY_SIDE
from app.ui.window import MainWindow
from propagation.video.exr import read_exr, write_exr
from tests.app.conftest import write_png
from tests.propagation.hdr.scenes import HEIGHT, WIDTH, moving

FRAMES = 4


@pytest.fixture
def light() -> list[np.ndarray]:
    return [x.astype(np.float16).astype(np.float32) for x in moving(FRAMES)[1]]


@pytest.fixture
def window_with_scene(window: MainWindow, qtbot, tmp_path: Path, light: list[np.ndarray]) -> MainWindow:
    """A panning scene is open; first.exr is the light of its first frame."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for n, picture in enumerate(moving(FRAMES)[0]):
        write_png(folder / f"{n}.png", picture)
    write_exr(tmp_path / "first.exr", light[0])
    qtbot.waitUntil(lambda: window.has_networks)
    assert window.files.open(folder)
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    return window


@pytest.fixture
def with_key(window_with_scene: MainWindow, qtbot, tmp_path: Path) -> MainWindow:
    """The same with its HDR key taken."""
    window = window_with_scene
    window.hdr_verbs.look(0, tmp_path / "first.exr")
    qtbot.waitUntil(lambda: window.hdr_verbs.dialog is not None)
    dialog = window.hdr_verbs.dialog
    assert dialog is not None
    qtbot.mouseClick(dialog.use, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: window.hdr_verbs.dialog is None)
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


def shown_at(window: MainWindow, x: int, y: int) -> tuple[int, int, int]:
    color = window.canvas.grab().toImage().pixelColor(window.canvas.to_widget(QPointF(x + 0.5, y + 0.5)).toPoint())
    return color.red(), color.green(), color.blue()


def point_at(window: MainWindow, x: int, y: int) -> str:
    QTest.mouseMove(window.canvas, window.canvas.to_widget(QPointF(x + 0.5, y + 0.5)).toPoint())
    return window.status_line.cursor_words.text()


def brightest(light: np.ndarray) -> tuple[int, int]:
    y, x = np.unravel_index(int(light.sum(axis=-1).argmax()), light.shape[:2])
    return int(x), int(y)


def test_a_key_is_looked_at_before_it_is_taken(window_with_scene: MainWindow, qtbot, tmp_path: Path, answers) -> None:
    window = window_with_scene
    assert not window.action("export_hdr").isEnabled()
    assert not window.hdr_panel.exposure.isEnabled()
    window.hdr_verbs.look(0, tmp_path / "first.exr")
    qtbot.waitUntil(lambda: window.hdr_verbs.dialog is not None)
    dialog = window.hdr_verbs.dialog
    assert dialog is not None
    assert "exposure +0.00 stops" in dialog.found.text()
    assert "of the frame clipped" in dialog.found.text()
    for choice in (SIDE_BY_SIDE, OVERLAID, DIFFERENCE):
        dialog.choice.setCurrentText(choice)
        assert not dialog.picture.grab().isNull()
    dialog.reject()
    qtbot.waitUntil(lambda: window.hdr_verbs.dialog is None)
    assert window.hdr.keys == {}
    assert not window.action("export_hdr").isEnabled()
    assert answers == []


def test_a_key_of_another_picture_is_refused_in_words(
    window_with_scene: MainWindow, qtbot, tmp_path: Path, light: list[np.ndarray], answers
) -> None:
    write_exr(tmp_path / "other.exr", np.ascontiguousarray(light[0][::-1, ::-1]))
    window_with_scene.hdr_verbs.look(0, tmp_path / "other.exr")
    qtbot.waitUntil(lambda: bool(answers))
    assert "does not show what frame 0 shows" in answers[0][0]
    assert window_with_scene.hdr.keys == {}
    # The same question in the file's own coding: 16 bits that do not say what they mean.
    write_png(tmp_path / "plain.png", moving(1)[0][0])
    window_with_scene.hdr_verbs.look(0, tmp_path / "plain.png")
    qtbot.waitUntil(lambda: len(answers) > 1)
    assert "8-bit" in answers[1][0]


def test_the_exposure_shows_what_lies_above_white(with_key: MainWindow, light: list[np.ndarray]) -> None:
    window = with_key
    x, y = brightest(light[0])
    assert shown_at(window, x, y) == (255, 255, 255)
    window.hdr_panel.exposure.setValue(-5 * 4)
    white = next(iter(window.hdr.keys.values())).white
    wanted = show_light(light[0] / np.float32(white), -5.0)[y, x]
    assert wanted.max() < 250
    assert np.abs(np.array(shown_at(window, x, y)) - wanted).max() <= 12  # smooth scaling on the canvas
    window.action("before_after").setChecked(True)
    assert shown_at(window, x, y) == (255, 255, 255), "before shows the clip itself"


def test_zebra_lies_over_what_is_clipped(with_key: MainWindow, light: list[np.ndarray], press) -> None:
    window = with_key
    x, y = brightest(light[0])
    press(Qt.Key.Key_Z, Qt.KeyboardModifier.ShiftModifier)
    assert window.hdr_panel.zebra.isChecked()
    zebra = window.canvas.grab().toImage()
    window.hdr_panel.zebra.click()
    assert not window.action("zebra").isChecked()
    plain = window.canvas.grab().toImage()
    spot = window.canvas.to_widget(QPointF(x, y)).toPoint()
    around = [(spot.x() + i, spot.y() + j) for i in range(-6, 7) for j in range(-6, 7)]
    assert any(zebra.pixelColor(*at) != plain.pixelColor(*at) for at in around)
    dark = np.unravel_index(int(light[0].sum(axis=-1).argmin()), light[0].shape[:2])
    far = window.canvas.to_widget(QPointF(int(dark[1]), int(dark[0]))).toPoint()
    assert zebra.pixelColor(far) == plain.pixelColor(far)


def test_the_cursor_tells_scene_linear_light(with_key: MainWindow, light: list[np.ndarray], press, qtbot) -> None:
    window = with_key
    x, y = brightest(light[0])
    words = point_at(window, x, y)
    assert " ".join(f"{value:.4g}" for value in light[0][y, x]) in words
    assert "stops from white" in words
    # A frame without light of its own tells what the clip's code values stand for.
    press(Qt.Key.Key_Right)
    qtbot.waitUntil(lambda: window.playback.frame == 1 and window.canvas.can_paint)
    x, y = WIDTH // 4, HEIGHT // 2
    told = point_at(window, x, y).split("linear ")[1].split(" (")[0]
    exposure = moving(FRAMES)[2][1]
    np.testing.assert_allclose([float(v) for v in told.split()], light[1][y, x] * exposure, rtol=0.1)


def test_light_is_written_from_the_window_and_seen(
    with_key: MainWindow, qtbot, tmp_path: Path, light: list[np.ndarray]
) -> None:
    window = with_key
    dialog = window.hdr_verbs.export_dialog()
    assert dialog.place.text().endswith("-hdr/%05d.exr")
    dialog.place.setText(str(tmp_path / "out" / "%05d.exr"))
    dialog.show()
    qtbot.mouseClick(dialog.start_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "Done" in dialog.status.text())
    assert f"{FRAMES} frames, {FRAMES} of them reached by a key" in dialog.status.text()
    dialog.reject()
    dialog.deleteLater()
    np.testing.assert_array_equal(read_exr(tmp_path / "out" / "00000.exr").image, light[0])
    window.playback.go(2)
    qtbot.waitUntil(lambda: window.hdr.light(2) is not None)
    qtbot.waitUntil(lambda: window.canvas.can_paint)
    written = read_exr(tmp_path / "out" / "00002.exr").image
    x, y = brightest(written)
    qtbot.waitUntil(lambda: f"{written[y, x, 0]:.4g}" in point_at(window, x, y))


def test_another_clip_has_no_light(with_key: MainWindow, clip_path: Path, qtbot) -> None:
    assert with_key.files.open(clip_path)
    qtbot.waitUntil(lambda: with_key.canvas.can_paint)
    assert with_key.hdr.keys == {}
    assert not with_key.action("drop_hdr_key").isEnabled()
