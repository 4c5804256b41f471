"""Line icons, drawn from paths so that they take the theme's color and stay sharp at any scale."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRectF, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from app.ui.theme import Theme

# Paths on a 24x24 grid, strokes 1.7 wide; `F:` before a path fills it.
PATHS: dict[str, tuple[str, ...]] = {
    "open": ("M3 6.5h6l2 2.5h10v10H3z",),
    "save": ("M4 4h13l3 3v13H4z", "M8 4v5h7V4", "M7 20v-7h10v7"),
    "undo": ("M8 5L4 9l4 4", "M4 9h9a6 6 0 0 1 0 12H9"),
    "redo": ("M16 5l4 4-4 4", "M20 9h-9a6 6 0 0 0 0 12h4"),
    "brush": ("M14 4l6 6-8 8-6-6z", "M6 12c-3 1-1 5-4 7 3 2 8 1 10-1"),
    "eraser": ("M9 20h12", "M4 14L14 4l6 6-10 10H7z", "M9 9l6 6"),
    "protect": ("M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6z", "M8.5 12l2.5 2.5 4.5-5"),
    "picker": ("M13 6l5 5", "M11 8l5 5-8 8H3v-5z", "M14.5 4.5a3.2 3.2 0 0 1 5 5L17 12l-5-5z"),
    "pan": ("M12 3v18M3 12h18", "M9 6l3-3 3 3M9 18l3 3 3-3M6 9l-3 3 3 3M18 9l3 3-3 3"),
    "both": ("M4 12h16", "M8 8l-4 4 4 4M16 8l4 4-4 4", "F:M12 9.4l2.6 2.6-2.6 2.6L9.4 12z"),
    "forward": ("M8 12h12", "M16 8l4 4-4 4", "F:M5 9.4L7.6 12 5 14.6 2.4 12z"),
    "backward": ("M16 12H4", "M8 8l-4 4 4 4", "F:M19 9.4l2.6 2.6-2.6 2.6-2.6-2.6z"),
    "stop": ("F:M6 6h12v12H6z",),
    "export": ("M12 15V3M8 7l4-4 4 4", "M4 13v7h16v-7"),
    "play": ("F:M7 4l13 8-13 8z",),
    "pause": ("F:M6 4h4v16H6zM14 4h4v16h-4z",),
    "previous_key": ("F:M15 7l5 5-5 5-5-5z", "M5 6v12"),
    "next_key": ("F:M9 7l5 5-5 5-5-5z", "M19 6v12"),
    "step_back": ("M15 6l-6 6 6 6",),
    "step_forward": ("M9 6l6 6-6 6",),
    "first": ("M18 6l-6 6 6 6M7 6v12",),
    "last": ("M6 6l6 6-6 6M17 6v12",),
    "wipe": ("M3 5h18v14H3z", "M12 3v18", "F:M12 5h9v14h-9z"),
    "fit": ("M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",),
    "one": ("M4 4h16v16H4z", "M9 9v6M15 9v6M12 10.5v.1M12 13.5v.1"),
    "import": ("M12 3v11M8 10l4 4 4-4", "M4 14v6h16v-6"),
    "key": ("F:M12 5l7 7-7 7-7-7z",),
    "clear": ("M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",),
    "plus": ("M12 5v14M5 12h14",),
    "help": ("M12 3a9 9 0 1 0 .01 0z", "M9.5 9.5a2.6 2.6 0 1 1 3.6 2.4c-.8.4-1.1.9-1.1 1.8M12 16.8v.2"),
    "in": ("M9 4H6v16h3", "F:M11 8l6 4-6 4z"),
    "out": ("M15 4h3v16h-3", "F:M13 8l-6 4 6 4z"),
    "eye": ("M2 12s4-6.5 10-6.5S22 12 22 12s-4 6.5-10 6.5S2 12 2 12z", "M12 9a3 3 0 1 0 .01 0z"),
}


def icon(name: str, theme: Theme, size: int = 40, *, on_accent: bool = False) -> QIcon:
    """The icon `name` in the theme's text color, its accent's text color while checked, and dimmed while disabled.

    `on_accent`: it lies on the accent's color all the time.
    """
    made = QIcon()
    plain = theme.accent_text if on_accent else theme.text
    made.addPixmap(pixmap(name, plain, size), QIcon.Mode.Normal, QIcon.State.Off)
    made.addPixmap(pixmap(name, theme.accent_text, size), QIcon.Mode.Normal, QIcon.State.On)
    faint = "#6a6a6a" if theme.is_dark else "#b0b0b0"
    made.addPixmap(pixmap(name, faint, size), QIcon.Mode.Disabled, QIcon.State.Off)
    return made


def pixmap(name: str, color: str, size: int) -> QPixmap:
    """The icon `name` in one color, `size` pixels square."""
    body = "".join(
        f'<path d="{path[2:]}" fill="{color}" stroke="none"/>'
        if path.startswith("F:")
        else f'<path d="{path}" fill="none" stroke="{color}" stroke-width="1.7" stroke-linecap="round" '
        'stroke-linejoin="round"/>'
        for path in PATHS[name]
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">{body}</svg>'
    drawn = QPixmap(size, size)
    drawn.fill(Qt.GlobalColor.transparent)
    painter = QPainter(drawn)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    QSvgRenderer(QByteArray(svg.encode())).render(painter, QRectF(0, 0, size, size))
    painter.end()
    return drawn
