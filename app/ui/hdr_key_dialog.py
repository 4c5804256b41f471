"""The registration preview: an HDR key beside its frame, looked at before it is taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QIcon, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui import pixels
from app.ui.naming import named

if TYPE_CHECKING:
    from app.hdr_preview import KeyLook

SIDE_BY_SIDE, OVERLAID, DIFFERENCE = "Frame and key side by side", "Laid over each other", "Difference, four times"
_EXPLAINED = {
    SIDE_BY_SIDE: "Left the frame; right the key as the clip's camera would show it. They should look alike.",
    OVERLAID: "The frame in red, the key in cyan: grey where they lie on each other, colored rims where they are "
    "shifted.",
    DIFFERENCE: "Mid-grey where both agree. Outlines tell of a shift, faces and skies of another exposure or grade.",
}


class HdrKeyDialog(QDialog):
    """Shows a `KeyLook`; accepted when the key is to be used."""

    def __init__(self, look: KeyLook, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.setWindowTitle(f"HDR key for frame {look.index}")
        self.picture = named(_Picture(), "key_picture")
        self.choice = named(QComboBox(), "key_choice")
        self.choice.addItems(list(_EXPLAINED))
        self.explained = named(QLabel(wordWrap=True), "dim")
        found = " ".join([look.words, *look.notes])
        self.found = named(QLabel(found, wordWrap=True, textFormat=Qt.TextFormat.PlainText), "key_found")
        self.camera = QLabel(_camera_words(look), wordWrap=True, textFormat=Qt.TextFormat.PlainText)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.use = named(buttons.addButton("Use this key", QDialogButtonBox.ButtonRole.AcceptRole), "use_key")
        for button in buttons.buttons():
            button.setIcon(QIcon())  # some styles bring icons of their own, which no other dialog here has
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        top = QHBoxLayout()
        top.addWidget(QLabel("Show"))
        top.addWidget(self.choice)
        top.addWidget(self.explained, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(top)
        layout.addWidget(self.picture, 1)
        for words in (self.found, self.camera):
            layout.addWidget(words)
        layout.addWidget(buttons)
        self.choice.currentTextChanged.connect(self._show)
        self._show(self.choice.currentText())
        self.resize(900, 560)

    def _show(self, choice: str) -> None:
        look = self.look
        shown = {
            SIDE_BY_SIDE: lambda: np.hstack([look.frame, look.shown]),
            OVERLAID: lambda: look.overlaid,
            DIFFERENCE: lambda: look.difference,
        }[choice]()
        self.picture.set_picture(shown)
        self.explained.setText(_EXPLAINED[choice])


class _Picture(QWidget):
    """A picture as large as there is room."""

    def __init__(self) -> None:
        super().__init__()
        self._image = QImage()

    def set_picture(self, array: NDArray[np.uint8]) -> None:
        """(H, W, 3) uint8."""
        self._image = pixels.rgb_image(array)
        self.update()

    def sizeHint(self) -> QSize:  # noqa: N802  (Qt's name)
        return QSize(860, 380)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        size = self._image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRectF((self.width() - size.width()) / 2, (self.height() - size.height()) / 2,
                       size.width(), size.height())
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(place, self._image)
        painter.end()


def _camera_words(look: KeyLook) -> str:
    """What the key tells of the clip's camera."""
    red, blue = look.response.balance_stops
    clipped = look.response.clipped_from
    white = f", white from code value {min(clipped)} of 255" if min(clipped) < 250 else ""
    return (
        f"The camera: light changes by a power of {look.response.contrast:.1f} of the signal in the mid-tones, red "
        f"{red:+.2f} and blue {blue:+.2f} stops against green{white}."
    )
