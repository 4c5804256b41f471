"""The small panels beside the canvas: the brush's size and hardness, and how strongly each layer shows."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QVBoxLayout, QWidget

from app.ui.naming import named
from app.ui.picture_layers import Layers
from app.ui.tools import Brush, ToolBox

LARGEST_PX = 200
# Sliders of all panels begin at one line.
LABEL_PX = 62


class BrushPanel(QWidget):
    """Size, hardness and pressure of the brush in hand."""

    def __init__(self, tools: ToolBox, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tools = tools
        self.size_slider = _slider("brush_size", 1, 100, "<b>Size</b> ([ and ], or Shift + drag on the canvas)")
        self.hardness_slider = _slider("brush_hardness", 0, 100, "<b>Hardness</b> (Shift+[ and Shift+])<br>A soft edge "
                                "lets the networks decide more")
        self.pressure_box = QCheckBox("Pen pressure sets the size")
        self._size_words, self._hardness_words = named(QLabel(), "dim"), named(QLabel(), "dim")
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 2, 10, 2)
        grid.setVerticalSpacing(2)
        grid.addWidget(named(QLabel("Brush"), "heading"), 0, 0, 1, 3)
        for row, (words, slider, value) in enumerate(
            (("Size", self.size_slider, self._size_words), ("Hardness", self.hardness_slider, self._hardness_words)), 1
        ):
            grid.addWidget(QLabel(words), row, 0)
            grid.setColumnMinimumWidth(0, LABEL_PX)
            grid.addWidget(slider, row, 1)
            grid.addWidget(value, row, 2)
            value.setMinimumWidth(52)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.pressure_box, 3, 0, 1, 3)
        self.size_slider.valueChanged.connect(lambda value: tools.set(radius_px=size_of(value) / 2))
        self.hardness_slider.valueChanged.connect(lambda value: tools.set(hardness=value / 100))
        self.pressure_box.toggled.connect(lambda on: tools.set(pressure_sizes=on))
        tools.changed.connect(self._show)
        self._show(tools.brush)

    def _show(self, brush: Brush) -> None:
        places = {self.size_slider: place_of(brush.radius_px * 2), self.hardness_slider: round(brush.hardness * 100)}
        for slider, value in places.items():
            slider.blockSignals(True)
            slider.setValue(value)
            slider.blockSignals(False)
        self.pressure_box.setChecked(brush.pressure_sizes)
        self._size_words.setText(f"{brush.radius_px * 2:.0f} px")
        self._hardness_words.setText(f"{brush.hardness * 100:.0f} %")


class LayerPanel(QWidget):
    """Opacity of the strokes, the color and the clip as it came."""

    changed = Signal(object)
    """Layers."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.sliders: dict[str, QSlider] = {}
        self._words: dict[str, QLabel] = {}
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 2, 10, 2)
        grid.setVerticalSpacing(2)
        grid.addWidget(named(QLabel("Layers"), "heading"), 0, 0, 1, 3)
        rows = (
            ("hints", "Strokes", "What you painted (V hides it)"),
            ("color", "Color", "The filled or carried color"),
            ("source", "Clip", "The frame as it came"),
        )
        for row, (name, words, tip) in enumerate(rows, 1):
            slider = _slider(f"layer_{name}", 0, 100, f"<b>{words}</b><br>{tip}")
            slider.setValue(70 if name == "hints" else 100)
            slider.valueChanged.connect(self._changed)
            self.sliders[name], self._words[name] = slider, named(QLabel(), "dim")
            self._words[name].setMinimumWidth(52)
            self._words[name].setAlignment(Qt.AlignmentFlag.AlignRight)
            grid.addWidget(QLabel(words), row, 0)
            grid.setColumnMinimumWidth(0, LABEL_PX)
            grid.addWidget(slider, row, 1)
            grid.addWidget(self._words[name], row, 2)
        self._changed()

    @property
    def layers(self) -> Layers:
        """What the sliders say."""
        return Layers(**{name: slider.value() / 100 for name, slider in self.sliders.items()})

    def _changed(self) -> None:
        for name, slider in self.sliders.items():
            self._words[name].setText(f"{slider.value()} %")
        self.changed.emit(self.layers)


class SidePanel(QWidget):
    """Panels in a column."""

    def __init__(self, *panels: QWidget) -> None:
        super().__init__()
        self.setObjectName("panel")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(2)
        for panel in panels:
            layout.addWidget(panel)
        layout.addStretch(1)


def size_of(place: int) -> float:
    """Diameter in source pixels at a place 1..100 of the slider, finer for small brushes."""
    return round(1 + (LARGEST_PX - 1) * ((place - 1) / 99) ** 2.2, 1)


def place_of(diameter: float) -> int:
    """Place of a diameter on the slider."""
    return round(1 + 99 * (max(diameter - 1, 0) / (LARGEST_PX - 1)) ** (1 / 2.2))


def _slider(name: str, low: int, high: int, tip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setObjectName(name)
    slider.setRange(low, high)
    slider.setToolTip(tip)
    slider.setMinimumWidth(90)
    return slider
