"""HDR in the window: keys that were held against their frames, what an export has made, and light at an exposure.

HDR keys belong to the window, not to the project file: they are files that stay where they are.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, Signal

from app.progress import CancelToken, Progress
from app.ui.runner import JobRunner

if TYPE_CHECKING:
    from app.hdr_preview import KeyLook
    from propagation.video.frame import Frame
    from propagation.video.hdr_images import Encoding

Floats = NDArray[np.float32]

_KEPT_FRAMES = 6  # exported frames in memory; at 4K one is 100 MB
MOST_STOPS = 12.0


@dataclass(frozen=True)
class _Made:
    """Pictures that an export has written: frames start <= n < stop at `pattern`."""

    pattern: Path
    frames: range


class HdrView(QObject):
    """What the window knows of the clip's light. `stops` and `zebra` are how it is looked at."""

    looked = Signal(object)
    """A KeyLook, to be accepted or not."""
    refused = Signal(object)
    """The error of a key that cannot be used."""
    changed = Signal()
    """Keys, exposure or zebra: what is shown has to be made anew."""
    light_ready = Signal(int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.keys: dict[int, KeyLook] = {}
        self.stops = 0.0
        self.zebra = False
        self._made: _Made | None = None
        self._asked = -1
        self._read: OrderedDict[int, Floats] = OrderedDict()
        self._looker, self._reader = JobRunner(self), JobRunner(self)
        self._looker.finished.connect(self.looked)
        self._looker.failed.connect(self.refused)
        self._reader.finished.connect(self._take)
        # A picture that was deleted meanwhile is not shown; the export said what it wrote.
        self._reader.failed.connect(lambda _: setattr(self, "_made", None))

    def look(self, clip: Path, index: int, key: Path, encoding: Encoding | None) -> None:
        """Holds a key against its frame; `looked` or `refused` follows."""

        def job(cancel: CancelToken) -> Generator[Progress, None, KeyLook]:
            from app.hdr_preview import look_at_key

            yield Progress("check", 0, 1, index)
            return look_at_key(clip, index, key, encoding)

        self._looker.start(job)

    def take(self, look: KeyLook) -> None:
        """Uses a key from now on."""
        self.keys[look.index] = look
        self.changed.emit()

    def drop(self, index: int) -> None:
        """Uses the key of a frame no more."""
        if self.keys.pop(index, None) is not None:
            self.changed.emit()

    def forget(self) -> None:
        """Another clip: nothing is known of its light."""
        self.keys.clear()
        self._made = None
        self._read.clear()
        self.stops = 0.0
        self.changed.emit()

    def set_stops(self, stops: float) -> None:
        """The exposure of the view, brighter where positive."""
        self.stops = min(max(stops, -MOST_STOPS), MOST_STOPS)
        self.changed.emit()

    def set_zebra(self, on: bool) -> None:
        """Stripes over what is clipped, or none."""
        self.zebra = on
        self.changed.emit()

    def made(self, pattern: Path, frames: range) -> None:
        """An export has written `frames`: they can be looked at."""
        self._made = _Made(pattern, frames)
        self._read.clear()
        self.changed.emit()

    def light(self, index: int) -> Floats | None:
        """(H, W, 3) light of a frame, or None where none is known; one that has to be read is announced."""
        if index in self.keys:
            return self.keys[index].light
        if index in self._read:
            self._read.move_to_end(index)
            return self._read[index]
        known = self._made is not None and index in self._made.frames
        if self._made is not None and known and not (self._reader.running and self._asked == index):
            self._asked = index
            self._reader.start(partial(_reading, self._made.pattern, index))
        return None

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """What an ordinary screen shows of a frame's light at the exposure in use, (H, W, 3) uint8."""
        light = self.light(index)
        if light is None:
            return None
        from app.hdr_view import show_light

        return show_light(light, self._screen_stops())

    def stripes(self, frame: Frame, before: bool) -> NDArray[np.bool_] | None:
        """(H, W) where zebra lies: light above the screen's white, or where the clip is shown what that has clipped."""
        if not self.zebra:
            return None
        from app.hdr_view import CLIPPED, above_white, clipped_in_clip

        light = None if before else self.light(frame.index)
        if light is not None:
            return above_white(light, self._screen_stops())
        any_key = next(iter(self.keys.values()), None)
        return clipped_in_clip(frame.image, any_key.response.clipped_from if any_key else CLIPPED)

    def words_at(self, frame: Frame, x: int, y: int, before: bool) -> str:
        """The scene-linear value of a pixel, empty without a key that tells it."""
        any_key = next(iter(self.keys.values()), None)
        if any_key is None:
            return ""
        light = None if before else self.light(frame.index)
        if light is not None:
            value, name = light[y, x], "light"
        else:
            code_values = np.ascontiguousarray(frame.image[y, x, :3])
            value, name = 10.0 ** any_key.response.log_light(code_values), "linear"
        stops = np.log2(max(float(value.max()), 1e-9) / any_key.white)
        return f"   {name} {' '.join(f'{v:.4g}' for v in value)} ({stops:+.1f} stops from white)"

    def stop(self) -> None:
        """Ends the threads."""
        self._looker.close()
        self._reader.close()

    def _screen_stops(self) -> float:
        """Stops by which light in the keys' unit is brightened, so that the clip's white is the screen's at 0."""
        return self.stops - float(np.log2(next(iter(self.keys.values())).white)) if self.keys else self.stops

    def _take(self, found: Any) -> None:
        index, light = found
        self._read[index] = light
        while len(self._read) > _KEPT_FRAMES:
            self._read.popitem(last=False)
        self.light_ready.emit(index)


def _reading(pattern: Path, index: int, cancel: CancelToken) -> Generator[Progress, None, tuple[int, Floats]]:
    from propagation.video.hdr_images import read_hdr
    from propagation.video.sequence import numbered

    yield Progress("read", 0, 1, index)
    return index, read_hdr(numbered(pattern, index)).image
