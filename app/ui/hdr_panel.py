"""The HDR panel beside the canvas: the exposure of the view and the zebra."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QWidget

from app.ui.naming import named

STEPS_A_STOP = 4
DARKEST_STOPS, BRIGHTEST_STOPS = -12, 8


class HdrPanel(QWidget):
    """Looks alone change here: nothing of it is written."""

    stops_changed = Signal(float)
    zebra_changed = Signal(bool)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.exposure = QSlider(Qt.Orientation.Horizontal)
        self.exposure.setObjectName("exposure")
        self.exposure.setRange(DARKEST_STOPS * STEPS_A_STOP, BRIGHTEST_STOPS * STEPS_A_STOP)
        self.exposure.setPageStep(STEPS_A_STOP)
        self.exposure.setToolTip("<b>Exposure of the view</b><br>Darker shows what lies above white. "
                                 "The files are not changed.")
        self.exposure.setMinimumWidth(90)
        self.words = named(QLabel(), "dim")
        self.words.setMinimumWidth(64)
        self.words.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.zebra = named(QCheckBox("Zebra over what is clipped"), "zebra_box")
        grid = QGridLayout(self)
        grid.setContentsMargins(10, 2, 10, 2)
        grid.setVerticalSpacing(2)
        grid.addWidget(named(QLabel("HDR"), "heading"), 0, 0, 1, 3)
        grid.addWidget(QLabel("Exposure"), 1, 0)
        grid.addWidget(self.exposure, 1, 1)
        grid.addWidget(self.words, 1, 2)
        grid.addWidget(self.zebra, 2, 0, 1, 3)
        self.exposure.valueChanged.connect(self._moved)
        self.zebra.toggled.connect(self.zebra_changed)
        self.show_state(0.0, zebra=False, has_light=False)

    def show_state(self, stops: float, *, zebra: bool, has_light: bool) -> None:
        """Takes what is so from elsewhere; the exposure can be moved only where light is known."""
        for blocked in (QSignalBlocker(self.exposure), QSignalBlocker(self.zebra)):
            with blocked:
                self.exposure.setValue(round(stops * STEPS_A_STOP))
                self.zebra.setChecked(zebra)
        self.exposure.setEnabled(has_light)
        self.words.setText(f"{stops:+.2f} stops")

    def _moved(self, place: int) -> None:
        stops = place / STEPS_A_STOP
        self.words.setText(f"{stops:+.2f} stops")
        self.stops_changed.emit(stops)
