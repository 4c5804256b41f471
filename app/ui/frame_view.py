"""The frame in view: shows what is there of it, asks for the rest, and tells the color under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPointF, QTimer, Signal

from app.project.document import Picture
from app.project.plan import encode_picture, to_8_bit
from app.ui.color_panel import hex_text, rgb_to_lab

if TYPE_CHECKING:
    from app.ui.window import MainWindow
    from propagation.video.frame import Frame

REST_MS = 160
# The cursor on its way to the color panel says nothing about what is to be painted.
PLANE_REST_MS = 90


class FrameView(QObject):
    """Binds the place in the clip to the canvas, the timeline and the words about both."""

    picked = Signal(object)
    """An (r, g, b) color was taken from the picture."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._canvas, self._frames = window.canvas, window.frames
        self._painting, self._playback = window.painting, window.playback
        self._shown: int | None = None
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._rested)
        self._under: float | None = None
        self._plane_rest = QTimer(self, singleShot=True, interval=PLANE_REST_MS)
        self._plane_rest.timeout.connect(self._show_plane)
        self._playback.moved.connect(self.show)
        self._frames.frame_ready.connect(self._frame_ready)
        self._frames.color_ready.connect(self.refresh_color)
        window.hdr.light_ready.connect(self.refresh_color)
        self._canvas.hovered.connect(self._hovered)
        self._canvas.picked.connect(self._picked)

    def stop(self) -> None:
        """Waits for nothing any more."""
        self._rest.stop()
        self._plane_rest.stop()

    def clear(self, message: str) -> None:
        """Shows no frame but a message, and lets nobody paint."""
        self._shown = None
        self._canvas.can_paint = False
        self._canvas.set_source(None)
        self._canvas.set_color(None)
        self._canvas.message = message

    def show(self, index: int) -> None:
        """Another frame is in view: shows what is there of it and asks for the rest."""
        window = self._window
        if not self._playback.count:
            return
        self._canvas.finish_stroke()
        direction = -1 if self._playback.speed < 0 else 1
        self._frames.want(index, direction)
        window.kept_results.recall(index, direction)
        window.timeline.set_frame(index)
        self.show_place()
        window.verbs.enable()
        self._canvas.frame_number = index
        frame = self._frames.frame(index)
        if frame is not None:
            self._show_frame(index, frame)
        else:
            self._shown = None
            self._canvas.can_paint = False
            self._painting.leave()
        self._rest.start()

    def refresh_color(self, index: int) -> None:
        """The color of a frame was made or changed: shows it where that frame is in view."""
        if index == self._playback.frame:
            self._show_color(index)

    def refresh(self) -> None:
        """How the frame in view is looked at was changed."""
        if self._shown is not None:
            self._show_color(self._shown)

    def pause(self, playing: bool) -> None:
        """Nobody paints on a frame that is playing; the view rests when it stops."""
        self._canvas.can_paint = not playing and self._frames.frame(self._playback.frame) is not None
        if not playing:
            self._rest.start()

    def show_place(self) -> None:
        """Says which frame is in view, at what time, and whether it is a key frame."""
        words, project = self._window.timeline_panel.place_words, self._window.session.project
        count, frame = self._playback.count, self._playback.frame
        if not count or project.source is None:
            words.setText("")
            return
        minutes, rest = divmod(float(frame / project.source.rate), 60)
        key = "  ◆ key" if not project.key(frame).is_empty else ""
        words.setText(f"Frame {frame} of {count - 1}   {int(minutes):02d}:{rest:06.3f}{key}")

    def carried_picture(self, frame: int) -> Picture | None:
        """The color that was carried to a frame, as a picture to correct; None for key frames and grey ones."""
        shown = self._frames.old_color(frame)
        if shown is None or not self._window.session.project.key(frame).is_empty:
            return None
        return encode_picture(shown, "carried")

    def _frame_ready(self, index: int) -> None:
        frame = self._frames.frame(index)
        if index == self._playback.frame and frame is not None and self._shown != index:
            self._show_frame(index, frame)
            self._rest.start()

    def _show_frame(self, index: int, frame: Frame) -> None:
        self._shown = index
        self._canvas.message = ""
        self._canvas.set_source(frame.image)
        self._show_color(index)
        self._painting.visit(index, hurried=True)
        self._canvas.can_paint = not self._playback.playing

    def _show_color(self, index: int) -> None:
        """Light where it is known, else carried color; and the zebra over either."""
        hdr, frame = self._window.hdr, self._frames.frame(index)
        picture = hdr.picture(index)
        if picture is None:
            picture = self._frames.color(index)
        self._canvas.set_color(self._frames.old_color(index) if picture is None else picture)
        self._canvas.set_zebra(None if frame is None else hdr.stripes(frame, self._canvas.shows_before))

    def _rested(self) -> None:
        """The view stays on a frame: now what takes longer may begin."""
        index = self._playback.frame
        frame = self._frames.frame(index)
        if not self._playback.playing and frame is not None:
            if self._shown != index:
                # The frame was read, and the word of that is still on its way.
                self._show_frame(index, frame)
            self._painting.visit(index, hurried=False)
            self._canvas.can_paint = True

    def _hovered(self, place: QPointF | None) -> None:
        window = self._window
        words = window.status_line.cursor_words
        color = self._color_at(place) if place is not None else None
        if place is None or color is None:
            self._plane_rest.stop()
            words.setText("")
            return
        if not window.has_networks:
            return
        lightness, a, b = rgb_to_lab(color)
        x, y = int(place.x()), int(place.y())
        frame = self._frames.frame(self._playback.frame)
        light = "" if frame is None else window.hdr.words_at(frame, x, y, self._canvas.shows_before)
        words.setText(f"{x}, {y}   {hex_text(color)}   L* {lightness:.0f} a* {a:.0f} b* {b:.0f}{light}")
        if not window.tools.is_painting:
            self._under = lightness
            self._plane_rest.start()

    def _show_plane(self) -> None:
        """The cursor rests: the plane shows the colors that are possible there."""
        if self._under is not None:
            self._window.color_panel.plane.set_lightness(self._under)

    def _picked(self, place: QPointF) -> None:
        color = self._color_at(place)
        if color is not None:
            self.picked.emit(color)

    def _color_at(self, place: QPointF) -> tuple[int, int, int] | None:
        """What is seen at a place: the result where it is shown, else the clip."""
        index = self._playback.frame
        frame = self._frames.frame(index)
        shown = None if self._canvas.shows_before else self._frames.old_color(index)
        image = shown if shown is not None else (frame.image if frame is not None else None)
        if image is None or not (0 <= place.x() < image.shape[1] and 0 <= place.y() < image.shape[0]):
            return None
        pixel = to_8_bit(image[int(place.y()), int(place.x()), :3])
        return (int(pixel[0]), int(pixel[1]), int(pixel[2]))
