"""The color panel: an a/b plane at the lightness under the cursor, hex entry, recent colors and the project's swatches.

The networks take only a* and b* from a color, as the clip's own lightness is kept; so the plane shows the colors that
this lightness can have, and what is chosen is that color at that lightness.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QContextMenuEvent, QImage, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from app.project.commands import AddSwatch, ChangeSwatch
from app.project.document import Project, Rgb, Swatch
from app.ui import pixels
from app.ui.naming import named
from app.ui.session import Session
from app.ui.theme import current

AB_RANGE = 100.0
PLANE_PX = 160
SWATCH_PX = 24
COLUMNS = 10


def hex_text(color: Rgb) -> str:
    """`#rrggbb` of a color."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def parse_hex(text: str) -> Rgb | None:
    """The color of `#rrggbb`, `rrggbb` or `#rgb`; None when the text is none."""
    digits = text.strip().lstrip("#")
    if re.fullmatch(r"[0-9a-fA-F]{3}", digits):
        digits = "".join(c + c for c in digits)
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        return None
    return (int(digits[0:2], 16), int(digits[2:4], 16), int(digits[4:6], 16))


def rgb_to_lab(color: Rgb) -> tuple[float, float, float]:
    """L*, a*, b* of an sRGB color."""
    from propagation.color.lab import frame_to_lab
    from propagation.color.tags import STILL_TAGS

    lab = frame_to_lab(np.array([[color]], np.uint8), STILL_TAGS)[0, 0]
    return (float(lab[0]), float(lab[1]), float(lab[2]))


def lab_to_rgb(lightness: float, a: float, b: float) -> Rgb:
    """The sRGB color of L*, a*, b*; chroma is lowered where there is none."""
    from propagation.color.lab import lab_to_frame
    from propagation.color.tags import STILL_TAGS

    rgb = lab_to_frame(np.array([[[lightness, a, b]]], np.float32), STILL_TAGS, np.uint8)[0, 0]
    return (int(rgb[0]), int(rgb[1]), int(rgb[2]))


@lru_cache(maxsize=32)
def plane_picture(lightness: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Colors of the a/b plane at L* `lightness`, (n, n, 3) uint8 with b* upwards, and 1 where sRGB has them, else 0."""
    from propagation.color.lab import lab_to_frame, reduce_chroma
    from propagation.color.tags import STILL_TAGS

    axis = np.linspace(-AB_RANGE, AB_RANGE, PLANE_PX, dtype=np.float32)
    lab = np.empty((PLANE_PX, PLANE_PX, 3), np.float32)
    lab[..., 0], lab[..., 1], lab[..., 2] = lightness, axis[None, :], axis[::-1, None]
    outside = np.abs(reduce_chroma(lab, STILL_TAGS)[..., 1:] - lab[..., 1:]).max(axis=2)
    # Fading over one step of the grid keeps the edge of the gamut smooth.
    return lab_to_frame(lab, STILL_TAGS, np.uint8), np.clip(1 - outside / (2 * AB_RANGE / PLANE_PX), 0, 1)


def warm_color_math() -> None:
    """Compiles what the panel needs; done on a worker's thread, as it takes seconds the first time."""
    plane_picture(60)
    rgb_to_lab((128, 128, 128))


class AbPlane(QWidget):
    """All colors of one lightness; click or drag to choose."""

    chosen = Signal(object)
    """(r, g, b), while dragging too."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("ab_plane")
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setMinimumSize(150, 150)
        self.setMaximumHeight(168)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setToolTip("<b>a/b plane</b><br>The colors that the lightness under the cursor can have: "
                        "a* to the right is red, b* upwards is yellow")
        self._lightness = 60
        self._place = (0.0, 0.0)
        self._is_ready = False

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        return QSize(210, 168)

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        return min(width, 168)

    @property
    def lightness(self) -> int:
        """L* of the plane."""
        return self._lightness

    def set_ready(self) -> None:
        """The color mathematics is there: the plane can be shown."""
        self._is_ready = True
        self.update()

    def set_lightness(self, lightness: float) -> None:
        """Shows the colors of another L*; the color in hand stays where it is."""
        rounded = min(max(round(lightness / 2) * 2, 4), 98)
        if rounded != self._lightness:
            self._lightness = rounded
            self.update()

    def set_color(self, color: Rgb) -> None:
        """Moves the ring to a color's a* and b*."""
        _, a, b = rgb_to_lab(color)
        self._place = (a, b)
        self.update()

    def _square(self) -> QRectF:
        side = min(self.width(), self.height()) - 2
        return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        theme = current()
        painter = QPainter(self)
        square = self._square()
        painter.fillRect(square, theme.color("field"))
        if not self._is_ready:
            painter.end()
            return
        picture, inside = plane_picture(self._lightness)
        image = QImage(PLANE_PX, PLANE_PX, QImage.Format.Format_ARGB32_Premultiplied)
        alpha = (22 + 233 * inside).astype(np.uint8)
        pixels.view(image)[:] = pixels.premultiplied(np.dstack([picture, alpha]))
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(square, image)
        painter.drawImage(square, _outline(inside, theme.color("dim")))
        painter.setPen(QPen(theme.color("dim", 110), 1))
        middle = square.center()
        painter.drawLine(QPointF(square.left(), middle.y()), QPointF(square.right(), middle.y()))
        painter.drawLine(QPointF(middle.x(), square.top()), QPointF(middle.x(), square.bottom()))
        painter.setPen(theme.color("dim"))
        painter.drawText(square.adjusted(6, 4, -6, -4), Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft,
                         f"L* {self._lightness}")
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ring = QPointF(middle.x() + self._place[0] / AB_RANGE * square.width() / 2,
                       middle.y() - self._place[1] / AB_RANGE * square.height() / 2)
        for color, radius in ((QColor(0, 0, 0, 190), 6.0), (QColor(255, 255, 255), 5.0)):
            painter.setPen(QPen(color, 1.5))
            painter.drawEllipse(ring, radius, radius)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        self._choose(event)

    def _choose(self, event: QMouseEvent) -> None:
        if not self._is_ready or not event.buttons() & Qt.MouseButton.LeftButton:
            return
        square, place = self._square(), event.position()
        a = (place.x() - square.center().x()) / (square.width() / 2) * AB_RANGE
        b = (square.center().y() - place.y()) / (square.height() / 2) * AB_RANGE
        limited = (min(max(a, -AB_RANGE), AB_RANGE), min(max(b, -AB_RANGE), AB_RANGE))
        self._place = limited
        self.update()
        self.chosen.emit(lab_to_rgb(self._lightness, *limited))


def _outline(inside: NDArray[np.float32], color: QColor) -> QImage:
    """The gamut's edge, by which dark colors are told from the dark around them."""
    core = inside > 0.5
    edge = core & ~(np.roll(core, 1, 0) & np.roll(core, -1, 0) & np.roll(core, 1, 1) & np.roll(core, -1, 1))
    image = QImage(PLANE_PX, PLANE_PX, QImage.Format.Format_ARGB32_Premultiplied)
    shown = np.zeros((PLANE_PX, PLANE_PX, 4), np.uint8)
    shown[..., :3] = (color.red(), color.green(), color.blue())
    shown[..., 3] = 150 * edge
    pixels.view(image)[:] = pixels.premultiplied(shown)
    return image


class ColorButton(QToolButton):
    """A square of one color."""

    def __init__(self, color: Rgb, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.color = color
        self.is_current = False
        self.setFixedSize(SWATCH_PX, SWATCH_PX)
        self.setToolTip(tip)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        theme = current()
        painter.setBrush(QColor(*self.color))
        outlined = self.is_current or self.underMouse() or self.hasFocus()
        painter.setPen(QPen(theme.color("text" if outlined else "border"), 2 if self.is_current else 1))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(2, 2, -2, -2), 3, 3)
        painter.end()


class ColorPanel(QWidget):
    """Chooses the brush's color; swatches are edited by commands on the project."""

    chosen = Signal(object)
    """(r, g, b)."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._color: Rgb = (0, 0, 0)
        self._is_ready = False
        self.plane = AbPlane()
        self.plane.chosen.connect(self.chosen)
        self._patch = named(QFrame(), "patch")
        self._patch.setFixedSize(44, 28)
        self.hex = named(QLineEdit(maxLength=7), "hex")
        self.hex.setToolTip("<b>Hex</b><br>The color as #rrggbb; its a* and b* are used, the clip keeps its lightness")
        self.hex.editingFinished.connect(self._hex_entered)
        # The next key is meant for a tool again.
        self.hex.returnPressed.connect(self.hex.clearFocus)
        self._lab = named(QLabel(), "dim")
        self.recent_grid, self.swatch_grid = QGridLayout(), QGridLayout()
        add = named(QToolButton(), "add_swatch")
        add.setText("+ Add")
        add.setToolTip("<b>Add swatch</b><br>Keep this color in the project under a name")
        add.clicked.connect(self._add_swatch)
        self._lay_out(add)
        session.changed.connect(self._project_changed)
        session.replaced.connect(lambda: self._show_project(session.project))
        self._show_project(session.project)

    def _lay_out(self, add: QToolButton) -> None:
        row = QHBoxLayout()
        for widget in (self._patch, self.hex):
            row.addWidget(widget)
        row.addWidget(self._lab, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(10, 2, 10, 2)
        layout.setSpacing(5)
        layout.addWidget(named(QLabel("Color"), "heading"))
        layout.addWidget(self.plane)
        layout.addLayout(row)
        for words, grid, button in (("Recent", self.recent_grid, None), ("Swatches", self.swatch_grid, add)):
            heading = QHBoxLayout()
            heading.addWidget(named(QLabel(words), "heading"), 1)
            if button is not None:
                heading.addWidget(button)
            layout.addLayout(heading)
            grid.setSpacing(2)
            grid.setAlignment(Qt.AlignmentFlag.AlignLeft)
            layout.addLayout(grid)

    def set_ready(self) -> None:
        """The color mathematics is there: Lab values and the plane can be shown."""
        self._is_ready = True
        self.plane.set_ready()
        self.set_color(self._color)

    def set_color(self, color: Rgb) -> None:
        """Shows the brush's color everywhere in the panel."""
        self._color = color
        if self._is_ready:
            lightness, a, b = rgb_to_lab(color)
            self._lab.setText(f"L* {lightness:.0f}  a* {a:.0f}  b* {b:.0f}")
            self.plane.set_color(color)
        self._patch.setStyleSheet(f"background: {hex_text(color)}; border-radius: 4px;")
        if not self.hex.hasFocus():
            self.hex.setText(hex_text(color))
        for button in self._buttons():
            button.is_current = button.color == color
            button.update()

    def choose_swatch(self, number: int) -> None:
        """Takes swatch `number`, from 0, when there is one."""
        if number < len(self._session.project.swatches):
            self.chosen.emit(self._session.project.swatches[number].color)

    def _buttons(self) -> list[ColorButton]:
        grids = (self.recent_grid, self.swatch_grid)
        items = [grid.itemAt(i) for grid in grids for i in range(grid.count())]
        found = [item.widget() for item in items if item is not None]
        return [widget for widget in found if isinstance(widget, ColorButton)]

    def _hex_entered(self) -> None:
        color = parse_hex(self.hex.text())
        if color is None:
            self.hex.setText(hex_text(self._color))
        elif color != self._color:
            self.chosen.emit(color)

    def _add_swatch(self) -> None:
        name, accepted = QInputDialog.getText(self, "Add swatch", "Name of the color:")
        if accepted:
            self._session.do(AddSwatch(Swatch(name, self._color)))

    def _project_changed(self, before: Project, after: Project) -> None:
        if before.swatches is not after.swatches or before.recent is not after.recent:
            self._show_project(after)

    def _show_project(self, project: Project) -> None:
        recent = [(color, f"<b>{hex_text(color)}</b><br>Used before") for color in project.recent[:COLUMNS]]
        self._fill(self.recent_grid, recent)
        self._fill(
            self.swatch_grid,
            [
                (swatch.color, f"<b>{html.escape(swatch.name)}</b>{_digit(i)}<br>{hex_text(swatch.color)}")
                for i, swatch in enumerate(project.swatches)
            ],
            editable=True,
        )
        self.set_color(self._color)

    def _fill(self, grid: QGridLayout, colors: list[tuple[Rgb, str]], *, editable: bool = False) -> None:
        while grid.count():
            item = grid.takeAt(0)
            widget = item.widget() if item else None
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        if not colors:
            grid.addWidget(named(QLabel("Nothing yet"), "dim"), 0, 0)
        for place, (color, tip) in enumerate(colors):
            button = _SwatchButton(place, self) if editable else ColorButton(color, tip, self)
            if isinstance(button, _SwatchButton):
                button.color = color
                button.setToolTip(tip)
            button.clicked.connect(lambda _=False, chosen=color: self.chosen.emit(chosen))
            grid.addWidget(button, place // COLUMNS, place % COLUMNS)

    def edit_swatch(self, place: int, what: str, _: bool = False) -> None:
        """Renames, recolors or removes a swatch."""
        if what == "remove":
            self._session.do(ChangeSwatch(place, None))
        elif what == "recolor":
            self._session.do(ChangeSwatch(place, Swatch(self._session.project.swatches[place].name, self._color)))
        else:
            old = self._session.project.swatches[place]
            name, accepted = QInputDialog.getText(self, "Rename swatch", "Name of the color:", text=old.name)
            if accepted:
                self._session.do(ChangeSwatch(place, Swatch(name, old.color)))


def _digit(place: int) -> str:
    """The key that chooses the swatch at `place`, for its tooltip."""
    return f" ({place + 1})" if place < 9 else ""


class _SwatchButton(ColorButton):
    """A swatch of the project, with a menu to change it."""

    def __init__(self, place: int, panel: ColorPanel) -> None:
        super().__init__((0, 0, 0), "", panel)
        self.place = place
        self._panel = panel

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        menu = QMenu(self)
        for words, what in (("Rename…", "rename"), ("Set to the current color", "recolor"), ("Remove", "remove")):
            menu.addAction(words).triggered.connect(partial(self._panel.edit_swatch, self.place, what))
        menu.exec(event.globalPos())
        menu.deleteLater()
