"""What the mouse does on the canvas: brushes that edit the document by commands, the picker and the brush's size.

The state that outlives a stroke is `Brush`; a tool in use keeps only what one drag needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal

from app.project.commands import AddStroke, ExtendStroke
from app.project.document import Picture, Point, Rgb
from app.ui.session import Session

PAINTING = {"brush": "paint", "eraser": "erase", "protect": "protect"}
SIZES_PX = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 22, 26, 32, 40, 50, 64, 80, 100, 128, 160, 200)
# Points closer than this to the last one add nothing that can be seen.
MIN_STEP_PX = 0.7


@dataclass(frozen=True)
class Brush:
    """The tool in hand and how it paints; `radius_px` in source pixels."""

    tool: str = "brush"
    color: Rgb = (222, 176, 148)
    radius_px: float = 8.0
    hardness: float = 1.0
    pressure_sizes: bool = True


class ToolBox(QObject):
    """The brush in hand, and the stroke that is being painted."""

    changed = Signal(object)
    """The brush after any change."""
    stroke_ended = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.brush = Brush()
        self.picture_under: Callable[[int], Picture | None] = lambda frame: None
        """Gives the color that a frame shows without being a key: a stroke there corrects it."""
        self._frame: int | None = None
        self._last: Point | None = None

    def set(self, **changes: object) -> None:
        """Changes fields of the brush."""
        brush = replace(self.brush, **changes)  # type: ignore[arg-type]
        if brush != self.brush:
            self.brush = brush
            self.changed.emit(brush)

    def step_size(self, steps: int) -> None:
        """The next larger (positive) or smaller size of the row of sizes, by diameter."""
        diameter = self.brush.radius_px * 2
        if steps > 0:
            larger = [size for size in SIZES_PX if size > diameter + 0.01]
            size = larger[0] if larger else SIZES_PX[-1]
        else:
            smaller = [size for size in SIZES_PX if size < diameter - 0.01]
            size = smaller[-1] if smaller else SIZES_PX[0]
        self.set(radius_px=size / 2)

    def step_hardness(self, steps: int) -> None:
        """Harder or softer by a quarter."""
        self.set(hardness=min(max(self.brush.hardness + steps * 0.25, 0.0), 1.0))

    @property
    def is_painting_tool(self) -> bool:
        """Whether the tool in hand leaves strokes."""
        return self.brush.tool in PAINTING

    @property
    def is_painting(self) -> bool:
        """Whether a stroke is being painted."""
        return self._frame is not None

    def press(self, frame: int, x: float, y: float, pressure: float = 1.0) -> None:
        """Begins a stroke at a place in source pixels."""
        brush = self.brush
        point = (x, y, pressure if brush.pressure_sizes else 1.0)
        stroke = AddStroke(
            frame, PAINTING[brush.tool], brush.color, brush.radius_px, brush.hardness, (point,),
            self.picture_under(frame),
        )
        if self._session.do(stroke):
            self._frame, self._last = frame, point

    def move(self, x: float, y: float, pressure: float = 1.0) -> None:
        """Goes on with the stroke."""
        if self._frame is None or self._last is None:
            return
        point = (x, y, pressure if self.brush.pressure_sizes else 1.0)
        if abs(point[0] - self._last[0]) + abs(point[1] - self._last[1]) < MIN_STEP_PX:
            return
        if self._session.do(ExtendStroke(self._frame, (point,))):
            self._last = point

    def release(self) -> None:
        """Ends the stroke: it is one step for undo."""
        if self._frame is not None:
            self._frame = self._last = None
            self._session.seal()
            self.stroke_ended.emit()

    def cancel(self) -> bool:
        """Takes the stroke back as if it had never been; False when there is none."""
        if self._frame is None:
            return False
        self._frame = self._last = None
        self._session.undo.abandon()
        self.stroke_ended.emit()
        return True
