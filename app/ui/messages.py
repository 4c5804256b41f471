"""Errors in words: what happened, to which file, what to do, and the details to copy for somebody who helps."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox, QPushButton, QWidget

from propagation.errors import PropagationError


def words_of(error: BaseException) -> tuple[str, str]:
    """What happened and what to do."""
    if isinstance(error, PropagationError):
        where = f"{error.path}: " if error.path is not None else ""
        return _sentence(f"{where}{error.what}"), _sentence(error.advice)
    if isinstance(error, MemoryError):
        return "There is not enough memory for this.", "Close other programs, or work on a smaller clip."
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return _sentence(f"{name}{error.strerror or error}"), "Check that the place exists and may be written."
    return (
        "Something went wrong that Huecast did not expect.",
        "Your work is still open: save it under another name. The details help to mend this.",
    )


def details_of(error: BaseException) -> str:
    """Everything somebody who helps would ask for."""
    trace = "".join(traceback.format_exception(error))
    return f"Huecast {_version()} · Python {platform.python_version()} · {platform.platform()}\n\n{trace}"


def show_error(parent: QWidget | None, title: str, error: BaseException) -> None:
    """Says an error in a box with `Copy details`."""
    what, advice = words_of(error)
    box = QMessageBox(QMessageBox.Icon.Warning, title, what, QMessageBox.StandardButton.Ok, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setInformativeText(advice)
    # With a second button Qt no longer knows by itself what Esc means.
    box.setEscapeButton(QMessageBox.StandardButton.Ok)
    box.setDefaultButton(QMessageBox.StandardButton.Ok)
    copy = QPushButton("Copy details")
    copy.setObjectName("copy_details")
    box.addButton(copy, QMessageBox.ButtonRole.ActionRole)
    # A button of a message box closes it; copying should not.
    copy.clicked.disconnect()
    copy.clicked.connect(lambda: _copy(details_of(error), copy))
    box.exec()
    box.deleteLater()


def tell(parent: QWidget | None, title: str, words: str) -> None:
    """Says something that needs no answer."""
    box = QMessageBox(QMessageBox.Icon.Information, title, words, QMessageBox.StandardButton.Ok, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.exec()
    box.deleteLater()


def ask(parent: QWidget | None, title: str, what: str, advice: str, yes: str, no: str = "Cancel") -> bool:
    """Asks a question whose safe answer is `no`."""
    box = QMessageBox(QMessageBox.Icon.Question, title, what, QMessageBox.StandardButton.NoButton, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setInformativeText(advice)
    agree = box.addButton(yes, QMessageBox.ButtonRole.AcceptRole)
    box.setDefaultButton(box.addButton(no, QMessageBox.ButtonRole.RejectRole))
    box.exec()
    agreed = box.clickedButton() is agree
    box.deleteLater()
    return agreed


def choose(parent: QWidget | None, title: str, what: str, advice: str, answers: Sequence[str]) -> int:
    """Asks a question and gives the place of the answer; the first is suggested, the last is what Esc stands for."""
    box = QMessageBox(QMessageBox.Icon.Question, title, what, QMessageBox.StandardButton.NoButton, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    box.setInformativeText(advice)
    roles = QMessageBox.ButtonRole
    middle = [roles.DestructiveRole] * (len(answers) - 2)
    pairs = zip(answers, (roles.AcceptRole, *middle, roles.RejectRole), strict=True)
    buttons = [box.addButton(words, role) for words, role in pairs]
    box.setDefaultButton(buttons[0])
    box.setEscapeButton(buttons[-1])
    box.exec()
    clicked = box.clickedButton()
    chosen = next((place for place, button in enumerate(buttons) if button is clicked), len(answers) - 1)
    box.deleteLater()
    return chosen


def _copy(details: str, button: QPushButton) -> None:
    QGuiApplication.clipboard().setText(details)
    button.setText("Copied")


def _sentence(text: str) -> str:
    text = text.strip()
    if not text:
        return ""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("huecast")
    except PackageNotFoundError:
        return "(unpacked)"
