"""The pictures of one frame, one over the other: source, color, strokes and zebra, and the wipe between them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPen

from app.project.raster import Rect
from app.ui import pixels
from app.ui.viewport import Viewport

WIPE_GRAB_PX = 8


@dataclass
class Layers:
    """How strongly each layer shows, 0..1."""

    source: float = 1.0
    color: float = 1.0
    hints: float = 1.0


class PictureLayers:
    """What the canvas shows of a frame. `wipe`: before on the left of that share of the width, after on the right."""

    def __init__(self) -> None:
        self.strengths = Layers()
        self.source: QImage | None = None
        self.color: QImage | None = None
        self.hints: QImage | None = None
        self.zebra: QImage | None = None
        self.shows_before = False
        self.wipe: float | None = None

    def patch_hints(self, rect: Rect, block: NDArray[np.uint8], size_px: tuple[int, int]) -> None:
        """Takes the pixels of `rect` of the strokes anew, (h, w, 4) uint8 RGBA."""
        hints = self.hints or pixels.rgba_image(np.zeros((size_px[1], size_px[0], 4), np.uint8))
        pixels.view(hints)[rect.slices] = pixels.premultiplied(block)
        self.hints = hints

    def is_at_wipe(self, place: QPointF, view: Viewport) -> bool:
        """Whether a place in the widget is on the wipe's line."""
        if self.wipe is None or self.shows_before or view.is_empty:
            return False
        target = view.picture
        near = abs(place.x() - (target.left() + target.width() * self.wipe)) <= WIPE_GRAB_PX
        return near and target.top() <= place.y() <= target.bottom()

    def paint(self, painter: QPainter, view: Viewport, exposed: QRect) -> None:
        """Draws what of the layers lies in `exposed`."""
        if self.source is None:
            return
        target = view.picture
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, view.scale < 3 and view.scale != 1)
        painter.save()
        painter.setClipRect(exposed.intersected(target.toAlignedRect()))
        shows_color = self.color is not None and not self.shows_before
        if not shows_color or self.strengths.color < 1 or self.wipe is not None:
            _draw(painter, view, self.source, self.strengths.source if not self.shows_before else 1.0, exposed)
        if self.color is not None and shows_color:
            if self.wipe is not None:
                clip = target.adjusted(target.width() * self.wipe, 0, 0, 0)
                painter.setClipRect(clip.intersected(QRectF(exposed)))
            _draw(painter, view, self.color, self.strengths.color, exposed)
            painter.setClipRect(exposed.intersected(target.toAlignedRect()))
        if self.hints is not None and not self.shows_before:
            _draw(painter, view, self.hints, self.strengths.hints, exposed)
        if self.zebra is not None:
            _draw(painter, view, self.zebra, 1.0, exposed)
        painter.restore()
        self._paint_wipe_line(painter, target)

    def _paint_wipe_line(self, painter: QPainter, target: QRectF) -> None:
        if self.wipe is None or self.shows_before:
            return
        x = target.left() + target.width() * self.wipe
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


def _draw(painter: QPainter, view: Viewport, image: QImage, opacity: float, exposed: QRect) -> None:
    """Draws the exposed part of `image` alone: what a brush touches costs only that."""
    if opacity <= 0:
        return
    part = QRectF(exposed).adjusted(-2, -2, 2, 2).intersected(view.picture)
    top_left, bottom_right = view.to_source(part.topLeft()), view.to_source(part.bottomRight())
    whole = QRect(
        QPoint(int(top_left.x()), int(top_left.y())), QPoint(int(bottom_right.x()) + 1, int(bottom_right.y()) + 1)
    ).intersected(image.rect())
    place = QRectF(view.to_widget(QPointF(whole.topLeft())),
                   view.to_widget(QPointF(whole.x() + whole.width(), whole.y() + whole.height())))
    painter.setOpacity(opacity)
    painter.drawImage(place, image, QRectF(whole))
    painter.setOpacity(1)
