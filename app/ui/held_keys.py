"""Keys that mean something while they are held: Space to pan, K with J or L to step, backslash to see the original.

A tap on Space plays; Space held longer, or with a drag, pans. So Space acts when it is let go.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QPlainTextEdit, QSpinBox, QTextEdit

if TYPE_CHECKING:
    from app.ui.window import MainWindow

TAP_S = 0.2
TYPING = (QLineEdit, QTextEdit, QPlainTextEdit, QSpinBox, QComboBox)


class HeldKeys(QObject):
    """An event filter of the application, for keys meant for one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._space_since: float | None = None
        self._panned = False
        self._k_held = False
        self._before_held = False
        window.canvas.panned.connect(self._note_pan)
        app = QApplication.instance()
        if app is not None:
            app.installEventFilter(self)

    def remove(self) -> None:
        """Stops listening."""
        app = QApplication.instance()
        if app is not None:
            app.removeEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802  (Qt's name)
        kinds = QEvent.Type
        if event.type() not in (kinds.KeyPress, kinds.KeyRelease, kinds.ShortcutOverride, kinds.WindowDeactivate):
            return False
        if event.type() == kinds.WindowDeactivate:
            self._let_go()
            return False
        if not isinstance(event, QKeyEvent) or not self._is_ours(event):
            return False
        if event.type() == kinds.ShortcutOverride:
            # Accepting makes Qt deliver the key itself instead of the action's shortcut.
            if self._wants(event):
                event.accept()
                return True
            return False
        if event.isAutoRepeat():
            return self._wants(event)
        return self._press(event) if event.type() == kinds.KeyPress else self._release(event)

    def _is_ours(self, event: QKeyEvent) -> bool:
        """Whether the key goes to our window, and nobody is typing."""
        focus = QApplication.focusWidget()
        if QApplication.activeModalWidget() is not None or QApplication.activePopupWidget() is not None:
            return False
        if focus is not None and (focus.window() is not self._window or isinstance(focus, TYPING)):
            return False
        plain = event.modifiers() in (Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.KeypadModifier)
        return plain or event.type() == QEvent.Type.KeyRelease

    def _wants(self, event: QKeyEvent) -> bool:
        key = event.key()
        steps = self._k_held and key in (Qt.Key.Key_J, Qt.Key.Key_L)
        is_digit = Qt.Key.Key_1 <= key <= Qt.Key.Key_9
        return key in (Qt.Key.Key_Space, Qt.Key.Key_K, Qt.Key.Key_Backslash) or steps or is_digit

    def _press(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Space:
            if isinstance(QApplication.focusWidget(), QAbstractButton):
                self._window.canvas.setFocus()
            self._space_since, self._panned = _seconds(event), False
            self._window.canvas.hold_pan(True)
            return True
        if key == Qt.Key.Key_K:
            self._k_held = True
            self._window.playback.stop()
            return True
        if key == Qt.Key.Key_Backslash:
            self._before_held = True
            self._window.canvas.set_before(True)
            return True
        if self._k_held and key in (Qt.Key.Key_J, Qt.Key.Key_L):
            self._window.playback.step(-1 if key == Qt.Key.Key_J else 1)
            return True
        if Qt.Key.Key_1 <= key <= Qt.Key.Key_9:
            self._window.color_panel.choose_swatch(key - Qt.Key.Key_1)
            return True
        return False

    def _release(self, event: QKeyEvent) -> bool:
        key = event.key()
        if key == Qt.Key.Key_Space and self._space_since is not None:
            tapped = _seconds(event) - self._space_since < TAP_S and not self._panned
            self._space_since = None
            self._window.canvas.hold_pan(False)
            if tapped:
                self._window.playback.toggle()
            return True
        if key == Qt.Key.Key_K:
            self._k_held = False
        elif key == Qt.Key.Key_Backslash and self._before_held:
            self._before_held = False
            self._window.canvas.set_before(self._window.action("before_after").isChecked())
        return False

    def _note_pan(self) -> None:
        self._panned = True

    def _let_go(self) -> None:
        """The window loses the keyboard: nothing is held any more."""
        if self._space_since is not None:
            self._space_since = None
            self._window.canvas.hold_pan(False)
        if self._before_held:
            self._before_held = False
            self._window.canvas.set_before(self._window.action("before_after").isChecked())
        self._k_held = False


def _seconds(event: QKeyEvent) -> float:
    """When the key moved, by the system's clock where it tells: a busy moment in between makes no tap longer."""
    return event.timestamp() / 1000 if event.timestamp() else time.monotonic()
