"""From strokes to the filled frame: follows the document, keeps the hint picture, and asks the worker for fills.

While the brush moves, drafts are filled as fast as they come; when it rests, the frame is filled at work size. The
document is read here and never changed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QTimer, Signal

from app.exporting import WORK_SIZE
from app.live import LiveColor
from app.project.document import KeyFrame, Project
from app.project.plan import UNDER_STRENGTH, job_keyframe, start_raster, to_8_bit
from app.project.raster import HintRaster, Rect
from app.results import Result, ResultStore, Signatures
from app.ui.frames import FrameService
from app.ui.runner import Preview, PreviewRequest
from app.ui.session import Session

REST_MS = 220


class Painting(QObject):
    """The hints and the live fill of the frame in view."""

    hints_changed = Signal(object)
    """Rect of hint pixels that changed, or None for another picture altogether (`hints` tells it)."""
    busy = Signal(bool)
    """Whether a fill is under way that the user waits for."""
    filled = Signal(int, bool)
    """The color of a frame was made anew, or taken away; whether it is a draft."""

    def __init__(
        self, session: Session, frames: FrameService, results: ResultStore, preview: Preview,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._session, self._frames, self._results, self._preview = session, frames, results, preview
        self._index: int | None = None
        self._raster: HintRaster | None = None
        self._generation = 0
        self._shown: dict[int, int] = {}
        self._forgotten = 0
        self._asked: dict[int, tuple[int, str]] = {}
        self._carried: dict[int, Result] = {}
        self._rest = QTimer(self, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._fill_fully)
        self.is_filling = False
        self._is_told = False
        session.changed.connect(self._project_changed)
        session.replaced.connect(self.reset)
        preview.filled.connect(self._filled)
        preview.failed.connect(self._failed)

    @property
    def hints(self) -> NDArray[np.uint8] | None:
        """The strokes to show over the frame in view, (H, W, 4) uint8, or None where nothing is painted."""
        key = self._session.project.key(self._index) if self._index is not None else None
        if self._raster is None or key is None:
            return None
        if key.picture is None or key.picture.is_hints:
            return None if key.is_empty else self._raster.image
        return _without_picture(self._raster.image) if key.strokes else None

    def hints_block(self, rect: Rect) -> NDArray[np.uint8]:
        """The pixels of `rect` of `hints`."""
        if self._raster is None:
            return np.zeros((rect.y1 - rect.y0, rect.x1 - rect.x0, 4), np.uint8)
        block = self._raster.image[rect.slices]
        picture = self._session.project.key(self._index).picture if self._index is not None else None
        return block if picture is None or picture.is_hints else _without_picture(block)

    @property
    def ready_for(self) -> int | None:
        """The frame that can be painted on now."""
        return self._index

    def reset(self) -> None:
        """Forgets everything, as another project is open."""
        self._leave()
        self._carried.clear()
        self._asked.clear()
        self._shown.clear()
        self._forgotten = self._generation
        self._told_busy(False)
        self._preview.forget()
        self.hints_changed.emit(None)

    def leave(self) -> None:
        """Another frame is in view that is not read yet."""
        self._leave()
        self.hints_changed.emit(None)

    def visit(self, index: int, *, hurried: bool) -> None:
        """The frame in view is read; `hurried` while playing or scrubbing, when nothing slow is begun."""
        if self._index != index:
            self._leave()
            self._index = index
            self._build()
            self.hints_changed.emit(None)
        if hurried:
            return
        key = self._session.project.key(index)
        if key.is_empty:
            self._ask_whole(fill=False, draft=True)
        elif not self._results.is_fresh(self._session.project, index) or self._frames.color(index) is None:
            self._ask_whole(draft=False)
        else:
            self._ask_whole(draft=True, fill=False)

    def _leave(self) -> None:
        self._rest.stop()
        self._is_told = False
        self._index = self._raster = None

    def _build(self) -> None:
        """Draws the frame's hints from the document."""
        project, index = self._session.project, self._index
        frame = self._frames.frame(index) if index is not None else None
        if index is None or frame is None or project.source is None:
            self._raster = None
            return
        height, width = frame.image.shape[:2]
        own = to_8_bit(np.ascontiguousarray(frame.image[..., :3]))
        self._raster = start_raster(project.key(index), width, height, own)

    # Following the document.

    def _project_changed(self, before: Project, after: Project) -> None:
        for gone in before.keys.keys() - after.keys.keys():
            self._uncolor(gone)
        index = self._index
        if index is None or before.key(index) == after.key(index):
            return
        old, new = before.key(index), after.key(index)
        if new.is_empty:
            self._build()
            self.hints_changed.emit(None)
            self._ask_whole(draft=True, fill=False)
            return
        rect = self._grow(old, new)
        if rect is None:
            self._build()
            self.hints_changed.emit(None)
            self._ask_whole(draft=True)
        else:
            self.hints_changed.emit(rect)
            self._ask_rect(rect)
        self._rest.start()

    def _grow(self, old: KeyFrame, new: KeyFrame) -> Rect | None:
        """Draws what a growing or added stroke changed; None where more than that changed."""
        if self._raster is None or not new.strokes or old.picture is not new.picture:
            return None
        if not old.strokes or (len(new.strokes) == len(old.strokes) + 1 and new.strokes[:-1] == old.strokes):
            # The first stroke over a whole picture turns a full key into hints, which changes every pixel.
            whole = new.picture is not None and not new.picture.is_hints
            return None if whole and not old.strokes else self._raster.begin(new.strokes[-1])
        if len(new.strokes) == len(old.strokes) and new.strokes[:-1] == old.strokes[:-1]:
            longer, shorter = new.strokes[-1], old.strokes[-1]
            if longer.id == shorter.id and longer.points[: len(shorter.points)] == shorter.points:
                return self._raster.extend(longer) if longer.color == shorter.color else None
        return None

    def _uncolor(self, index: int) -> None:
        """A frame is no key any more: what was carried to it before comes back."""
        carried = self._carried.pop(index, None)
        if carried is None:
            self._results.drop(index)
        else:
            self._results.put(index, carried.ab, carried.signature, index)
        self._rest.stop()
        self._shown[index] = self._generation
        self._frames.recheck()
        self.filled.emit(index, False)

    # Asking the worker.

    def _ask_rect(self, rect: Rect) -> None:
        if not self._is_told:
            self._ask_whole(draft=True)
        elif self._raster is not None and not rect.is_empty:
            self._ask([(rect, self._raster.image[rect.slices].copy())], fill=True, draft=True)

    def _ask_whole(self, *, draft: bool, fill: bool = True) -> None:
        if self._raster is None or self._index is None:
            return
        self._is_told = True
        key = self._session.project.key(self._index)
        height, width = self._raster.image.shape[:2]
        if key.picture is not None and not key.strokes and not key.picture.is_hints:
            self._ask([], fill=fill, draft=draft, full=True)
        else:
            self._ask([(Rect(0, 0, width, height), self._raster.image.copy())], fill=fill, draft=draft)

    def _fill_fully(self) -> None:
        self._ask([], fill=True, draft=False)

    def _ask(
        self, patches: list[tuple[Rect, NDArray[np.uint8]]], *, fill: bool, draft: bool, full: bool = False
    ) -> None:
        project, index = self._session.project, self._index
        frame = self._frames.frame(index) if index is not None else None
        if index is None or frame is None:
            return
        self._generation += 1
        request = PreviewRequest(
            self._generation, index, frame, project.settings.work_size or WORK_SIZE, patches, None, fill, draft
        )
        if full:
            request.picture = job_keyframe(project, index, lambda _: to_8_bit(frame.image[..., :3]))
        if fill:
            self._asked[self._generation] = (index, Signatures(project).of(index))
            self._told_busy(True)
        self._preview.ask(request)

    def _filled(self, request: PreviewRequest, color: LiveColor | None) -> None:
        if request.generation <= self._forgotten:
            return
        # A request may have taken on what one before it was to fill.
        mine = [n for n, (index, _) in self._asked.items() if index == request.index and n <= request.generation]
        signature = self._asked[max(mine)][1] if mine else ""
        for old in mine:
            del self._asked[old]
        self._told_busy(bool(self._asked))
        key = self._session.project.key(request.index)
        if request.generation <= self._shown.get(request.index, 0) or key.is_empty:
            return
        self._shown[request.index] = request.generation
        before = self._results.get(request.index)
        if before is not None and before.is_carried:
            self._carried[request.index] = before
        if color is None:
            self._results.drop(request.index)
        else:
            # A draft is shown, but is not what would be exported: it never counts as up to date.
            made_of = f"draft of {signature}" if request.draft else signature
            self._results.put(request.index, color.ab, made_of, request.index, is_carried=False)
            result = self._results.get(request.index)
            if result is not None:
                self._frames.put_color(request.index, result, color.rgb)
        self.filled.emit(request.index, request.draft)

    def _failed(self, _: object) -> None:
        """The worker has dropped its copy of the frame: the next request tells the hints anew."""
        self._is_told = False
        self._asked.clear()
        self._told_busy(False)

    def _told_busy(self, busy: bool) -> None:
        self.is_filling = busy
        self.busy.emit(busy)


def _without_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The strokes alone of hints that lie over a whole picture: what is stronger than the picture."""
    shown = image.copy()
    shown[..., 3] = np.maximum(image[..., 3].astype(np.int16) - UNDER_STRENGTH, 0) * 255 // (255 - UNDER_STRENGTH)
    return shown
