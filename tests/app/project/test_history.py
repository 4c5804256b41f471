"""Undo is exact, bounded in bytes, and merges a brush stroke into one step."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from app.errors import EditError
from app.project.commands import AddStroke, AddSwatch, ExtendStroke, SetMarks, SetPicture
from app.project.document import Swatch
from app.project.history import History, Push
from app.project.store import encode
from tests.app.project.projects import some_command, some_picture, some_project


def paint(frame: int, x: float = 3.0) -> AddStroke:
    return AddStroke(frame, "paint", (200, 30, 40), 4.0, 1.0, ((x, 4.0, 1.0),))


@pytest.mark.parametrize("block", range(20))
def test_random_command_sequences_undo_to_the_exact_start(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        rng = random.Random(seed)
        history = History(some_project())
        start, folder = encode(history.project, Path("/projects")), Path("/projects")
        for _ in range(rng.randrange(1, 30)):
            try:
                history.push(some_command(rng, history.project))
            except EditError:
                continue
            if rng.random() < 0.2:
                history.undo()
            if rng.random() < 0.1:
                history.redo()
            if rng.random() < 0.3:
                history.seal()
        while history.redo():
            pass
        end, steps = encode(history.project, folder), history.depth
        while history.undo():
            pass
        assert encode(history.project, folder) == start, f"seed {seed}"
        assert not history.unsaved
        assert sum(history.redo() for _ in range(steps)) == steps
        assert encode(history.project, folder) == end, f"seed {seed}"


def test_a_stroke_is_one_step_with_all_its_points() -> None:
    history = History(some_project())
    assert history.push(paint(3)) is Push.NEW_STEP
    assert history.push(ExtendStroke(3, ((5.0, 5.0, 1.0),))) is Push.MERGED
    assert history.push(ExtendStroke(3, ((6.0, 5.0, 1.0),))) is Push.MERGED
    assert history.depth == 1
    assert history.undo_label == "Paint on frame 3"
    assert len(history.project.key(3).strokes[0].points) == 3
    history.undo()
    assert history.project.keys == {}


def test_sealing_keeps_the_next_edit_apart() -> None:
    history = History(some_project())
    history.push(SetMarks(1, 5, drag=7))
    history.push(SetMarks(2, 5, drag=7))
    history.seal()
    history.push(SetMarks(3, 5, drag=7))
    assert history.depth == 2
    history.undo()
    assert history.project.range == range(2, 6)


def test_undo_memory_stays_within_its_budget_and_forgets_the_oldest() -> None:
    picture = some_picture(1)
    budget = 10 * len(picture.png)
    history = History(some_project(), budget_bytes=budget)
    for seed in range(40):
        history.push(SetPicture(seed % 12, some_picture(seed)))
        assert history.size_bytes <= budget
    assert 2 <= history.depth < 40
    while history.undo():
        pass
    assert history.unsaved, "what was forgotten cannot be undone, so the start is not reached"


def test_one_step_over_the_budget_can_still_be_undone() -> None:
    history = History(some_project(), budget_bytes=10)
    history.push(paint(1))
    assert history.undo()


def test_an_edit_after_undo_forgets_what_was_undone() -> None:
    history = History(some_project())
    history.push(paint(1))
    history.push(paint(2))
    history.undo()
    history.push(paint(4))
    assert history.redo_label is None
    assert history.project.key_numbers() == [1, 4]
    full = history.size_bytes
    history.undo()
    assert history.size_bytes == full, "an undone step still holds its memory"
    history.push(paint(5))
    assert history.size_bytes == full


def test_a_stopped_stroke_leaves_no_trace() -> None:
    history = History(some_project())
    history.push(paint(1))
    before = history.size_bytes
    history.push(paint(2))
    history.push(ExtendStroke(2, ((9.0, 9.0, 1.0),)))
    assert history.abandon()
    assert history.project.key_numbers() == [1]
    assert history.redo_label is None
    assert history.size_bytes == before


def test_an_edit_that_changes_nothing_is_no_step() -> None:
    history = History(some_project())
    assert history.push(SetMarks(None, None)) is Push.NOTHING
    assert history.undo_label is None


def test_a_refused_edit_changes_nothing() -> None:
    history = History(some_project())
    history.push(paint(1))
    before = history.project
    with pytest.raises(EditError, match="outside the clip of 12 frames"):
        history.push(paint(12))
    assert history.project is before
    assert history.depth == 1


def test_unsaved_follows_undo_and_redo() -> None:
    history = History(some_project())
    history.push(AddSwatch(Swatch("tie", (1, 2, 3))))
    assert history.unsaved
    history.mark_saved()
    assert not history.unsaved
    history.undo()
    assert history.unsaved
    history.redo()
    assert not history.unsaved
