"""L* of a clip's frames at work size, read in whichever direction the work goes and kept while memory allows."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.coloring import lightness_of
from app.keyframes import shrink
from app.progress import Cancelled, CancelToken

if TYPE_CHECKING:
    from propagation.video.frame import Frame
    from propagation.video.reader import Clip

Float = NDArray[np.float32]

# 160 frames of 854x480: motion looks at neighbours, two-sided carrying comes back over an interval.
CACHE_BYTES = 256 * 2**20
# However large they are: the search for cuts is so far ahead of carrying, on twos and threes too.
_LEAST = 32
# Twenty frames of 1920x1080: as far as writing falls behind the search for cuts.
LENT_BYTES = 128 * 2**20


class LightnessReader:
    """Gives L* (h, w) float32 in 0..100 of any frame; neighbours in a row cost one decoded frame each.

    Long-GOP video is slow to enter anywhere but cheap to go along: a run backwards is read as one. Every request
    checks `cancel`, and any thread may ask. With `lent_bytes` the frames read last are kept too, for one to `take`.
    """

    def __init__(
        self,
        clip: Clip,
        shape: tuple[int, int],
        cancel: CancelToken,
        cache_bytes: int = CACHE_BYTES,
        lent_bytes: int = 0,
    ) -> None:
        self.shape = shape
        self._clip = clip
        self._cancel = cancel
        self._kept: OrderedDict[int, NDArray[Any]] = OrderedDict()
        self._most = max(_LEAST, cache_bytes // (shape[0] * shape[1] * 4))
        self._lent: OrderedDict[int, Frame] = OrderedDict()
        self._lent_bytes = lent_bytes
        self._reading, self._lending = threading.Lock(), threading.Lock()
        self.last = -1
        self._closed = False
        self._backwards: Iterator[Frame] | None = None

    def at(self, index: int) -> Float:
        """L* of frame `index`. Raises what reading raises, and Cancelled."""
        self._check()
        with self._reading:
            if index not in self._kept:
                self._keep(self._read(index))
            self._kept.move_to_end(index)
            return self._kept[index]

    def frame(self, index: int) -> Frame:
        """Frame `index` itself; its L* is kept. Raises as `at` does."""
        self._check()
        with self._reading:
            frame = self._read(index)
            self._keep(frame)
            return frame

    def _check(self) -> None:
        self._cancel.check()
        if self._closed:
            raise Cancelled

    def _keep(self, frame: Frame) -> None:
        self._lend(frame)
        self._kept[frame.index] = self._picture(frame)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)

    def take(self, index: int) -> Frame | None:
        """Frame `index` itself, once, where it was read lately: decoding it again would cost more."""
        with self._lending:
            return self._lent.pop(index, None)

    def _lend(self, frame: Frame) -> None:
        with self._lending:
            self._lent[frame.index] = frame
            while len(self._lent) * frame.image.nbytes > self._lent_bytes:
                self._lent.popitem(last=False)

    def _picture(self, frame: Frame) -> NDArray[Any]:
        """What is kept of a frame."""
        return shrink(lightness_of(frame), self.shape)

    def _read(self, index: int) -> Frame:
        if index + 1 != self.last:
            self._backwards = None
        elif self._backwards is None:
            self._backwards = self._clip.frames(0, index + 1, -1)
        self.last = index
        return self._clip.frame(index) if self._backwards is None else next(self._backwards)

    def close(self) -> None:
        """Makes every later request raise Cancelled, which ends work that another thread is still at."""
        self._closed = True
