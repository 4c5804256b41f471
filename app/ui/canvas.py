"""The canvas: source, color and strokes as layers, raster-painted, with zoom to the cursor, pan and a wipe.

It shows images it is given and turns mouse and pen into calls of the tool box; it knows nothing of the document.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QCursor,
    QEnterEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPointingDevice,
    QResizeEvent,
    QTabletEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.project.raster import Rect
from app.ui import pixels
from app.ui.theme import Theme, current
from app.ui.tools import ToolBox

MIN_ZOOM, MAX_ZOOM = 0.05, 32.0
WHEEL_FACTOR = 1.2
FIT_MARGIN_PX = 16
WIPE_GRAB_PX = 8


class Drag(Enum):
    """What the mouse is doing."""

    NONE = 0
    PAINT = 1
    PAN = 2
    SIZE = 3
    WIPE = 4


@dataclass
class Layers:
    """How strongly each layer shows, 0..1."""

    source: float = 1.0
    color: float = 1.0
    hints: float = 1.0


class Canvas(QWidget):
    """Shows one frame. Positions in signals are source pixels."""

    hovered = Signal(object)
    """QPointF under the cursor, or None outside the picture."""
    picked = Signal(QPointF)
    zoomed = Signal(float)
    panned = Signal()
    """The view was moved with the mouse, so a held Space was no tap."""
    refused = Signal(str)

    def __init__(self, tools: ToolBox, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(240, 160)
        self._tools = tools
        self._theme: Theme = current()
        self._source: QImage | None = None
        self._color: QImage | None = None
        self._hints: QImage | None = None
        self._size_px = (0, 0)
        self.layers = Layers()
        self.frame_number = 0
        self.message = ""
        self.can_paint = False
        self._show_before = False
        self._wipe: float | None = None
        self._scale = 1.0
        self._offset = QPointF(0, 0)
        self._fits = True
        self._drag = Drag.NONE
        self._grip = QPointF()
        self._size_start = 0.0
        self._hover: QPointF | None = None
        self._held_pan = False
        self._pen_down = False
        tools.changed.connect(self._brush_changed)
        self._set_cursor()

    # What is shown.

    def set_theme(self, theme: Theme) -> None:
        """Takes the colors around the picture from `theme`."""
        self._theme = theme
        self.update()

    def set_source(self, array: NDArray[np.generic] | None) -> None:
        """The frame as it came, (H, W, 3 or 4); None for no clip."""
        self._source = None if array is None else pixels.rgb_image(array)
        size = (0, 0) if array is None else (array.shape[1], array.shape[0])
        if size != self._size_px:
            self._size_px = size
            self.fit()
        self.update()

    def set_color(self, array: NDArray[np.uint8] | None) -> None:
        """The frame with its color, (H, W, 3) uint8, or None where there is none."""
        self._color = None if array is None else pixels.rgb_image(array)
        self.update()

    def set_hints(self, array: NDArray[np.uint8] | None) -> None:
        """The strokes, (H, W, 4) uint8 RGBA, or None."""
        self._hints = None if array is None else pixels.rgba_image(array)
        self.update()

    def patch_hints(self, rect: Rect, block: NDArray[np.uint8]) -> None:
        """Takes the pixels of `rect` anew, (h, w, 4) uint8 RGBA."""
        if rect.is_empty or not self._size_px[0]:
            return
        hints = self._hints or pixels.rgba_image(np.zeros((self._size_px[1], self._size_px[0], 4), np.uint8))
        pixels.view(hints)[rect.slices] = pixels.premultiplied(block)
        self._hints = hints
        corner = self.to_widget(QPointF(rect.x0, rect.y0))
        size = QPointF(rect.x1 - rect.x0, rect.y1 - rect.y0) * self._scale
        self.update(QRectF(corner.x(), corner.y(), size.x(), size.y()).toAlignedRect().adjusted(-2, -2, 2, 2))

    @property
    def shows_before(self) -> bool:
        """Whether the clip is shown as it came."""
        return self._show_before

    def set_before(self, before: bool) -> None:
        """Shows the clip as it came, or with color."""
        self._show_before = before
        self.update()

    @property
    def wipe(self) -> float | None:
        """Where the wipe's line is, as a share of the picture's width; None without a wipe."""
        return self._wipe

    def set_wipe(self, place: float | None) -> None:
        """Before on the left of `place`, after on the right; None ends the wipe."""
        self._wipe = None if place is None else min(max(place, 0.0), 1.0)
        self.update()

    # The view.

    @property
    def scale(self) -> float:
        """Screen pixels per source pixel."""
        return self._scale

    def fit(self) -> None:
        """Shows the whole picture, and goes on doing so when the window changes."""
        self._fits = True
        width, height = self._size_px
        if width and height:
            room_w = max(self.width() - 2 * FIT_MARGIN_PX, 16)
            room_h = max(self.height() - 2 * FIT_MARGIN_PX, 16)
            self._scale = min(room_w / width, room_h / height)
            self._center()
        self._view_changed()

    def show_actual(self) -> None:
        """One source pixel is one screen pixel, in the middle of the view."""
        self.zoom_to(1.0 / self.devicePixelRatioF(), QPointF(self.width() / 2, self.height() / 2))

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zooms, leaving the source pixel under `at` (default: the view's middle) where it is."""
        self.zoom_to(self._scale * factor, at or QPointF(self.width() / 2, self.height() / 2))

    def zoom_to(self, scale: float, at: QPointF) -> None:
        """Sets the scale, leaving the source pixel under `at` where it is."""
        under = self.to_source(at)
        self._fits = False
        self._scale = min(max(scale, MIN_ZOOM), MAX_ZOOM)
        self._offset = at - under * self._scale
        self._keep_in_reach()
        self._view_changed()

    def to_source(self, place: QPointF) -> QPointF:
        """Source pixel position of a place in the widget."""
        return (place - self._offset) / self._scale

    def to_widget(self, place: QPointF) -> QPointF:
        """Place in the widget of a source pixel position."""
        return place * self._scale + self._offset

    def hold_pan(self, held: bool) -> None:
        """While held, a drag moves the view whatever the tool."""
        self._held_pan = held
        self._set_cursor()

    def _center(self) -> None:
        width, height = self._size_px
        self._offset = QPointF(
            round((self.width() - width * self._scale) / 2), round((self.height() - height * self._scale) / 2)
        )

    def _keep_in_reach(self) -> None:
        """A part of the picture always stays in view, so that nobody loses it."""
        width, height = (side * self._scale for side in self._size_px)
        reach_x, reach_y = min(80.0, width), min(80.0, height)
        self._offset = QPointF(
            min(max(self._offset.x(), reach_x - width), self.width() - reach_x),
            min(max(self._offset.y(), reach_y - height), self.height() - reach_y),
        )

    def _view_changed(self) -> None:
        self.zoomed.emit(self._scale)
        self._set_cursor()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  (Qt's name)
        if self._fits:
            self.fit()
        super().resizeEvent(event)

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(event.rect(), self._theme.color("canvas"))
        if self._source is None:
            painter.setPen(self._theme.color("dim"))
            painter.drawText(self.rect().adjusted(24, 24, -24, -24),
                             Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.message)
            painter.end()
            return
        target = self._picture_rect()
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self._scale < 3 and self._scale != 1)
        self._paint_layers(painter, self._source, target, event.rect())
        self._paint_wipe_line(painter, target)
        self._paint_brush(painter)
        if self.message:
            self._paint_message(painter)
        painter.end()

    def _picture_rect(self) -> QRectF:
        width, height = self._size_px
        return QRectF(self._offset.x(), self._offset.y(), width * self._scale, height * self._scale)

    def _paint_layers(self, painter: QPainter, source: QImage, target: QRectF, exposed: QRect) -> None:
        painter.save()
        painter.setClipRect(exposed.intersected(target.toAlignedRect()))
        color_hides_source = self._color is not None and self.layers.color >= 1 and not self._show_before
        if not color_hides_source or self._wipe is not None:
            self._draw(painter, target, source, self.layers.source if not self._show_before else 1.0, exposed)
        if self._color is not None and not self._show_before:
            clip = target
            if self._wipe is not None:
                clip = target.adjusted(target.width() * self._wipe, 0, 0, 0)
                painter.setClipRect(clip.intersected(QRectF(exposed)))
            self._draw(painter, target, self._color, self.layers.color, exposed)
            painter.setClipRect(exposed.intersected(target.toAlignedRect()))
        if self._hints is not None and not self._show_before:
            self._draw(painter, target, self._hints, self.layers.hints, exposed)
        painter.restore()

    def _draw(self, painter: QPainter, target: QRectF, image: QImage, opacity: float, exposed: QRect) -> None:
        """Draws the exposed part of `image` alone: what a brush touches costs only that."""
        if opacity <= 0:
            return
        part = QRectF(exposed).adjusted(-2, -2, 2, 2).intersected(target)
        top_left, bottom_right = self.to_source(part.topLeft()), self.to_source(part.bottomRight())
        whole = QRect(
            QPoint(int(top_left.x()), int(top_left.y())), QPoint(int(bottom_right.x()) + 1, int(bottom_right.y()) + 1)
        ).intersected(image.rect())
        place = QRectF(self.to_widget(QPointF(whole.topLeft())),
                       self.to_widget(QPointF(whole.x() + whole.width(), whole.y() + whole.height())))
        painter.setOpacity(opacity)
        painter.drawImage(place, image, QRectF(whole))
        painter.setOpacity(1)

    def _paint_wipe_line(self, painter: QPainter, target: QRectF) -> None:
        if self._wipe is None or self._show_before:
            return
        x = target.left() + target.width() * self._wipe
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for color, width in ((QColor(0, 0, 0, 140), 3), (QColor(255, 255, 255, 230), 1)):
            painter.setPen(QPen(color, width))
            painter.drawLine(QPointF(x, target.top()), QPointF(x, target.bottom()))
        middle = QPointF(x, target.center().y())
        painter.setPen(QPen(QColor(0, 0, 0, 140), 1))
        painter.setBrush(QColor(255, 255, 255, 230))
        painter.drawEllipse(middle, 6, 6)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_brush(self, painter: QPainter) -> None:
        """The brush's outline, light on dark and dark on light at once."""
        if self._hover is None or not self._tools.is_painting_tool or self._held_pan or self._drag is Drag.PAN:
            return
        if not self.can_paint or self._is_at_wipe(self._hover):
            return
        radius = max(self._tools.brush.radius_px * self._scale, 1.5)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        center = self._grip if self._drag is Drag.SIZE else self._hover
        for color, extra in ((QColor(0, 0, 0, 170), 1.0), (QColor(255, 255, 255, 220), 0.0)):
            painter.setPen(QPen(color, 1))
            painter.drawEllipse(center, radius + extra, radius + extra)
        if self._tools.brush.tool == "brush" and radius > 5:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(*self._tools.brush.color))
            painter.drawEllipse(center + QPointF(radius * 0.72 + 5, radius * 0.72 + 5), 4, 4)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_message(self, painter: QPainter) -> None:
        metrics = painter.fontMetrics()
        rect = QRect(0, 0, metrics.horizontalAdvance(self.message) + 24, metrics.height() + 12)
        rect.moveCenter(QPoint(self.width() // 2, self.height() - rect.height()))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 170))
        painter.drawRoundedRect(rect, 6, 6)
        painter.setPen(QColor(235, 235, 235))
        painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, self.message)

    def _update_brush(self, old: QPointF | None) -> None:
        """Repaints only where the outline was and is."""
        reach = self._tools.brush.radius_px * self._scale + 14
        for place in (old, self._hover):
            if place is not None:
                self.update(QRectF(place.x() - reach, place.y() - reach, 2 * reach, 2 * reach).toAlignedRect())

    def _brush_changed(self) -> None:
        self._set_cursor()
        self.update()

    def _set_cursor(self) -> None:
        shapes = Qt.CursorShape
        if self._drag is Drag.PAN:
            shape = shapes.ClosedHandCursor
        elif self._held_pan or self._tools.brush.tool == "pan":
            shape = shapes.OpenHandCursor
        elif self._hover is not None and self._is_at_wipe(self._hover):
            shape = shapes.SplitHCursor
        elif self._tools.brush.tool == "picker" or not self.can_paint:
            shape = shapes.CrossCursor if self.can_paint else shapes.ArrowCursor
        else:
            # The outline is the cursor, but a small brush far out would be hard to find.
            shape = shapes.BlankCursor if self._tools.brush.radius_px * self._scale >= 3 else shapes.CrossCursor
        if self.cursor().shape() != shape:
            self.setCursor(QCursor(shape))

    def _is_at_wipe(self, place: QPointF) -> bool:
        if self._wipe is None or self._show_before or not self._size_px[0]:
            return False
        target = self._picture_rect()
        near = abs(place.x() - (target.left() + target.width() * self._wipe)) <= WIPE_GRAB_PX
        return near and target.top() <= place.y() <= target.bottom()

    # Mouse and pen.

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        place, button, held = event.position(), event.button(), event.modifiers()
        if self._pen_down or self._drag is not Drag.NONE or not self._size_px[0]:
            return
        modifiers = Qt.KeyboardModifier
        left = button == Qt.MouseButton.LeftButton
        if button == Qt.MouseButton.MiddleButton or (left and (self._held_pan or self._tools.brush.tool == "pan")):
            self._drag, self._grip = Drag.PAN, place - self._offset
            self._set_cursor()
        elif not left:
            return
        elif self._is_at_wipe(place):
            self._drag = Drag.WIPE
        elif held & (modifiers.AltModifier | modifiers.ControlModifier) or self._tools.brush.tool == "picker":
            self.picked.emit(self.to_source(place))
        elif held & modifiers.ShiftModifier:
            self._drag, self._grip, self._size_start = Drag.SIZE, place, self._tools.brush.radius_px
        else:
            self._begin_stroke(place, 1.0)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if self._drag is not Drag.NONE and event.buttons() == Qt.MouseButton.NoButton and not self._pen_down:
            # The button was let go where nobody told us, such as over a dialog.
            self._end_drag()
        if not self._pen_down:
            self._moved(event.position(), 1.0)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if not self._pen_down:
            self._end_drag()

    def tabletEvent(self, event: QTabletEvent) -> None:  # noqa: N802
        """A pen paints with its pressure; its other end erases."""
        kinds = event.Type
        if event.type() == kinds.TabletPress:
            if event.modifiers() != Qt.KeyboardModifier.NoModifier or self._held_pan:
                event.ignore()
                return
            if event.pointerType() == QPointingDevice.PointerType.Eraser:
                self._tools.set(tool="eraser")
            if self._tools.is_painting_tool and self._size_px[0]:
                self._pen_down = True
                self._begin_stroke(event.position(), event.pressure())
                event.accept()
                return
            event.ignore()
        elif event.type() == kinds.TabletMove and self._pen_down:
            self._moved(event.position(), event.pressure())
            event.accept()
        elif event.type() == kinds.TabletRelease and self._pen_down:
            self._pen_down = False
            self._end_drag()
            event.accept()
        else:
            event.ignore()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        steps = event.angleDelta().y() / 120
        if steps and self._size_px[0]:
            self.zoom_by(WHEEL_FACTOR**steps, event.position())
        event.accept()

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802
        self._hover = event.position()
        self.update()

    def leaveEvent(self, event: object) -> None:  # noqa: N802
        old, self._hover = self._hover, None
        self._update_brush(old)
        self.hovered.emit(None)

    def cancel_drag(self) -> bool:
        """Takes back a stroke in hand; False when there is none."""
        if self._drag is not Drag.PAINT:
            return False
        self._drag = Drag.NONE
        self._pen_down = False
        return self._tools.cancel()

    def finish_stroke(self) -> None:
        """Lifts the brush if it is down."""
        if self._drag is Drag.PAINT:
            self._pen_down = False
            self._end_drag()

    def _begin_stroke(self, place: QPointF, pressure: float) -> None:
        if not self.can_paint:
            self.refused.emit("This frame is still being read")
            return
        self._drag = Drag.PAINT
        spot = self.to_source(place)
        self._tools.press(self.frame_number, spot.x(), spot.y(), pressure)

    def _moved(self, place: QPointF, pressure: float) -> None:
        old, self._hover = self._hover, place
        if self._drag is Drag.PAINT:
            spot = self.to_source(place)
            self._tools.move(spot.x(), spot.y(), pressure)
        elif self._drag is Drag.PAN:
            self._fits = False
            self._offset = place - self._grip
            self._keep_in_reach()
            self.panned.emit()
            self.update()
        elif self._drag is Drag.SIZE:
            grown = self._size_start + (place.x() - self._grip.x()) / self._scale / 2
            self._tools.set(radius_px=round(min(max(grown, 0.5), 200.0), 1))
        elif self._drag is Drag.WIPE:
            target = self._picture_rect()
            self.set_wipe((place.x() - target.left()) / target.width())
        else:
            self._set_cursor()
        self._update_brush(old)
        spot = self.to_source(place)
        inside = 0 <= spot.x() < self._size_px[0] and 0 <= spot.y() < self._size_px[1]
        self.hovered.emit(spot if inside else None)

    def _end_drag(self) -> None:
        drag, self._drag = self._drag, Drag.NONE
        if drag is Drag.PAINT:
            self._tools.release()
        self._set_cursor()
        self._update_brush(self._hover)
