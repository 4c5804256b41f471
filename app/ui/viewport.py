"""Where the picture lies in the canvas: scale and offset between source pixels and places in the widget."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF

MIN_ZOOM, MAX_ZOOM = 0.05, 32.0
FIT_MARGIN_PX = 16
_KEPT_IN_VIEW_PX = 80.0


class Viewport:
    """`size_px` is the picture's size, `room` the widget's; `fits` while the whole picture is to be seen."""

    def __init__(self) -> None:
        self.size_px = (0, 0)
        self.room = (0, 0)
        self.scale = 1.0
        self.offset = QPointF(0, 0)
        self.fits = True

    @property
    def is_empty(self) -> bool:
        """Whether there is no picture."""
        return not all(self.size_px)

    def fit(self) -> None:
        """Shows the whole picture in the middle."""
        self.fits = True
        if self.is_empty:
            return
        (width, height), (room_w, room_h) = self.size_px, self.room
        self.scale = min(max(room_w - 2 * FIT_MARGIN_PX, 16) / width, max(room_h - 2 * FIT_MARGIN_PX, 16) / height)
        self.offset = QPointF(round((room_w - width * self.scale) / 2), round((room_h - height * self.scale) / 2))

    def zoom_to(self, scale: float, at: QPointF) -> None:
        """Sets the scale, leaving the source pixel under the place `at` where it is."""
        under = self.to_source(at)
        self.scale = min(max(scale, MIN_ZOOM), MAX_ZOOM)
        self.move_to(at - under * self.scale)

    def move_to(self, offset: QPointF) -> None:
        """Moves the picture's corner, as far as a part of the picture stays in view, so that nobody loses it."""
        self.fits = False
        width, height = (side * self.scale for side in self.size_px)
        reach_x, reach_y = min(_KEPT_IN_VIEW_PX, width), min(_KEPT_IN_VIEW_PX, height)
        self.offset = QPointF(
            min(max(offset.x(), reach_x - width), self.room[0] - reach_x),
            min(max(offset.y(), reach_y - height), self.room[1] - reach_y),
        )

    def to_source(self, place: QPointF) -> QPointF:
        """Source pixel position of a place in the widget."""
        return (place - self.offset) / self.scale

    def to_widget(self, place: QPointF) -> QPointF:
        """Place in the widget of a source pixel position."""
        return place * self.scale + self.offset

    def holds(self, spot: QPointF) -> bool:
        """Whether a source pixel position lies in the picture."""
        return 0 <= spot.x() < self.size_px[0] and 0 <= spot.y() < self.size_px[1]

    @property
    def picture(self) -> QRectF:
        """The picture's place in the widget."""
        width, height = self.size_px
        return QRectF(self.offset.x(), self.offset.y(), width * self.scale, height * self.scale)
