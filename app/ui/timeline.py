"""The timeline: thumbnails, key frames, the range, and which frames have color that is up to date."""

from __future__ import annotations

import math
from bisect import bisect_left
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from app.project.document import Project
from app.results import FrameState
from app.ui import pixels
from app.ui.theme import Theme, current

RULER_PX, KEYS_PX, STATE_PX, MARGIN_PX = 18, 16, 5, 10
HANDLE_PX = 6
WHEEL_FACTOR = 1.25
KEPT_THUMBNAILS = 2000
STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)


class Grab(Enum):
    """What a drag on the timeline moves."""

    NONE = 0
    HEAD = 1
    IN = 2
    OUT = 3
    VIEW = 4


class Timeline(QWidget):
    """Shows the clip, or a part of it, in its width. It keeps pictures and positions, never the document."""

    sought = Signal(int)
    """The user wants to see this frame."""
    marks_dragged = Signal(object, object, int)
    """New in and out marks, and a number that is one for the whole drag."""
    drag_ended = Signal()
    thumbnails_wanted = Signal(list)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("timeline")
        self.setMouseTracking(True)
        self.setMinimumHeight(92)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._theme: Theme = current()
        self._count = 0
        self._aspect = 16 / 9
        self._frame = 0
        self._first = 0.0
        self._shown = 1.0
        self._keys: list[int] = []
        self._range = range(0)
        self._marks: tuple[int | None, int | None] = (None, None)
        self._states: list[FrameState] = []
        self._thumbnails: dict[int, QImage] = {}
        self._cells: list[tuple[int, QRect]] = []
        self._grab = Grab.NONE
        self._drag_number = 0
        self._grip = 0.0

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        return QSize(800, 112)

    def set_theme(self, theme: Theme) -> None:
        """Paints in the theme's colors."""
        self._theme = theme
        self.update()

    def set_clip(self, count: int, aspect: float) -> None:
        """A clip of `count` frames, `aspect` wide over high."""
        self._count, self._aspect, self._frame = count, aspect, 0
        self._first, self._shown = 0.0, float(max(count, 1))
        self._thumbnails.clear()
        self._states = []
        self._lay_out()

    def set_frame(self, frame: int) -> None:
        """Moves the playhead, and the part of the clip that is shown when it leaves that."""
        old, self._frame = self._frame, frame
        if not self._first <= frame <= self._first + self._shown - 1:
            edge = frame < self._first
            self.show_part(frame - self._shown * (0.9 if edge else 0.1), self._shown)
        for place in (old, frame):
            self.update(QRectF(self.x_of(place) - 12, 0, 24 + self._frame_px, self.height()).toAlignedRect())

    def set_project(self, project: Project) -> None:
        """Takes keys and marks from the project."""
        self._keys = project.key_numbers()
        self._range = project.range
        self._marks = (project.mark_in, project.mark_out)
        self.update()

    def set_states(self, states: list[FrameState]) -> None:
        """What is known of every frame's color."""
        self._states = states
        self.update(0, self._state_top, self.width(), STATE_PX)

    def add_thumbnail(self, index: int, picture: NDArray[np.uint8]) -> None:
        """A small picture of a frame."""
        self._thumbnails.pop(index, None)
        self._thumbnails[index] = pixels.rgb_image(picture)
        while len(self._thumbnails) > KEPT_THUMBNAILS:
            del self._thumbnails[next(iter(self._thumbnails))]
        self.update()

    # Geometry.

    @property
    def part(self) -> tuple[float, float]:
        """The first frame shown and how many are, which may be fractions."""
        return self._first, self._shown

    def show_part(self, first: float, shown: float) -> None:
        """Shows `shown` frames from `first`, kept inside the clip and not fewer than thumbnails have room for."""
        fewest = min(self._room / self._thumbnail_px, self._count)
        self._shown = min(max(shown, fewest, 1.0), float(max(self._count, 1)))
        self._first = min(max(first, 0.0), self._count - self._shown) if self._count else 0.0
        self._lay_out()

    def zoom(self, factor: float, x: float | None = None) -> None:
        """Shows fewer frames (factor > 1) or more; the one at `x` (default: the playhead's) stays where it is."""
        if x is None:
            x = self.x_of(self._frame) + self._frame_px / 2
        share = (x - MARGIN_PX) / max(self._room, 1)
        under = self._first + share * self._shown
        shown = min(max(self._shown / factor, min(self._room / self._thumbnail_px, self._count)), float(self._count))
        self.show_part(under - share * shown, shown)

    def show_all(self) -> None:
        """Shows the whole clip."""
        self.show_part(0, self._count)

    @property
    def _room(self) -> int:
        return max(self.width() - 2 * MARGIN_PX, 1)

    @property
    def _frame_px(self) -> float:
        return self._room / self._shown

    @property
    def _thumbnail_px(self) -> int:
        return max(int((self._state_top - self._strip_top - 3) * self._aspect), 24)

    @property
    def _strip_top(self) -> int:
        return RULER_PX + KEYS_PX

    @property
    def _state_top(self) -> int:
        return self.height() - STATE_PX - 4

    def x_of(self, frame: int) -> float:
        """Left edge of a frame in the widget."""
        return MARGIN_PX + (frame - self._first) * self._frame_px

    def frame_at(self, x: float) -> int:
        """The frame at a place in the widget, kept inside the clip."""
        return min(max(math.floor(self._first + (x - MARGIN_PX) / self._frame_px), 0), max(self._count - 1, 0))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        super().resizeEvent(event)
        self.show_part(self._first, self._shown)

    def _lay_out(self) -> None:
        """Places the thumbnails' cells side by side, and asks for those pictures.

        A cell stands for a fixed number of frames, so that scrolling moves the pictures along instead of making others.
        """
        self._cells = []
        height = self._state_top - self._strip_top - 3
        if self._count and height > 0:
            step = max(int(self._thumbnail_px / self._frame_px), 1)
            start = int(self._first) // step * step
            for frame in range(start, min(math.ceil(self._first + self._shown), self._count), step):
                stop = min(frame + step, self._count)
                left, right = round(self.x_of(frame)), round(self.x_of(stop))
                middle = min(frame + step // 2, self._count - 1)
                self._cells.append((middle, QRect(left, self._strip_top, right - left, height)))
            self.thumbnails_wanted.emit([frame for frame, _ in self._cells if frame not in self._thumbnails])
        self.update()

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.fillRect(event.rect(), self._theme.color("window"))
        if self._count:
            self._paint_ruler(painter)
            painter.setClipRect(QRect(MARGIN_PX, 0, self._room, self.height()))
            self._paint_strip(painter)
            self._paint_range(painter)
            self._paint_states(painter)
            self._paint_part(painter)
            painter.setClipRect(QRect(MARGIN_PX - 7, 0, self._room + 14, self.height()))
            self._paint_keys(painter)
            self._paint_head(painter)
        painter.end()

    def _paint_strip(self, painter: QPainter) -> None:
        known = sorted(self._thumbnails)
        for frame, cell in self._cells:
            painter.fillRect(cell, self._theme.color("field"))
            picture = self._thumbnails.get(_nearest(known, frame))
            if picture is not None:
                # Fill the cell, cropping what does not fit: a strip without gaps reads as a film.
                scale = max(cell.width() / picture.width(), cell.height() / picture.height())
                width, height = round(cell.width() / scale), round(cell.height() / scale)
                crop = QRect((picture.width() - width) // 2, (picture.height() - height) // 2, width, height)
                painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
                painter.drawImage(cell, picture, crop)

    def _paint_ruler(self, painter: QPainter) -> None:
        step = next((s for s in STEPS if s * self._frame_px >= 64), STEPS[-1])
        minor = max(step // 5, 1)
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() - 2, 6.5))
        painter.setFont(font)
        start = math.ceil(self._first / minor) * minor
        for frame in range(start, min(math.ceil(self._first + self._shown), self._count), minor):
            x = int(self.x_of(frame))
            is_major = frame % step == 0
            painter.setPen(self._theme.color("dim", 255 if is_major else 110))
            painter.drawLine(x, RULER_PX - (6 if is_major else 3), x, RULER_PX)
            if is_major:
                painter.drawText(QRectF(x + 3, 0, 60, RULER_PX - 2), Qt.AlignmentFlag.AlignVCenter, str(frame))

    def _paint_range(self, painter: QPainter) -> None:
        """Frames outside the range are shaded; the marks have handles."""
        left, right = self.x_of(self._range.start), self.x_of(self._range.stop)
        shade = QColor(0, 0, 0, 120) if self._theme.is_dark else QColor(255, 255, 255, 160)
        bottom = self._state_top + STATE_PX
        if self._marks[0] is not None:
            painter.fillRect(QRectF(MARGIN_PX, self._strip_top, left - MARGIN_PX, bottom - self._strip_top), shade)
        if self._marks[1] is not None:
            end = self.width() - MARGIN_PX
            painter.fillRect(QRectF(right, self._strip_top, end - right, bottom - self._strip_top), shade)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.color("mark"))
        for mark, x, side in ((self._marks[0], left, 1), (self._marks[1], right, -1)):
            if mark is not None:
                painter.drawRect(QRectF(x - (1 if side > 0 else 1), RULER_PX, 2, bottom - RULER_PX))
                painter.drawRect(QRectF(min(x, x + side * HANDLE_PX), RULER_PX, HANDLE_PX, 3))
                painter.drawRect(QRectF(min(x, x + side * HANDLE_PX), bottom - 3, HANDLE_PX, 3))

    def _paint_states(self, painter: QPainter) -> None:
        top = self._state_top
        painter.fillRect(QRectF(MARGIN_PX, top, self.width() - 2 * MARGIN_PX, STATE_PX), self._theme.color("field"))
        colors = {FrameState.FRESH: self._theme.color("fresh"), FrameState.STALE: self._theme.color("stale")}
        start = 0
        for frame in range(1, len(self._states) + 1):
            if frame == len(self._states) or self._states[frame] is not self._states[start]:
                color = colors.get(self._states[start])
                if color is not None:
                    left, right = self.x_of(start), self.x_of(frame)
                    painter.fillRect(QRectF(left, top, max(right - left, 1.5), STATE_PX), color)
                start = frame

    def _paint_part(self, painter: QPainter) -> None:
        """Where in the clip the part that is shown lies; nothing when all of it is."""
        if self._shown < self._count:
            width = self._room * self._shown / self._count
            left = MARGIN_PX + self._room * self._first / self._count
            painter.fillRect(QRectF(MARGIN_PX, 0, self._room, 2), self._theme.color("field"))
            painter.fillRect(QRectF(left, 0, max(width, 6), 2), self._theme.color("dim"))

    def _paint_keys(self, painter: QPainter) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        middle = RULER_PX + KEYS_PX / 2
        for frame in self._keys:
            x = self.x_of(frame) + self._frame_px / 2
            size = 6.5 if frame == self._frame else 5.0
            diamond = QPolygonF([QPointF(x, middle - size), QPointF(x + size, middle), QPointF(x, middle + size),
                                 QPointF(x - size, middle)])
            painter.setPen(QPen(self._theme.color("window"), 1))
            painter.setBrush(self._theme.color("key"))
            painter.drawPolygon(diamond)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    def _paint_head(self, painter: QPainter) -> None:
        left, width = self.x_of(self._frame), self._frame_px
        if width >= 3:
            painter.fillRect(QRectF(left, self._strip_top, width, self._state_top - self._strip_top),
                             self._theme.color("playhead", 46))
        x = round(left + width / 2)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._theme.color("window"), 3))
        painter.drawLine(x, RULER_PX, x, self.height() - 2)
        painter.setPen(QPen(self._theme.color("playhead"), 1))
        painter.setBrush(self._theme.color("playhead"))
        painter.drawLine(x, RULER_PX - 2, x, self.height() - 2)
        top = RULER_PX - 8
        painter.drawPolygon(QPolygonF([QPointF(x - 5, top), QPointF(x + 5, top), QPointF(x, top + 8)]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)

    # Mouse.

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if not self._count or self._grab is not Grab.NONE:
            return
        if event.button() == Qt.MouseButton.MiddleButton:
            self._grab, self._grip = Grab.VIEW, self._first + event.position().x() / self._frame_px
            return
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._grab = self._what_is_at(event.position())
        self._drag_number += 1
        self._drag_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        if self._grab is not Grab.NONE:
            self._drag_to(event.position().x())
            return
        at_mark = self._what_is_at(event.position()) is not Grab.HEAD
        self.setCursor(Qt.CursorShape.SizeHorCursor if at_mark and self._count else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        grab, self._grab = self._grab, Grab.NONE
        if grab not in (Grab.NONE, Grab.VIEW):
            self.drag_ended.emit()

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """The wheel zooms to the cursor; with Shift, or sideways, it moves along the clip."""
        angle = event.angleDelta()
        if angle.x() or event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self.show_part(self._first - (angle.x() or angle.y()) / 120 * self._shown / 8, self._shown)
        elif angle.y() and self._count:
            self.zoom(WHEEL_FACTOR ** (angle.y() / 120), event.position().x())
        event.accept()

    def event(self, event: object) -> bool:
        """Shows what is under the cursor in words."""
        if isinstance(event, QHelpEvent) and self._count:
            QToolTip.showText(event.globalPos(), self._words_at(event.pos().x()), self)
            return True
        return super().event(event)  # type: ignore[arg-type]

    def _words_at(self, x: float) -> str:
        frame = self.frame_at(x)
        words = [f"<b>Frame {frame}</b>"]
        if frame in self._keys:
            words.append("Key frame")
        if frame < len(self._states):
            words.append({FrameState.NONE: "No color yet", FrameState.STALE: "Color is out of date: propagate again",
                          FrameState.FRESH: "Color is up to date"}[self._states[frame]])
        return "<br>".join(words)

    def _what_is_at(self, place: QPointF) -> Grab:
        for mark, x, grab in (
            (self._marks[0], self.x_of(self._range.start), Grab.IN),
            (self._marks[1], self.x_of(self._range.stop), Grab.OUT),
        ):
            if mark is not None and abs(place.x() - x) <= HANDLE_PX and place.y() >= RULER_PX:
                return grab
        return Grab.HEAD

    def _drag_to(self, x: float) -> None:
        frame = self.frame_at(x)
        if self._grab is Grab.VIEW:
            self.show_part(self._grip - x / self._frame_px, self._shown)
        elif self._grab is Grab.HEAD:
            self.sought.emit(frame)
        elif self._grab is Grab.IN:
            latest = self._marks[1] if self._marks[1] is not None else self._count - 1
            self.marks_dragged.emit(min(self.frame_at(x + self._frame_px / 2), latest), self._marks[1],
                                    self._drag_number)
        elif self._grab is Grab.OUT:
            last = self.frame_at(x - self._frame_px / 2)
            self.marks_dragged.emit(self._marks[0], max(last, self._marks[0] or 0), self._drag_number)


def _nearest(known: list[int], frame: int) -> int:
    """The frame nearest to `frame` of those `known` in order, which stands in until its own picture is there."""
    place = bisect_left(known, frame)
    return min(known[max(place - 1, 0) : place + 1], key=lambda other: abs(other - frame), default=-1)
