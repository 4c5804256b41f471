"""Each command does what its name says, and refuses what does not fit in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.errors import EditError
from app.project.commands import (
    AddStroke,
    AddSwatch,
    ChangeSwatch,
    ClearStrokes,
    Command,
    ExtendStroke,
    RecolorStroke,
    RemoveKey,
    SetMarks,
    SetPicture,
    SetSettings,
    SetSource,
)
from app.project.document import MAX_RECENT, Project, Settings, Swatch
from tests.app.project.projects import some_picture, some_project, some_source


def stroke(frame: int = 2, color: tuple[int, int, int] = (10, 20, 30), tool: str = "paint") -> AddStroke:
    return AddStroke(frame, tool, color, 3.0, 1.0, ((1.234567, 2.0, 1.0),))


def after(project: Project, *commands: Command) -> Project:
    for command in commands:
        project = command.apply(project)
    return project


def test_a_stroke_makes_its_frame_a_key_and_its_color_recent() -> None:
    project = after(some_project(), stroke(2), stroke(5, (1, 1, 1)), stroke(2, (10, 20, 30)))
    assert project.key_numbers() == [2, 5]
    assert [s.id for s in project.key(2).strokes] == [1, 3]
    assert project.recent == ((10, 20, 30), (1, 1, 1))


def test_painting_a_frame_that_has_carried_color_keeps_it_under_the_stroke() -> None:
    project = after(some_project(), replace(stroke(), under=some_picture(1)), replace(stroke(), under=some_picture(2)))
    assert project.key(2).picture == some_picture(1)
    assert len(project.key(2).strokes) == 2


def test_points_are_kept_to_a_hundredth_of_a_pixel() -> None:
    assert after(some_project(), stroke()).key(2).strokes[0].points == ((1.23, 2.0, 1.0),)


def test_erasing_does_not_touch_the_recent_colors() -> None:
    assert after(some_project(), stroke(tool="erase")).recent == ()


def test_recent_colors_are_bounded() -> None:
    project = after(some_project(), *(stroke(1, (i, 0, 0)) for i in range(30)))
    assert len(project.recent) == MAX_RECENT
    assert project.recent[0] == (29, 0, 0)


def test_clearing_strokes_keeps_the_picture() -> None:
    project = after(some_project(), SetPicture(2, some_picture(1)), stroke(2), ClearStrokes(2))
    assert project.key(2).picture == some_picture(1)
    assert project.key(2).strokes == ()


def test_removing_a_key_takes_strokes_and_picture() -> None:
    assert after(some_project(), SetPicture(2, some_picture(1)), stroke(2), RemoveKey(2)).keys == {}


def test_recoloring_changes_one_stroke() -> None:
    project = after(some_project(), stroke(), stroke(), RecolorStroke(2, 2, (9, 9, 9)))
    assert [s.color for s in project.key(2).strokes] == [(10, 20, 30), (9, 9, 9)]


def test_the_digest_of_a_key_tells_what_changes_its_color() -> None:
    first = after(some_project(), stroke()).key(2)
    again = after(some_project(), stroke(5), stroke(2)).key(2)
    other = after(some_project(), stroke(), RecolorStroke(2, 1, (9, 9, 9))).key(2)
    assert first.digest == again.digest, "the number of a stroke has no color"
    assert first.digest != other.digest


def test_swatches_can_be_added_renamed_and_removed() -> None:
    project = replace(some_project(), swatches=())
    project = after(project, AddSwatch(Swatch("  the \n tie ", (1, 2, 3))), AddSwatch(Swatch("", (3, 3, 3))))
    assert project.swatches == (Swatch("the tie", (1, 2, 3)), Swatch("Unnamed", (3, 3, 3)))
    project = after(project, ChangeSwatch(0, Swatch("tie", (1, 2, 4))), ChangeSwatch(1, None))
    assert project.swatches == (Swatch("tie", (1, 2, 4)),)


def test_relinking_drops_marks_beyond_a_shorter_clip() -> None:
    project = after(some_project(), SetMarks(1, 11), SetSource(replace(some_source("/b.mp4"), frame_count=8)))
    assert (project.mark_in, project.mark_out) == (1, None)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (stroke(-1), "outside the clip"),
        (stroke(12), "outside the clip"),
        (stroke(tool="spray"), "no tool"),
        (stroke(color=(1, 2, 300)), "not a color"),
        (replace(stroke(), radius_px=float("nan")), "not a number"),
        (replace(stroke(), points=()), "at least one point"),
        (replace(stroke(), points=((float("inf"), 0.0, 1.0),)), "not a number"),
        (replace(stroke(), under=some_picture(1, 31)), "31x24, the clip is 32x24"),
        (ExtendStroke(3, ((0.0, 0.0, 1.0),)), "no stroke to extend"),
        (RecolorStroke(3, 1, (1, 1, 1)), "no stroke 1"),
        (SetPicture(1, some_picture(1, 31)), "31x24, the clip is 32x24"),
        (SetMarks(5, 2), "lies after"),
        (SetMarks(0, 12), "outside the clip"),
        (ChangeSwatch(99, None), "no swatch 99"),
        (SetSettings(Settings(direction="sideways")), "no direction"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(command: Command, words: str) -> None:
    with pytest.raises(EditError, match=words):
        command.apply(some_project())


@pytest.mark.parametrize(
    ("source", "words"),
    [(replace(some_source(), frame_count=2), "frame 2 is a key frame"), (replace(some_source(), width=30), "30x24")],
)
def test_relinking_to_a_clip_that_does_not_fit_is_refused(source: object, words: str) -> None:
    with pytest.raises(EditError, match=words):
        SetSource(source).apply(after(some_project(), stroke()))  # type: ignore[arg-type]
