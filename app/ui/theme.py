"""Colors of the window, light and dark by the system, neutral greys so that they do not tint the eye."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication


@dataclass(frozen=True)
class Theme:
    """Every color the window paints with; greys without hue, as a tinted surround changes how color is seen."""

    is_dark: bool
    window: str
    panel: str
    field: str
    border: str
    text: str
    dim: str
    accent: str
    accent_text: str
    canvas: str
    fresh: str
    stale: str
    key: str
    playhead: str
    mark: str

    def color(self, name: str, alpha: int = 255) -> QColor:
        """A QColor of the field `name`."""
        color = QColor(getattr(self, name))
        color.setAlpha(alpha)
        return color


DARK = Theme(
    True,
    window="#2b2b2b",
    panel="#323232",
    field="#242424",
    border="#1c1c1c",
    text="#dcdcdc",
    dim="#9a9a9a",
    accent="#3776b8",
    accent_text="#ffffff",
    canvas="#1e1e1e",
    fresh="#4f9d69",
    stale="#c08a3e",
    key="#f0c75e",
    playhead="#f2f2f2",
    mark="#6fa8dc",
)
LIGHT = Theme(
    False,
    window="#ececec",
    panel="#f5f5f5",
    field="#ffffff",
    border="#c4c4c4",
    text="#1f1f1f",
    dim="#606060",
    accent="#2f73b8",
    accent_text="#ffffff",
    canvas="#b9b9b9",
    fresh="#3f8f5b",
    stale="#b97a1f",
    key="#a36f00",
    playhead="#111111",
    mark="#2f73b8",
)

CHOICES = {"system": Qt.ColorScheme.Unknown, "dark": Qt.ColorScheme.Dark, "light": Qt.ColorScheme.Light}


_chosen = "system"


def current() -> Theme:
    """The theme that the user's choice, or else the system, asks for; dark where nobody says."""
    if _chosen != "system":
        # Not every platform lets a program change the hint below, so the choice itself is asked first.
        return LIGHT if _chosen == "light" else DARK
    return LIGHT if QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Light else DARK


def choose(name: str) -> None:
    """Follows the system (`system`) or stays `dark` or `light`."""
    global _chosen
    _chosen = name if name in CHOICES else "system"
    QGuiApplication.styleHints().setColorScheme(CHOICES.get(name, Qt.ColorScheme.Unknown))
    apply(current())


def apply(theme: Theme) -> None:
    """Gives the whole application the theme's palette and style."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        return
    if app.style().objectName() != "fusion":
        app.setStyle("Fusion")
    app.setPalette(_palette(theme))
    app.setStyleSheet(_sheet(theme))


def _palette(theme: Theme) -> QPalette:
    palette = QPalette()
    roles = QPalette.ColorRole
    for role, name in {
        roles.Window: "window",
        roles.WindowText: "text",
        roles.Base: "field",
        roles.AlternateBase: "panel",
        roles.Text: "text",
        roles.Button: "panel",
        roles.ButtonText: "text",
        roles.ToolTipBase: "panel",
        roles.ToolTipText: "text",
        roles.PlaceholderText: "dim",
        roles.Highlight: "accent",
        roles.HighlightedText: "accent_text",
        roles.Link: "accent",
        roles.Light: "panel",
        roles.Mid: "border",
        roles.Dark: "border",
        roles.Shadow: "border",
    }.items():
        palette.setColor(role, theme.color(name))
    for role in (roles.WindowText, roles.Text, roles.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, theme.color("dim", 130))
    return palette


def _sheet(t: Theme) -> str:
    hover = "#3d3d3d" if t.is_dark else "#e2e2e2"
    pressed = "#484848" if t.is_dark else "#d4d4d4"
    accent_hover = QColor(t.accent).lighter(112).name()
    return f"""
    QToolTip {{ background: {t.panel}; color: {t.text}; border: 1px solid {t.border}; padding: 4px; }}
    QToolBar {{ background: {t.window}; border: 0; spacing: 2px; padding: 3px; }}
    QToolBar::separator {{ background: {t.border}; width: 1px; height: 1px; margin: 5px; }}
    QToolButton {{ border: 0; border-radius: 4px; padding: 5px; }}
    QToolButton:hover {{ background: {hover}; }}
    QToolButton:pressed {{ background: {pressed}; }}
    QToolButton#propagate_button {{ background: {t.accent}; color: {t.accent_text}; padding: 5px 4px 5px 8px; }}
    QToolButton#propagate_button:hover {{ background: {accent_hover}; }}
    QToolButton#propagate_button:disabled {{ background: transparent; color: {t.dim}; }}
    QToolButton:checked {{ background: {t.accent}; color: {t.accent_text}; }}
    QMenuBar {{ background: {t.window}; }}
    QStatusBar {{ background: {t.window}; color: {t.dim}; }}
    QStatusBar::item {{ border: 0; }}
    QWidget#panel {{ background: {t.panel}; }}
    QLabel#heading {{ color: {t.dim}; font-weight: 600; padding-top: 4px; qproperty-indent: 0; }}
    QLabel#dim {{ color: {t.dim}; }}
    QPushButton {{ background: {t.panel}; border: 1px solid {t.border}; border-radius: 4px; padding: 5px 12px; }}
    QPushButton:hover {{ background: {hover}; }}
    QPushButton:pressed {{ background: {pressed}; }}
    QPushButton:disabled {{ color: {t.dim}; }}
    QPushButton:default {{ background: {t.accent}; color: {t.accent_text}; border-color: {t.accent}; }}
    QLineEdit, QSpinBox, QComboBox {{ background: {t.field}; border: 1px solid {t.border}; border-radius: 3px;
        padding: 3px 5px; selection-background-color: {t.accent}; }}
    QLineEdit:focus, QSpinBox:focus {{ border-color: {t.accent}; }}
    QRadioButton::indicator {{ width: 12px; height: 12px; border: 1px solid {t.dim}; border-radius: 7px;
        background: {t.field}; }}
    QRadioButton::indicator:checked {{ border-color: {t.accent}; background: qradialgradient(cx: 0.5, cy: 0.5,
        radius: 0.5, fx: 0.5, fy: 0.5, stop: 0 {t.accent}, stop: 0.6 {t.accent}, stop: 0.7 {t.field}); }}
    QRadioButton::indicator:disabled {{ border-color: {t.border}; }}
    QProgressBar {{ background: {t.field}; border: 0; border-radius: 3px; text-align: center; }}
    QProgressBar::chunk {{ background: {t.accent}; border-radius: 3px; }}
    QSlider::groove:horizontal {{ background: {t.border}; height: 4px; border-radius: 2px; }}
    QSlider::sub-page:horizontal {{ background: {t.accent}; border-radius: 2px; }}
    QSlider::handle:horizontal {{ background: {t.text}; width: 12px; margin: -4px 0; border-radius: 6px; }}
    """
