"""Where the view is in the clip, and playing: frames are shown by their own times, and dropped rather than late."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer, Signal

if TYPE_CHECKING:
    from propagation.video.probe import ClipInfo

TICK_MS = 10
FASTEST = 8


class Playback(QObject):
    """The current frame, and the direction and speed of play."""

    moved = Signal(int)
    """The current frame is another one."""
    playing_changed = Signal(bool)

    def __init__(self, is_ready: Callable[[int], bool], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._is_ready = is_ready
        self._times_s: list[float] = []
        self.frame = 0
        self.speed = 0
        """0 at rest, 1 normal speed, 2, 4, 8 faster, negative backwards."""
        self._range = range(0)
        self._from_time_s = 0.0
        self._since = 0.0
        self._timer = QTimer(self, interval=TICK_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def set_clip(self, info: ClipInfo | None) -> None:
        """Takes the clip's times; the view is at frame 0."""
        self.stop()
        self._times_s = [float((p - info.pts[0]) * info.time_base) for p in info.pts] if info else []
        self._range = range(len(self._times_s))
        self.frame = 0

    def set_range(self, frames: range) -> None:
        """Frames that playing loops over when it starts inside them."""
        self._range = frames

    @property
    def count(self) -> int:
        """Frames of the clip."""
        return len(self._times_s)

    @property
    def playing(self) -> bool:
        """Whether the clip is playing."""
        return self.speed != 0

    def go(self, frame: int) -> None:
        """Shows a frame, kept inside the clip; playing goes on from there."""
        frame = min(max(frame, 0), max(self.count - 1, 0))
        if self.playing:
            self._restart(frame)
        if frame != self.frame:
            self.frame = frame
            self.moved.emit(frame)

    def step(self, frames: int) -> None:
        """Stops, and goes some frames on or back."""
        self.stop()
        self.go(self.frame + frames)

    def step_seconds(self, seconds: float) -> None:
        """Goes some seconds on or back, at least a frame."""
        if self.count:
            target = self._frame_at(self._times_s[self.frame] + seconds)
            self.step(target - self.frame if target != self.frame else (1 if seconds > 0 else -1))

    def toggle(self) -> None:
        """Plays, or stops."""
        if self.playing:
            self.stop()
        else:
            self.play(1)

    def shuttle(self, direction: int) -> None:
        """Plays in a direction; again in the same direction doubles the speed."""
        same = self.speed * direction > 0
        self.play(direction * min(abs(self.speed) * 2, FASTEST) if same else direction)

    def play(self, speed: int) -> None:
        """Plays at a speed; from the last frame it starts over."""
        if not self.count:
            return
        start = self.frame
        if speed > 0 and start >= self._last:
            start = self._first
        elif speed < 0 and start <= self._first:
            start = self._last
        self.speed = speed
        self._restart(start)
        self._timer.start()
        self.playing_changed.emit(True)
        if start != self.frame:
            self.frame = start
            self.moved.emit(start)

    def stop(self) -> None:
        """Stops where it is."""
        if self.playing:
            self.speed = 0
            self._timer.stop()
            self.playing_changed.emit(False)

    @property
    def _first(self) -> int:
        return self._range.start if self.frame in self._range else 0

    @property
    def _last(self) -> int:
        return self._range.stop - 1 if self.frame in self._range else self.count - 1

    def _restart(self, frame: int) -> None:
        self._from_time_s = self._times_s[frame] if self._times_s else 0.0
        self._since = time.perf_counter()

    def _frame_at(self, seconds: float) -> int:
        return min(max(bisect_right(self._times_s, seconds + 1e-6) - 1, 0), self.count - 1)

    def _tick(self) -> None:
        target = self._frame_at(self._from_time_s + (time.perf_counter() - self._since) * self.speed)
        target = min(max(target, self._first), self._last)
        if target != self.frame:
            if not self._is_ready(target):
                # The reader is behind: the clock waits for it, and asks for what comes next.
                self._restart(self.frame)
                target = min(max(self.frame + (1 if self.speed > 0 else -1), 0), self.count - 1)
                if not self._is_ready(target):
                    return
            self.frame = target
            self.moved.emit(target)
        elif target == (self._last if self.speed > 0 else self._first):
            self._at_end()

    def _at_end(self) -> None:
        """Play loops over the range; a shuttle stops at its end."""
        if self.speed == 1 and len(self._range) > 1 and self.frame in self._range and len(self._range) < self.count:
            self.frame = self._range.start
            self._restart(self.frame)
            self.moved.emit(self.frame)
        else:
            self.stop()
