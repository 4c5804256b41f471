"""One key frame while it is painted: everything that depends on the picture alone is done once, a stroke costs a fill.

No Qt and no thread of its own; the window's worker owns these and hands in the strokes as blocks of pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app import coloring
from app.keyframes import Keyframe, Painted, read_keyframe, shrink, shrink_hints, work_shape
from app.pipeline import Pipeline
from app.project.plan import to_8_bit
from app.project.raster import Rect

if TYPE_CHECKING:
    from propagation.video.frame import Frame

Float = NDArray[np.float32]


@dataclass(frozen=True)
class LiveColor:
    """A filled key frame: `ab` (h, w, 2) float32 at work size and `rgb` (H, W, 3) uint8 to show."""

    ab: Float
    rgb: NDArray[np.uint8]


# Shorter side at which a frame is filled while the brush moves; the work size follows when it rests.
DRAFT_SIZE = 240


class _Level:
    """One frame at one size, with what the network prepared for it."""

    def __init__(self, lightness: Float, densifier: Any) -> None:
        self.lightness = lightness
        self._densifier = densifier
        self._prepared: Any = None

    @property
    def prepared(self) -> Any:
        if self._prepared is None:
            self._prepared = self._densifier.prepare(self.lightness)
        return self._prepared


class LiveFrame:
    """Keeps what filling one frame needs: its Lab, what the network prepared, and the hints as they grow."""

    def __init__(self, frame: Frame, size: int, densifier: Any, stages: Pipeline) -> None:
        self.frame = frame
        self.size = size
        self._stages = stages
        self._densifier = densifier
        self._lab = coloring.lab_of(frame)
        self._own_lightness = np.ascontiguousarray(self._lab[..., 0])
        height, width = self._own_lightness.shape
        self._levels = {
            draft: _Level(shrink(self._own_lightness, work_shape(height, width, level_size)), densifier)
            for draft, level_size in ((False, size), (True, min(size, DRAFT_SIZE)))
        }
        self._full: Painted | None = None
        self._hints = Painted(np.zeros((height, width, 2), np.float32), np.zeros((height, width), np.float32))

    def prepare(self, *, draft: bool = False) -> None:
        """Does the slow part now rather than under the first stroke."""
        _ = self._levels[draft].prepared

    def set_picture(self, keyframe: Keyframe) -> None:
        """Takes a full picture as the frame's color, in place of hints."""
        height, width = self._lab.shape[:2]
        self._full = read_keyframe(keyframe, width, height, self.frame.tags)

    def patch(self, rect: Rect, rgba: NDArray[np.uint8]) -> None:
        """Replaces the hints in `rect` by `rgba`, (h, w, 4) uint8 in the clip's own color."""
        from propagation.color.lab import frame_to_lab

        self._full = None
        if rect.is_empty:
            return
        rows, columns = rect.slices
        lab = frame_to_lab(np.ascontiguousarray(rgba[..., :3]), self.frame.tags)
        self._hints.ab[rows, columns] = lab[..., 1:]
        self._hints.strength[rows, columns] = rgba[..., 3] / np.float32(255)

    @property
    def has_color(self) -> bool:
        """Whether there is anything to fill from."""
        return self._full is not None or bool(self._hints.strength.any())

    def fill(self, *, draft: bool = False) -> LiveColor | None:
        """The frame's color from its hints or picture; None where nothing is said. A draft is smaller and faster."""
        level = self._levels[draft]
        shape = level.lightness.shape
        if self._full is not None:
            return LiveColor(shrink(self._full.ab, shape), self._show(self._full.ab))
        if not self.has_color:
            return None
        hints = self._stages.make_hints(*shrink_hints(self._hints, shape))
        ab = self._densifier.fill(level.prepared, hints).values
        lifted = self._stages.lift(ab, level.lightness, self._own_lightness)
        return LiveColor(ab, self._show(coloring.keep_exact(lifted, self._hints)))

    def _show(self, ab: Float) -> NDArray[np.uint8]:
        return to_8_bit(coloring.recolor(self.frame, self._own_lightness, ab).image[..., :3])


def show_carried(frame: Frame, ab: NDArray[np.floating], stages: Pipeline) -> NDArray[np.uint8]:
    """`frame` with carried color, `ab` (h, w, 2) at work size, as (H, W, 3) uint8 to show."""
    lab = coloring.lab_of(frame)
    small = np.ascontiguousarray(ab, np.float32)
    own = np.ascontiguousarray(lab[..., 0])
    lifted = stages.lift(small, shrink(own, small.shape[:2]), own)
    return to_8_bit(coloring.recolor(frame, lab[..., 0], lifted).image[..., :3])
