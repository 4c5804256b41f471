"""Decoded frames and colored pictures for the window: one thread that reads ahead, and caches bounded in bytes.

Long-GOP video is slow to enter anywhere but its key pictures, so what was decoded is kept and the reader runs ahead in
the direction of travel. The order of work is: the frame that is looked at, its color, the frames to come, thumbnails.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.project.plan import to_8_bit
from app.results import Result

if TYPE_CHECKING:
    from propagation.video.frame import Frame
    from propagation.video.reader import Clip

FRAME_BYTES = 512 * 2**20
COLOR_BYTES = 512 * 2**20
AHEAD_FRAMES = 24
THUMBNAIL_HEIGHT_PX = 54

Rgb8 = NDArray[np.uint8]
Composer = Callable[[Any, Result], Rgb8]


class FrameService(QObject):
    """Hands out frames of one clip; never blocks the caller. What is not there yet is announced by a signal."""

    opened = Signal(int, object)
    """Serial number and ClipInfo of the clip that was opened."""
    failed = Signal(int, object)
    """Serial number of the clip, and the error of opening it or of reading a frame.

    Signals arrive late: what carries another number than `serial` is of a clip that was let go of.
    """
    frame_ready = Signal(int)
    color_ready = Signal(int)
    thumbnail_ready = Signal(int, object)
    """Frame number and its picture, (h, w, 3) uint8."""

    def __init__(self, result_of: Callable[[int], Result | None], compose: Composer, parent: QObject | None = None):
        super().__init__(parent)
        self._result_of = result_of
        self._compose = compose
        self._change = threading.Condition()
        self._path: Path | None = None
        self._clip_serial = 0
        self._count = 0
        self._wanted = 0
        self._direction = 1
        self._wants_color = True
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._frame_bytes = 0
        self._colors: OrderedDict[int, tuple[Result, Rgb8]] = OrderedDict()
        self._color_bytes = 0
        self._thumbnails: list[int] = []
        self._broken: set[int] = set()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="frames", daemon=True)
        self._thread.start()

    # What the window calls.

    def open(self, path: Path | None) -> None:
        """Lets go of the clip in hand and opens another; `opened` or `failed` follows."""
        with self._change:
            self._path = path
            self._clip_serial += 1
            self._count = 0
            self._wanted = 0
            self._frames.clear()
            self._colors.clear()
            self._frame_bytes = self._color_bytes = 0
            self._thumbnails.clear()
            self._broken.clear()
            self._change.notify()

    @property
    def serial(self) -> int:
        """Number of the clip that was asked for last."""
        return self._clip_serial

    def want(self, index: int, direction: int = 1, *, color: bool = True) -> None:
        """Says which frame is looked at and where the view is going; `frame_ready` and `color_ready` follow."""
        with self._change:
            self._wanted, self._direction, self._wants_color = index, direction, color
            self._change.notify()

    def want_thumbnails(self, indices: Sequence[int]) -> None:
        """Asks for small pictures of frames, in this order, when there is nothing better to do."""
        with self._change:
            self._thumbnails = list(indices)
            self._change.notify()

    def recheck(self) -> None:
        """Looks again at which colors are out of date."""
        with self._change:
            self._change.notify()

    def frame(self, index: int) -> Frame | None:
        """A decoded frame, or None while it is not there."""
        with self._change:
            frame = self._frames.get(index)
            if frame is not None:
                self._frames.move_to_end(index)
            return frame

    def color(self, index: int) -> Rgb8 | None:
        """The colored picture of a frame, (H, W, 3) uint8, or None while it is not there or out of date."""
        result = self._result_of(index)
        with self._change:
            kept = self._colors.get(index)
            if kept is None or kept[0] is not result:
                return None
            self._colors.move_to_end(index)
            return kept[1]

    def old_color(self, index: int) -> Rgb8 | None:
        """The colored picture of a frame even if out of date: better than grey while the new one is made."""
        with self._change:
            kept = self._colors.get(index)
            return None if kept is None or self._result_of(index) is None else kept[1]

    def put_color(self, index: int, result: Result, picture: Rgb8) -> None:
        """Keeps a picture that was made elsewhere, such as under the brush."""
        with self._change:
            self._keep_color(index, result, picture)

    @property
    def cached_bytes(self) -> int:
        """Bytes of frames and colors in the caches."""
        return self._frame_bytes + self._color_bytes

    def stop(self) -> None:
        """Ends the thread; nothing is handed out afterwards."""
        with self._change:
            self._stopping = True
            self._change.notify()
        self._thread.join(timeout=10)

    # What the thread does.

    def _work(self) -> None:
        clip: Clip | None = None
        small: Clip | None = None
        serial = 0
        while True:
            with self._change:
                while not self._stopping and serial == self._clip_serial and (clip is None or self._task() is None):
                    self._change.wait()
                if self._stopping:
                    break
                path, wanted_serial = self._path, self._clip_serial
                task = self._task() if serial == wanted_serial else ("open", 0)
            if task is None:
                continue
            if task[0] == "open":
                for old in (clip, small):
                    if old is not None:
                        old.close()
                clip, small, serial = self._open(path, wanted_serial), None, wanted_serial
            elif task[0] == "thumbnail" and path is not None:
                small = self._read_thumbnail(small, path, task[1])
            elif task[0] == "color":
                self._color(task[1])
            elif clip is not None:
                self._read(clip, task[1], serial)
        for old in (clip, small):
            if old is not None:
                old.close()

    def _task(self) -> tuple[str, int] | None:
        """The most useful thing to do now, with the lock held."""
        if not self._count:
            return None
        wanted = self._wanted
        if wanted not in self._frames and wanted not in self._broken:
            return "read", wanted
        if self._wants_color and self._needs_color(wanted):
            return "color", wanted
        for step in range(1, AHEAD_FRAMES + 1):
            index = wanted + step * self._direction
            if not 0 <= index < self._count:
                break
            if index not in self._frames and index not in self._broken and self._has_room(step):
                return "read", self._ahead(index)
            if self._wants_color and self._needs_color(index) and step <= AHEAD_FRAMES // 2:
                return "color", index
        if self._thumbnails:
            return "thumbnail", self._thumbnails[0]
        return None

    def _ahead(self, index: int) -> int:
        """Backwards, the earliest missing frame of a run: forward through it is cheap, stepping back is not."""
        if self._direction > 0:
            return index
        start = max(index - AHEAD_FRAMES // 2, 0)
        missing = [n for n in range(start, index + 1) if n not in self._frames and n not in self._broken]
        return missing[0] if missing else index

    def _needs_color(self, index: int) -> bool:
        result = self._result_of(index)
        if result is None or index not in self._frames:
            return False
        kept = self._colors.get(index)
        return kept is None or kept[0] is not result

    def _has_room(self, step: int) -> bool:
        """Whether reading `step` frames ahead would not push out what is looked at."""
        if not self._frames:
            return True
        one = max(next(iter(self._frames.values())).image.nbytes, 1)
        return (step + 2) * one <= FRAME_BYTES

    def _open(self, path: Path | None, serial: int) -> Clip | None:
        if path is None:
            return None
        from propagation.video.reader import open_clip

        try:
            clip = open_clip(path)
        except Exception as error:  # noqa: BLE001  (whatever it is, the window words it)
            self.failed.emit(serial, error)
            return None
        with self._change:
            if serial == self._clip_serial:
                self._count = clip.info.frame_count
        self.opened.emit(serial, clip.info)
        return clip

    def _read(self, clip: Clip, index: int, serial: int) -> None:
        try:
            frame = clip.frame(index)
        except Exception as error:  # noqa: BLE001  (a clip that breaks in the middle is said, and the rest stays usable)
            with self._change:
                self._broken.add(index)
            self.failed.emit(serial, error)
            return
        with self._change:
            if serial != self._clip_serial:
                return
            self._frames[index] = frame
            self._frame_bytes += frame.image.nbytes
            while self._frame_bytes > FRAME_BYTES and len(self._frames) > 2:
                _, gone = self._frames.popitem(last=False)
                self._frame_bytes -= gone.image.nbytes
        self.frame_ready.emit(index)

    def _color(self, index: int) -> None:
        frame, result = self.frame(index), self._result_of(index)
        if frame is None or result is None:
            return
        try:
            picture = self._compose(frame, result)
        except Exception as error:  # noqa: BLE001  (see above)
            with self._change:
                self._wants_color = False
            self.failed.emit(self._clip_serial, error)
            return
        with self._change:
            self._keep_color(index, result, picture)
        self.color_ready.emit(index)

    def _keep_color(self, index: int, result: Result, picture: Rgb8) -> None:
        old = self._colors.pop(index, None)
        self._color_bytes += picture.nbytes - (old[1].nbytes if old else 0)
        self._colors[index] = (result, picture)
        while self._color_bytes > COLOR_BYTES and len(self._colors) > 2:
            _, gone = self._colors.popitem(last=False)
            self._color_bytes -= gone[1].nbytes

    def _read_thumbnail(self, clip: Clip | None, path: Path, index: int) -> Clip | None:
        """Reads through a second handle, which is returned, so that the run of the first is not disturbed."""
        import cv2

        from propagation.video.reader import open_clip

        with self._change:
            if not self._thumbnails or self._thumbnails[0] != index:
                return clip
            self._thumbnails.pop(0)
            frame = self._frames.get(index)
        try:
            if frame is None:
                clip = clip or open_clip(path)
                frame = clip.frame(index)
            image = frame.image[..., :3]
        except Exception:  # noqa: BLE001  (reading the frame itself will say it)
            return clip
        width = max(1, round(THUMBNAIL_HEIGHT_PX * image.shape[1] / image.shape[0]))
        small = cv2.resize(np.ascontiguousarray(image), (width, THUMBNAIL_HEIGHT_PX), interpolation=cv2.INTER_AREA)
        self.thumbnail_ready.emit(index, to_8_bit(small))
        return clip
