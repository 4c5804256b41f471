"""Undo and redo over immutable projects, bounded in bytes.

A step keeps the projects before and after one edit. They share all that the edit did not touch, so a step costs what
differs between them; past the budget the oldest steps are forgotten, never the newest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from app.project.commands import Command
from app.project.document import KeyFrame, Project

DEFAULT_BUDGET_BYTES = 256 * 2**20

# CPython's cost of one point: a tuple of three floats and its slot in the stroke's tuple.
POINT_BYTES = 64 + 3 * 24 + 8
STEP_BYTES = 600
KEY_SLOT_BYTES = 100


class Push(Enum):
    """What a push did to the list of steps."""

    NEW_STEP = "new step"
    MERGED = "merged"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Step:
    """One undoable edit."""

    command: Command
    label: str
    before: Project
    after: Project
    size_bytes: int


class History:
    """The current project, what led to it and what was undone."""

    def __init__(self, project: Project, budget_bytes: int = DEFAULT_BUDGET_BYTES) -> None:
        self._project = project
        self._saved: Project | None = project
        self._budget_bytes = budget_bytes
        self._done: list[Step] = []
        self._undone: list[Step] = []
        self._sealed = True
        self._size_bytes = 0
        self._listeners: list[Callable[[Project, Project], None]] = []

    @property
    def project(self) -> Project:
        """The document as it is now."""
        return self._project

    @property
    def size_bytes(self) -> int:
        """What all kept steps hold beyond the current project; never above the budget after a push."""
        return self._size_bytes

    @property
    def undo_label(self) -> str | None:
        """What undo would take back, or None."""
        return self._done[-1].label if self._done else None

    @property
    def redo_label(self) -> str | None:
        """What redo would do again, or None."""
        return self._undone[-1].label if self._undone else None

    @property
    def depth(self) -> int:
        """Steps that can be undone."""
        return len(self._done)

    @property
    def unsaved(self) -> bool:
        """Whether the project differs from what was last marked as saved."""
        return self._project is not self._saved and self._project != self._saved

    def listen(self, listener: Callable[[Project, Project], None]) -> None:
        """Calls `listener(before, after)` after every change of the project."""
        self._listeners.append(listener)

    def mark_saved(self, project: Project | None = None) -> None:
        """Remembers `project` (default: the current one) as the content of the file."""
        self._saved = self._project if project is None else project

    def mark_unsaved(self) -> None:
        """Nothing of this is in the file, as after a recovery."""
        self._saved = None

    def push(self, command: Command) -> Push:
        """Applies `command`; raises what its `apply` raises, and then nothing has changed."""
        before = self._project
        after = command.apply(before)
        if after == before:
            return Push.NOTHING
        self._forget_undone()
        last = self._done[-1] if self._done else None
        if last is not None and not self._sealed and command.continues(last.command):
            self._done.pop()
            self._size_bytes -= last.size_bytes
            self._keep(Step(command, last.label, last.before, after, difference_bytes(last.before, after)))
            outcome = Push.MERGED
        else:
            self._keep(Step(command, command.label, before, after, difference_bytes(before, after)))
            outcome = Push.NEW_STEP
        self._sealed = False
        self._become(after)
        return outcome

    def seal(self) -> None:
        """Ends merging: the next edit is a step of its own even if it would continue this one."""
        self._sealed = True

    def undo(self) -> bool:
        """Takes the last step back; False when there is none."""
        if not self._done:
            return False
        step = self._done.pop()
        self._undone.append(step)
        self._sealed = True
        self._become(step.before)
        return True

    def redo(self) -> bool:
        """Does the last undone step again; False when there is none."""
        if not self._undone:
            return False
        step = self._undone.pop()
        self._done.append(step)
        self._sealed = True
        self._become(step.after)
        return True

    def abandon(self) -> bool:
        """Takes the last step back as if it had never been, for a stroke stopped by Esc."""
        if not self.undo():
            return False
        self._size_bytes -= self._undone.pop().size_bytes
        return True

    def _become(self, project: Project) -> None:
        before, self._project = self._project, project
        for listener in self._listeners:
            listener(before, project)

    def _keep(self, step: Step) -> None:
        self._done.append(step)
        self._size_bytes += step.size_bytes
        while self._size_bytes > self._budget_bytes and len(self._done) > 1:
            self._size_bytes -= self._done.pop(0).size_bytes

    def _forget_undone(self) -> None:
        self._size_bytes -= sum(step.size_bytes for step in self._undone)
        self._undone.clear()


def difference_bytes(before: Project, after: Project) -> int:
    """Bytes held by one of two projects and not by both, as a step keeps both alive."""
    total = STEP_BYTES
    if before.keys is not after.keys:
        total += KEY_SLOT_BYTES * (len(before.keys) + len(after.keys))
        for frame in before.keys.keys() | after.keys.keys():
            if before.key(frame) is not after.key(frame):
                total += _key_difference_bytes(before.key(frame), after.key(frame))
    if before.swatches is not after.swatches:
        total += 200 * (len(before.swatches) + len(after.swatches))
    return total


def _key_difference_bytes(before: KeyFrame, after: KeyFrame) -> int:
    mine = {id(stroke): stroke for stroke in before.strokes}
    theirs = {id(stroke): stroke for stroke in after.strokes}
    strokes = sum(
        200 + POINT_BYTES * len(stroke.points)
        for number, stroke in (mine | theirs).items()
        if (number in mine) != (number in theirs)
    )
    pictures = 0
    if before.picture is not after.picture:
        pictures = sum(len(key.picture.png) for key in (before, after) if key.picture is not None)
    return strokes + pictures + 8 * (len(before.strokes) + len(after.strokes))
