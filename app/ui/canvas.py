"""The canvas: source, color and strokes as layers, raster-painted, with zoom to the cursor, pan and a wipe.

It shows images it is given and turns mouse and pen into calls of the tool box; it knows nothing of the document.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QCursor,
    QEnterEvent,
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
from app.ui.picture_layers import Layers, PictureLayers
from app.ui.theme import Theme, current
from app.ui.tools import ToolBox
from app.ui.viewport import Viewport

WHEEL_FACTOR = 1.2


class Drag(Enum):
    """What the mouse is doing."""

    NONE = 0
    PAINT = 1
    PAN = 2
    SIZE = 3
    WIPE = 4


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
        self._view = Viewport()
        self._pictures = PictureLayers()
        self.frame_number = 0
        self.message = ""
        self.can_paint = False
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
        self._pictures.source = None if array is None else pixels.rgb_image(array)
        size = (0, 0) if array is None else (array.shape[1], array.shape[0])
        if size != self._view.size_px:
            self._view.size_px = size
            self.fit()
        self.update()

    def set_color(self, array: NDArray[np.uint8] | None) -> None:
        """The frame with its color, (H, W, 3) uint8, or None where there is none."""
        self._pictures.color = None if array is None else pixels.rgb_image(array)
        self.update()

    def set_hints(self, array: NDArray[np.uint8] | None) -> None:
        """The strokes, (H, W, 4) uint8 RGBA, or None."""
        self._pictures.hints = None if array is None else pixels.rgba_image(array)
        self.update()

    def set_zebra(self, mask: NDArray[np.bool_] | None) -> None:
        """Stripes over the pixels (H, W) of `mask`; None takes them away."""
        self._pictures.zebra = None if mask is None else pixels.zebra_image(mask)
        self.update()

    def patch_hints(self, rect: Rect, block: NDArray[np.uint8]) -> None:
        """Takes the pixels of `rect` anew, (h, w, 4) uint8 RGBA."""
        if rect.is_empty or self._view.is_empty:
            return
        self._pictures.patch_hints(rect, block, self._view.size_px)
        corner = self.to_widget(QPointF(rect.x0, rect.y0))
        size = QPointF(rect.x1 - rect.x0, rect.y1 - rect.y0) * self.scale
        self.update(QRectF(corner.x(), corner.y(), size.x(), size.y()).toAlignedRect().adjusted(-2, -2, 2, 2))

    @property
    def layers(self) -> Layers:
        """How strongly each layer shows."""
        return self._pictures.strengths

    @layers.setter
    def layers(self, layers: Layers) -> None:
        self._pictures.strengths = layers
        self.update()

    @property
    def shows_before(self) -> bool:
        """Whether the clip is shown as it came."""
        return self._pictures.shows_before

    def set_before(self, before: bool) -> None:
        """Shows the clip as it came, or with color."""
        self._pictures.shows_before = before
        self.update()

    @property
    def wipe(self) -> float | None:
        """Where the wipe's line is, as a share of the picture's width; None without a wipe."""
        return self._pictures.wipe

    def set_wipe(self, place: float | None) -> None:
        """Before on the left of `place`, after on the right; None ends the wipe."""
        self._pictures.wipe = None if place is None else min(max(place, 0.0), 1.0)
        self.update()

    # The view.

    @property
    def scale(self) -> float:
        """Screen pixels per source pixel."""
        return self._view.scale

    def fit(self) -> None:
        """Shows the whole picture, and goes on doing so when the window changes."""
        self._view.room = (self.width(), self.height())
        self._view.fit()
        self._view_changed()

    def show_actual(self) -> None:
        """One source pixel is one screen pixel, in the middle of the view."""
        self.zoom_to(1.0 / self.devicePixelRatioF(), QPointF(self.width() / 2, self.height() / 2))

    def zoom_by(self, factor: float, at: QPointF | None = None) -> None:
        """Zooms, leaving the source pixel under `at` (default: the view's middle) where it is."""
        self.zoom_to(self.scale * factor, at or QPointF(self.width() / 2, self.height() / 2))

    def zoom_to(self, scale: float, at: QPointF) -> None:
        """Sets the scale, leaving the source pixel under `at` where it is."""
        self._view.zoom_to(scale, at)
        self._view_changed()

    def to_source(self, place: QPointF) -> QPointF:
        """Source pixel position of a place in the widget."""
        return self._view.to_source(place)

    def to_widget(self, place: QPointF) -> QPointF:
        """Place in the widget of a source pixel position."""
        return self._view.to_widget(place)

    def hold_pan(self, held: bool) -> None:
        """While held, a drag moves the view whatever the tool."""
        self._held_pan = held
        self._set_cursor()

    def _view_changed(self) -> None:
        self.zoomed.emit(self.scale)
        self._set_cursor()
        self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802  (Qt's name)
        self._view.room = (self.width(), self.height())
        if self._view.fits:
            self.fit()
        super().resizeEvent(event)

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(event.rect(), self._theme.color("canvas"))
        if self._pictures.source is None:
            painter.setPen(self._theme.color("dim"))
            painter.drawText(self.rect().adjusted(24, 24, -24, -24),
                             Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self.message)
            painter.end()
            return
        self._pictures.paint(painter, self._view, event.rect())
        self._paint_brush(painter)
        if self.message:
            self._paint_message(painter)
        painter.end()

    def _paint_brush(self, painter: QPainter) -> None:
        """The brush's outline, light on dark and dark on light at once."""
        if self._hover is None or not self._tools.is_painting_tool or self._held_pan or self._drag is Drag.PAN:
            return
        if not self.can_paint or self._is_at_wipe(self._hover):
            return
        radius = max(self._tools.brush.radius_px * self.scale, 1.5)
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
        reach = self._tools.brush.radius_px * self.scale + 14
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
            shape = shapes.BlankCursor if self._tools.brush.radius_px * self.scale >= 3 else shapes.CrossCursor
        if self.cursor().shape() != shape:
            self.setCursor(QCursor(shape))

    def _is_at_wipe(self, place: QPointF) -> bool:
        return self._pictures.is_at_wipe(place, self._view)

    # Mouse and pen.

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        place, button, held = event.position(), event.button(), event.modifiers()
        if self._pen_down or self._drag is not Drag.NONE or self._view.is_empty:
            return
        modifiers = Qt.KeyboardModifier
        left = button == Qt.MouseButton.LeftButton
        if button == Qt.MouseButton.MiddleButton or (left and (self._held_pan or self._tools.brush.tool == "pan")):
            self._drag, self._grip = Drag.PAN, place - self._view.offset
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
            if self._tools.is_painting_tool and not self._view.is_empty:
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
        if steps and not self._view.is_empty:
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
            self._view.move_to(place - self._grip)
            self.panned.emit()
            self.update()
        elif self._drag is Drag.SIZE:
            grown = self._size_start + (place.x() - self._grip.x()) / self.scale / 2
            self._tools.set(radius_px=round(min(max(grown, 0.5), 200.0), 1))
        elif self._drag is Drag.WIPE:
            target = self._view.picture
            self.set_wipe((place.x() - target.left()) / target.width())
        else:
            self._set_cursor()
        self._update_brush(old)
        spot = self.to_source(place)
        self.hovered.emit(spot if self._view.holds(spot) else None)

    def _end_drag(self) -> None:
        drag, self._drag = self._drag, Drag.NONE
        if drag is Drag.PAINT:
            self._tools.release()
        self._set_cursor()
        self._update_brush(self._hover)
