"""Qt's undo stack as a thin face of the project's history: it holds no data, only calls undo and redo over there."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from app.project.commands import Command
from app.project.document import Project
from app.project.history import History, Push


class _Step(QUndoCommand):
    """Stands for one step of the history."""

    def __init__(self, history: History) -> None:
        super().__init__(history.undo_label or "")
        self._history = history
        self._is_new = True

    def undo(self) -> None:
        # An obsolete step was taken back by the history already.
        if not self.isObsolete():
            self._history.undo()

    def redo(self) -> None:
        # QUndoStack calls redo on push, when the history has already done the edit.
        if self._is_new:
            self._is_new = False
            return
        self._history.redo()


class UndoAdapter(QObject):
    """Undo for Qt over a History.

    The history forgets its oldest steps past a budget in bytes, which QUndoStack cannot; so whether undo is possible is
    asked of the history, and the stack's steps below that are never reached.
    """

    changed = Signal(object, object)
    """The project before and after any change."""
    steps_changed = Signal()

    def __init__(self, history: History, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.stack = QUndoStack(self)
        self.history = history
        self._newest: _Step | None = None
        history.listen(self._told)

    def push(self, command: Command) -> Push:
        """Does `command`; raises EditError when it does not fit."""
        outcome = self.history.push(command)
        if outcome is Push.NEW_STEP:
            self._newest = _Step(self.history)
            self.stack.push(self._newest)
        self.steps_changed.emit()
        return outcome

    def undo(self) -> None:
        """Takes the last step back."""
        if self.can_undo:
            self.stack.undo()
            self.steps_changed.emit()

    def redo(self) -> None:
        """Does the last undone step again."""
        if self.can_redo:
            self.stack.redo()
            self.steps_changed.emit()

    def abandon(self) -> None:
        """Takes back the step pushed last as if it had never been; nothing may have been undone since."""
        if self.history.abandon():
            if self._newest is not None:
                # Qt deletes an obsolete command from its stack when it is undone.
                self._newest.setObsolete(True)
                self._newest = None
                self.stack.undo()
            self.steps_changed.emit()

    @property
    def can_undo(self) -> bool:
        """Whether a step can be taken back."""
        return self.history.undo_label is not None

    @property
    def can_redo(self) -> bool:
        """Whether an undone step can be done again."""
        return self.history.redo_label is not None

    def _told(self, before: Project, after: Project) -> None:
        self.changed.emit(before, after)
