"""Every tool and view control through real mouse, wheel and key events."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QInputDevice, QMouseEvent, QPointingDevice, QTabletEvent, QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from app.ui import theme
from app.ui.window import MainWindow
from tests.app.ui.conftest import FRAMES, HEIGHT, WIDTH, Mouse, color_of
from tests.app.ui.fakes import FakeStages

CTRL, ALT, SHIFT = (Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.AltModifier,
                    Qt.KeyboardModifier.ShiftModifier)


def strokes(window: MainWindow, frame: int = 0):
    return window.session.project.key(frame).strokes


def test_the_brush_leaves_one_stroke_and_one_undo_step(opened: MainWindow, mouse: Mouse) -> None:
    mouse.stroke((10, 10), (20, 12), (30, 15), (40, 15))
    assert len(strokes(opened)) == 1
    assert len(strokes(opened)[0].points) == 4
    assert opened.session.undo.stack.count() == 1
    assert opened.action("undo").text() == "Undo paint on frame 0"


def test_the_strokes_show_at_once(opened: MainWindow, mouse: Mouse) -> None:
    opened.tools.set(color=(250, 10, 10), radius_px=6.0)
    mouse.stroke((20, 20), (40, 20), end=False)
    shown = opened.canvas.grab().toImage()
    spot = opened.canvas.to_widget(QPointF(30, 20)).toPoint()
    color = shown.pixelColor(spot)
    assert color.red() > color.blue() + 60
    mouse.stroke((41, 20))


def test_esc_takes_a_stroke_back_as_if_it_had_never_been(opened: MainWindow, mouse: Mouse, press) -> None:
    mouse.stroke((10, 10), (20, 12), end=False)
    press(Qt.Key.Key_Escape)
    assert strokes(opened) == ()
    assert not opened.action("undo").isEnabled()
    assert not opened.action("redo").isEnabled()
    mouse.stroke((10, 10), (20, 12))
    assert opened.session.undo.stack.count() == 1


def test_the_eraser_takes_color_away(opened: MainWindow, mouse: Mouse, press, qtbot) -> None:
    opened.tools.set(color=(220, 40, 40), radius_px=5.0)
    mouse.stroke((20, 20), (40, 20))
    qtbot.waitUntil(lambda: color_of(opened, 30, 20)[0] > color_of(opened, 30, 20)[2] + 40)
    press(Qt.Key.Key_E)
    opened.tools.set(radius_px=30.0)
    mouse.stroke((20, 20), (40, 20))
    assert strokes(opened)[1].tool == "erase"
    qtbot.waitUntil(lambda: opened.frames.color(0) is None)


def test_protect_keeps_the_frames_own_color(opened: MainWindow, mouse: Mouse, press, qtbot) -> None:
    opened.tools.set(color=(220, 40, 40), radius_px=4.0)
    mouse.stroke((20, 20), (30, 20))
    press(Qt.Key.Key_R)
    mouse.stroke((60, 50), (70, 50))
    assert strokes(opened)[1].tool == "protect"
    qtbot.waitUntil(lambda: not opened.painting.is_filling)
    grey = color_of(opened, 65, 50)
    assert max(grey) - min(grey) <= 2


@pytest.mark.parametrize("held", [ALT, CTRL])
def test_picking_takes_the_color_that_is_seen(opened: MainWindow, mouse: Mouse, held) -> None:
    mouse.click(80, 30, held)
    assert strokes(opened) == ()
    expected = opened.frames.frame(0).image[30, 80]
    assert np.abs(np.array(opened.tools.brush.color) - expected).max() <= 1


def test_the_picker_tool_picks_and_hands_the_brush_back(opened: MainWindow, mouse: Mouse, press) -> None:
    press(Qt.Key.Key_P)
    mouse.click(20, 30)
    assert opened.tools.brush.tool == "brush"
    assert opened.action("brush").isChecked()


def test_brackets_change_the_size_and_braces_the_hardness(opened: MainWindow, press) -> None:
    opened.tools.set(radius_px=8.0, hardness=1.0)
    press(Qt.Key.Key_BracketRight)
    assert opened.tools.brush.radius_px == 9.0
    press(Qt.Key.Key_BracketLeft)
    press(Qt.Key.Key_BracketLeft)
    assert opened.tools.brush.radius_px == 6.0
    opened.action("softer").trigger()
    assert opened.tools.brush.hardness == 0.75


def test_shift_drag_changes_the_size(opened: MainWindow, mouse: Mouse) -> None:
    opened.tools.set(radius_px=5.0)
    mouse.stroke((30, 30), (40, 30), held=SHIFT)
    assert opened.tools.brush.radius_px == pytest.approx(10.0, abs=0.3)
    assert strokes(opened) == ()


def test_the_wheel_zooms_to_the_cursor(opened: MainWindow) -> None:
    canvas = opened.canvas
    at = canvas.to_widget(QPointF(70, 20))
    under, before = canvas.to_source(at), canvas.scale
    event = QWheelEvent(at, canvas.mapToGlobal(at), QPoint(), QPoint(0, 240), Qt.MouseButton.NoButton,
                        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(canvas, event)
    assert canvas.scale == pytest.approx(before * 1.44)
    after = canvas.to_source(at)
    assert (after.x(), after.y()) == pytest.approx((under.x(), under.y()), abs=1e-6)


def test_fit_and_one_to_one(opened: MainWindow, press) -> None:
    press(Qt.Key.Key_1, CTRL)
    assert opened.canvas.scale == 1
    press(Qt.Key.Key_0, CTRL)
    fitted = opened.canvas.scale
    assert fitted > 1
    opened.resize(900, 600)
    QApplication.processEvents()
    assert opened.canvas.scale < fitted, "a fitted picture stays fitted"


def test_middle_drag_pans(opened: MainWindow, mouse: Mouse) -> None:
    canvas = opened.canvas
    before = canvas.to_source(QPointF(100, 100))
    QTest.mousePress(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(100, 100))
    QTest.mouseMove(canvas, QPoint(140, 120))
    QTest.mouseRelease(canvas, Qt.MouseButton.MiddleButton, pos=QPoint(140, 120))
    after = canvas.to_source(QPointF(140, 120))
    assert (after.x(), after.y()) == pytest.approx((before.x(), before.y()))
    assert strokes(opened) == ()


def test_space_drag_pans_and_does_not_play(opened: MainWindow, mouse: Mouse) -> None:
    canvas = opened.canvas
    canvas.setFocus()
    before = canvas.to_source(QPointF(0, 0))
    QTest.keyPress(canvas, Qt.Key.Key_Space)
    mouse.stroke((30, 30), (40, 35))
    QTest.keyRelease(canvas, Qt.Key.Key_Space)
    assert canvas.to_source(QPointF(0, 0)) != before
    assert strokes(opened) == ()
    assert not opened.playback.playing


def test_a_tap_on_space_plays_and_stops(opened: MainWindow, press, qtbot) -> None:
    press(Qt.Key.Key_Space)
    assert opened.playback.playing
    qtbot.waitUntil(lambda: opened.playback.frame > 1)
    press(Qt.Key.Key_Space)
    assert not opened.playback.playing


def test_shuttle_keys(opened: MainWindow, press) -> None:
    press(Qt.Key.Key_L)
    press(Qt.Key.Key_L)
    assert opened.playback.speed == 2
    press(Qt.Key.Key_K)
    assert opened.playback.speed == 0
    press(Qt.Key.Key_End)
    press(Qt.Key.Key_J)
    assert opened.playback.speed == -1
    press(Qt.Key.Key_K)


def test_k_held_steps_by_single_frames(opened: MainWindow) -> None:
    canvas = opened.canvas
    canvas.setFocus()
    QTest.keyPress(canvas, Qt.Key.Key_K)
    for key in (Qt.Key.Key_L, Qt.Key.Key_L, Qt.Key.Key_J):
        QTest.keyClick(canvas, key)
    QTest.keyRelease(canvas, Qt.Key.Key_K)
    assert opened.playback.frame == 1
    assert not opened.playback.playing


def test_arrows_and_ends(opened: MainWindow, press) -> None:
    for key, frame in ((Qt.Key.Key_Right, 1), (Qt.Key.Key_Right, 2), (Qt.Key.Key_Left, 1), (Qt.Key.Key_End, FRAMES - 1),
                       (Qt.Key.Key_Right, FRAMES - 1), (Qt.Key.Key_Home, 0), (Qt.Key.Key_Left, 0)):
        press(key)
        assert opened.playback.frame == frame


def test_keys_between_key_frames(opened: MainWindow, mouse: Mouse, press, qtbot) -> None:
    for frame in (2, 7):
        opened.playback.go(frame)
        qtbot.waitUntil(lambda frame=frame: opened.canvas.can_paint and opened.painting.ready_for == frame)
        mouse.stroke((20, 20), (30, 20))
    press(Qt.Key.Key_PageUp)
    assert opened.playback.frame == 2
    press(Qt.Key.Key_PageUp)
    assert opened.playback.frame == 2, "there is no key before"
    press(Qt.Key.Key_PageDown)
    assert opened.playback.frame == 7


def test_marks_by_key_and_by_dragging(opened: MainWindow, press) -> None:
    opened.playback.go(3)
    press(Qt.Key.Key_I)
    opened.playback.go(8)
    press(Qt.Key.Key_O)
    assert opened.session.project.range == range(3, 9)
    timeline = opened.timeline
    middle = timeline.height() // 2
    edge = QPoint(round(timeline.x_of(9)), middle)
    QTest.mousePress(timeline, Qt.MouseButton.LeftButton, pos=edge)
    for frame in (8, 7, 6):
        QTest.mouseMove(timeline, QPoint(round(timeline.x_of(frame)), middle))
    QTest.mouseRelease(timeline, Qt.MouseButton.LeftButton, pos=QPoint(round(timeline.x_of(6)), middle))
    assert opened.session.project.mark_out == 5
    press(Qt.Key.Key_Z, CTRL)
    assert opened.session.project.mark_out == 8, "a drag is one step"
    press(Qt.Key.Key_I, ALT)
    assert opened.session.project.mark_in is None


def test_clicking_the_timeline_goes_there(opened: MainWindow) -> None:
    timeline = opened.timeline
    place = QPoint(round(timeline.x_of(7) + 2), timeline.height() // 2)
    QTest.mouseClick(timeline, Qt.MouseButton.LeftButton, pos=place)
    assert opened.playback.frame == 7


def test_digits_choose_swatches(opened: MainWindow, press) -> None:
    press(Qt.Key.Key_3)
    assert opened.tools.brush.color == opened.session.project.swatches[2].color


def test_before_after_and_held_backslash(opened: MainWindow, press) -> None:
    press(Qt.Key.Key_Z)
    assert opened.canvas.shows_before
    press(Qt.Key.Key_Z)
    assert not opened.canvas.shows_before
    QTest.keyPress(opened.canvas, Qt.Key.Key_Backslash)
    assert opened.canvas.shows_before
    QTest.keyRelease(opened.canvas, Qt.Key.Key_Backslash)
    assert not opened.canvas.shows_before


def test_the_wipe_shows_before_left_and_after_right_and_can_be_dragged(
    opened: MainWindow, mouse: Mouse, press, qtbot
) -> None:
    opened.tools.set(color=(230, 30, 30), radius_px=200.0)
    mouse.stroke((48, 32))
    qtbot.waitUntil(lambda: color_of(opened, 48, 32)[0] > color_of(opened, 48, 32)[2] + 40)
    press(Qt.Key.Key_V)
    press(Qt.Key.Key_W)
    mouse.stroke((48, 32), (24, 32))
    assert opened.canvas.wipe == pytest.approx(0.25, abs=0.02)
    shown = opened.canvas.grab().toImage()
    left, right = (shown.pixelColor(mouse.at(x, 50)) for x in (10, 60))
    assert abs(left.red() - left.blue()) <= 2
    assert right.red() > right.blue() + 40
    assert len(strokes(opened)) == 1, "dragging the wipe paints nothing"


def test_a_pen_paints_with_its_pressure_and_its_other_end_erases(opened: MainWindow, mouse: Mouse) -> None:
    def send(kind: QTabletEvent.Type, x: float, pressure: float, pointer=QPointingDevice.PointerType.Pen) -> None:
        device = QPointingDevice("pen", 1, QInputDevice.DeviceType.Stylus, pointer,
                                 QInputDevice.Capability.Pressure | QInputDevice.Capability.Position, 1, 1)
        place = opened.canvas.to_widget(QPointF(x, 20))
        event = QTabletEvent(kind, device, place, opened.canvas.mapToGlobal(place), pressure, 0, 0, 0, 0, 0,
                             Qt.KeyboardModifier.NoModifier, Qt.MouseButton.LeftButton, Qt.MouseButton.LeftButton)
        QApplication.sendEvent(opened.canvas, event)

    kinds = QTabletEvent.Type
    send(kinds.TabletPress, 20, 0.3)
    send(kinds.TabletMove, 30, 0.7)
    send(kinds.TabletRelease, 30, 0.0)
    assert [point[2] for point in strokes(opened)[0].points] == pytest.approx([0.3, 0.7], abs=0.01)
    eraser = QPointingDevice.PointerType.Eraser
    send(kinds.TabletPress, 20, 0.5, eraser)
    send(kinds.TabletRelease, 20, 0.0, eraser)
    assert strokes(opened)[1].tool == "erase"


def test_hex_entry_and_the_plane_choose_colors(opened: MainWindow, qtbot) -> None:
    field = opened.color_panel.hex
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "#1f4fa3")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert opened.tools.brush.color == (0x1F, 0x4F, 0xA3)
    plane = opened.color_panel.plane
    QTest.mouseClick(plane, Qt.MouseButton.LeftButton, pos=QPoint(plane.width() // 2 + 40, plane.height() // 2 - 5))
    red, _, blue = opened.tools.brush.color
    assert red > blue + 40
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "nonsens")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert field.text().startswith("#"), "what is no color is put back"


def test_the_plane_follows_the_lightness_where_the_cursor_rests(opened: MainWindow, mouse: Mouse, qtbot) -> None:
    plane = opened.color_panel.plane
    QTest.mouseMove(opened.canvas, mouse.at(10, 10))
    qtbot.waitUntil(lambda: plane.lightness < 40)
    QTest.mouseMove(opened.canvas, mouse.at(WIDTH - 10, HEIGHT - 10))
    assert plane.lightness < 40, "a cursor on its way to the panel changes nothing"
    qtbot.waitUntil(lambda: plane.lightness > 40)


def test_layers_can_be_faded(opened: MainWindow, mouse: Mouse, qtbot) -> None:
    opened.tools.set(color=(230, 30, 30), radius_px=200.0)
    mouse.stroke((48, 32))
    qtbot.waitUntil(lambda: color_of(opened, 48, 32)[0] > color_of(opened, 48, 32)[2] + 40)
    opened.layer_panel.sliders["hints"].setValue(0)
    opened.layer_panel.sliders["color"].setValue(0)
    shown = opened.canvas.grab().toImage().pixelColor(mouse.at(20, 50))
    assert abs(shown.red() - shown.blue()) <= 2


def test_light_and_dark_can_be_chosen_whatever_the_system_says(opened: MainWindow) -> None:
    shades = []
    for name in ("light", "dark"):
        opened.action(f"theme_{name}").trigger()
        shades.append(opened.timeline.grab().toImage().pixelColor(2, 2).lightness())
    opened.action("theme_system").trigger()
    assert shades[0] > 180 and shades[1] < 80


def test_guidance_is_made_once_a_frame_and_strokes_cost_only_fills(
    opened: MainWindow, mouse: Mouse, stages: FakeStages, qtbot
) -> None:
    for y in (10, 20, 30):
        mouse.stroke((10, y), (30, y))
        qtbot.waitUntil(lambda: not opened.painting.is_filling)
    qtbot.waitUntil(lambda: not opened.painting._rest.isActive() and not opened.painting.is_filling)
    assert stages.densifier.fills >= 3
    assert stages.densifier.prepared <= 2, "once for drafts, once for the work size"


def test_a_frame_whose_reading_is_not_told_yet_is_shown_when_the_view_rests(opened: MainWindow, mouse: Mouse) -> None:
    opened.view.clear("Reading…")
    opened.view._rested()
    assert opened.canvas.message == ""
    mouse.stroke((10, 10), (20, 12))
    assert len(strokes(opened)) == 1


def wheel(timeline, frame: int, steps: int, held=Qt.KeyboardModifier.NoModifier) -> None:
    at = QPointF(timeline.x_of(frame), timeline.height() / 2)
    event = QWheelEvent(at, timeline.mapToGlobal(at), QPoint(), QPoint(0, 120 * steps), Qt.MouseButton.NoButton, held,
                        Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(timeline, event)


@pytest.fixture
def long_timeline(window: MainWindow):
    window.timeline.set_clip(5000, 1.5)
    return window.timeline


def test_the_wheel_zooms_the_timeline_to_the_cursor(long_timeline) -> None:
    before = long_timeline.x_of(3000)
    wheel(long_timeline, 3000, 4)
    first, shown = long_timeline.part
    assert shown == pytest.approx(5000 / 1.25**4)
    assert long_timeline.x_of(3000) == pytest.approx(before, abs=2)
    assert long_timeline.frame_at(long_timeline.x_of(3000) + 0.2) == 3000
    wheel(long_timeline, 3000, 3, SHIFT)
    assert long_timeline.part[0] < first
    wheel(long_timeline, 3000, -40)
    assert long_timeline.part == (0, 5000)


def test_the_timeline_zooms_no_further_than_its_pictures(long_timeline) -> None:
    for _ in range(60):
        long_timeline.zoom(2)
    first, shown = long_timeline.part
    assert 2 < shown < 40
    assert 0 <= first <= 5000 - shown
    assert len(long_timeline._cells) <= shown + 2
    assert all(cell.right() > 0 for _, cell in long_timeline._cells)


def test_the_playhead_stays_in_view_and_middle_drag_moves_the_part(long_timeline) -> None:
    long_timeline.zoom(20)
    long_timeline.set_frame(4000)
    first, shown = long_timeline.part
    assert first <= 4000 < first + shown
    long_timeline.set_frame(17)
    assert long_timeline.part[0] == 0
    QTest.mousePress(long_timeline, Qt.MouseButton.MiddleButton, pos=QPoint(500, 40))
    QTest.mouseMove(long_timeline, QPoint(300, 40))
    QTest.mouseRelease(long_timeline, Qt.MouseButton.MiddleButton, pos=QPoint(300, 40))
    assert long_timeline.part[0] == pytest.approx(200 * shown / long_timeline._room)
    assert long_timeline.part[1] == pytest.approx(shown)


def test_undo_with_the_brush_down_takes_that_stroke_back_alone(opened: MainWindow, mouse: Mouse, press) -> None:
    mouse.stroke((10, 10), (20, 12))
    before = opened.session.project
    mouse.stroke((10, 30), (20, 32), end=False)
    press(Qt.Key.Key_Z, CTRL)
    assert opened.session.project.keys == before.keys
    QTest.mouseMove(opened.canvas, mouse.at(40, 40))
    QTest.mouseRelease(opened.canvas, Qt.MouseButton.LeftButton, pos=mouse.at(40, 40))
    assert opened.session.project.keys == before.keys, "what is left of the drag paints nothing"


@pytest.mark.parametrize("key", [Qt.Key.Key_Right, Qt.Key.Key_Backspace])
def test_a_key_that_changes_what_is_painted_on_lifts_the_brush(
    opened: MainWindow, mouse: Mouse, press, answers, key: Qt.Key
) -> None:
    mouse.stroke((10, 30), (20, 32), end=False)
    press(key, CTRL if key == Qt.Key.Key_Backspace else Qt.KeyboardModifier.NoModifier)
    after = opened.session.project
    assert not opened.tools.is_painting
    QTest.mouseMove(opened.canvas, mouse.at(40, 40))
    QTest.mouseRelease(opened.canvas, Qt.MouseButton.LeftButton, pos=mouse.at(40, 40))
    assert opened.session.project == after
    assert answers == []


def test_a_button_let_go_elsewhere_ends_the_stroke(opened: MainWindow, mouse: Mouse) -> None:
    mouse.stroke((10, 30), (20, 32), end=False)
    place = opened.canvas.to_widget(QPointF(50, 40))
    none = Qt.MouseButton.NoButton
    QApplication.sendEvent(opened.canvas, QMouseEvent(QMouseEvent.Type.MouseMove, place,
                                                      opened.canvas.mapToGlobal(place), none, none,
                                                      Qt.KeyboardModifier.NoModifier))
    assert not opened.tools.is_painting
    assert len(strokes(opened)[0].points) == 2


@pytest.mark.parametrize("shown", [theme.DARK, theme.LIGHT], ids=["dark", "light"])
def test_every_word_is_readable(shown: theme.Theme) -> None:
    """WCAG 2.1, 1.4.3: text has a contrast of 4.5 to what it stands on; 1.4.11: marks have 3."""

    def luminance(name: str) -> float:
        color = shown.color(name)
        parts = [color.redF(), color.greenF(), color.blueF()]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    def contrast(one: str, other: str) -> float:
        dark, light = sorted((luminance(one), luminance(other)))
        return (light + 0.05) / (dark + 0.05)

    for text, ground in [("text", "window"), ("text", "panel"), ("text", "field"), ("dim", "window"), ("dim", "panel"),
                         ("accent_text", "accent")]:
        assert contrast(text, ground) >= 4.5, (text, ground)
    for mark in ("playhead", "mark", "fresh", "stale", "key"):
        assert contrast(mark, "window") >= 3, mark
