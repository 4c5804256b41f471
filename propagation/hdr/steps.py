"""Motion between neighbouring frames, estimated one step ahead of whoever walks, and once for both directions."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from propagation.alignment import MotionEstimator
from propagation.spool import Spool

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]
Flows = tuple[Floats, Floats]


class Steps:
    """Optical flow of steps from frame to frame on a thread of its own, within a `with`.

    With `kept`, a spool that two walks over the same frames share, what one of them has estimated the other takes from
    there, in half precision (1/64 pixel at motion of 16 to 32 pixels). One walk at a time uses a spool.
    """

    def __init__(self, kept: Spool | None = None) -> None:
        self._kept = kept
        self._motion = MotionEstimator()
        self._pool = ThreadPoolExecutor(1, "motion")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def ask(self, came: int, index: int, before: Grey, grey: Grey) -> Future[Flows]:
        """Begins the step from frame `came`, which looks like `before`, to its neighbour `index`, which looks like
        `grey`: (motion from the new frame to the old one, motion from the old to the new), (H, W, 2) each."""
        return self._pool.submit(self._step, came, index, before, grey)

    def _step(self, came: int, index: int, before: Grey, grey: Grey) -> Flows:
        low = min(came, index)
        if self._kept is not None and low in self._kept:
            up, down = self._kept.take(low).astype(np.float32)
            return (up, down) if index == low else (down, up)
        back = self._motion.flow(grey, before)
        # A walk alone asks of the way there only whether it leads back; the other walk is moved by it.
        forth = self._motion.flow(before, grey, fine=self._kept is not None)
        if self._kept is not None:
            up, down = (back, forth) if index == low else (forth, back)
            self._kept.put(low, np.stack([up, down]).astype(np.float16))
        return back, forth
