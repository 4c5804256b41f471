"""Every edit as a command: a small frozen value whose `apply` maps one project to the next.

A command raises EditError when it does not fit, and then nothing has changed. Commands know nothing of undo; history.py
keeps the projects before and after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Protocol

from app.errors import EditError
from app.project.document import (
    DIRECTIONS,
    MAX_POINTS,
    MAX_RADIUS_PX,
    MAX_RECENT,
    MAX_STROKES,
    MAX_SWATCHES,
    MIN_RADIUS_PX,
    TOOLS,
    KeyFrame,
    Picture,
    Point,
    Project,
    Rgb,
    Settings,
    Source,
    Stroke,
    Swatch,
)


class Command(Protocol):
    """What history.py asks of an edit."""

    @property
    def label(self) -> str:
        """Words for the Edit menu, such as `Paint on frame 12`."""
        ...

    def apply(self, project: Project) -> Project:
        """The project after the edit; raises EditError when it does not fit."""
        ...

    def continues(self, earlier: Command) -> bool:
        """Whether this edit and `earlier`, the one just before it, are one step for undo."""
        ...


class _Single:
    """A command that is always a step of its own."""

    def continues(self, earlier: Command) -> bool:
        return False


@dataclass(frozen=True)
class AddStroke(_Single):
    """Puts a new stroke on a frame, which becomes a key frame.

    `under` is a picture to correct, such as the color that was carried to the frame; it is taken only where the frame
    is no key yet.
    """

    frame: int
    tool: str
    color: Rgb
    radius_px: float
    hardness: float
    points: tuple[Point, ...]
    under: Picture | None = None

    @property
    def label(self) -> str:
        verb = {"paint": "Paint", "erase": "Erase", "protect": "Protect"}.get(self.tool, self.tool)
        return f"{verb} on frame {self.frame}"

    def apply(self, project: Project) -> Project:
        check_frame(project, self.frame)
        check_tool(self.tool)
        key = project.key(self.frame)
        if len(key.strokes) >= MAX_STROKES:
            raise EditError(f"Frame {self.frame} already has {MAX_STROKES} strokes", advice="Clear some of them first")
        stroke = Stroke(
            project.next_stroke_id,
            self.tool,
            check_rgb(self.color),
            check_radius(self.radius_px),
            min(max(float(self.hardness), 0.0), 1.0),
            check_points(self.points),
        )
        recent = recent_with(project.recent, stroke.color) if self.tool == "paint" else project.recent
        picture = check_picture(project, self.under) if key.is_empty else key.picture
        painted = project.with_key(self.frame, KeyFrame((*key.strokes, stroke), picture))
        return replace(painted, recent=recent, next_stroke_id=project.next_stroke_id + 1)


@dataclass(frozen=True)
class ExtendStroke:
    """Adds points to the newest stroke of a frame while the brush is down; one undo step with the stroke's start."""

    frame: int
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        return f"Stroke on frame {self.frame}"

    def apply(self, project: Project) -> Project:
        key = project.key(self.frame)
        if not key.strokes:
            raise EditError(f"Frame {self.frame} has no stroke to extend")
        last = key.strokes[-1]
        points = last.points + check_points(self.points)
        if len(points) > MAX_POINTS:
            raise EditError(f"A stroke has at most {MAX_POINTS} points", advice="Lift the brush and start another")
        return project.with_key(self.frame, replace(key, strokes=(*key.strokes[:-1], replace(last, points=points))))

    def continues(self, earlier: Command) -> bool:
        return isinstance(earlier, AddStroke | ExtendStroke) and earlier.frame == self.frame


@dataclass(frozen=True)
class ClearStrokes(_Single):
    """Takes every stroke off a frame; a picture under them stays."""

    frame: int

    @property
    def label(self) -> str:
        return f"Clear the strokes of frame {self.frame}"

    def apply(self, project: Project) -> Project:
        check_frame(project, self.frame)
        return project.with_key(self.frame, replace(project.key(self.frame), strokes=()))


@dataclass(frozen=True)
class RecolorStroke(_Single):
    """Gives one stroke another color."""

    frame: int
    stroke_id: int
    color: Rgb

    @property
    def label(self) -> str:
        return f"Recolor a stroke on frame {self.frame}"

    def apply(self, project: Project) -> Project:
        key, color = project.key(self.frame), check_rgb(self.color)
        if not any(stroke.id == self.stroke_id for stroke in key.strokes):
            raise EditError(f"Frame {self.frame} has no stroke {self.stroke_id}")
        strokes = tuple(
            replace(stroke, color=color) if stroke.id == self.stroke_id else stroke for stroke in key.strokes
        )
        return project.with_key(self.frame, replace(key, strokes=strokes))


@dataclass(frozen=True)
class SetPicture(_Single):
    """Makes a whole picture the base of a key frame (imported, or a result that is kept); None takes it away."""

    frame: int
    picture: Picture | None

    @property
    def label(self) -> str:
        if self.picture is None:
            return f"Drop the picture of frame {self.frame}"
        if self.picture.origin == "carried":
            return f"Keep frame {self.frame} as a key"
        return f"Import {self.picture.origin} as key frame {self.frame}"

    def apply(self, project: Project) -> Project:
        check_frame(project, self.frame)
        check_picture(project, self.picture)
        return project.with_key(self.frame, replace(project.key(self.frame), picture=self.picture))


@dataclass(frozen=True)
class RemoveKey(_Single):
    """Makes a key frame an ordinary frame again: its strokes and its picture go."""

    frame: int

    @property
    def label(self) -> str:
        return f"Remove key frame {self.frame}"

    def apply(self, project: Project) -> Project:
        check_frame(project, self.frame)
        return project.with_key(self.frame, KeyFrame())


@dataclass(frozen=True)
class SetMarks:
    """Moves the in and out marks; both are included frames, None stands for the clip's own end.

    Edits with one non-zero `drag` number are one undo step.
    """

    mark_in: int | None
    mark_out: int | None
    drag: int = 0

    @property
    def label(self) -> str:
        return "Clear the range" if self.mark_in is None and self.mark_out is None else "Set the range"

    def apply(self, project: Project) -> Project:
        for mark in (self.mark_in, self.mark_out):
            if mark is not None:
                check_frame(project, mark)
        if self.mark_in is not None and self.mark_out is not None and self.mark_in > self.mark_out:
            raise EditError(f"The in mark {self.mark_in} lies after the out mark {self.mark_out}")
        return replace(project, mark_in=self.mark_in, mark_out=self.mark_out)

    def continues(self, earlier: Command) -> bool:
        return self.drag != 0 and isinstance(earlier, SetMarks) and earlier.drag == self.drag


@dataclass(frozen=True)
class AddSwatch(_Single):
    """Adds a named color at the end of the project's swatches."""

    swatch: Swatch

    @property
    def label(self) -> str:
        return f"Add swatch {self.swatch.name}"

    def apply(self, project: Project) -> Project:
        if len(project.swatches) >= MAX_SWATCHES:
            raise EditError(f"A project has at most {MAX_SWATCHES} swatches", advice="Remove one first")
        return replace(project, swatches=(*project.swatches, check_swatch(self.swatch)))


@dataclass(frozen=True)
class ChangeSwatch(_Single):
    """Renames or recolors the swatch at `index`; None removes it."""

    index: int
    swatch: Swatch | None

    @property
    def label(self) -> str:
        return "Remove a swatch" if self.swatch is None else f"Change swatch {self.swatch.name}"

    def apply(self, project: Project) -> Project:
        if not 0 <= self.index < len(project.swatches):
            raise EditError(f"There is no swatch {self.index}")
        changed = () if self.swatch is None else (check_swatch(self.swatch),)
        swatches = project.swatches[: self.index] + changed + project.swatches[self.index + 1 :]
        return replace(project, swatches=swatches)


@dataclass(frozen=True)
class SetSettings(_Single):
    """Changes how results are made."""

    settings: Settings

    @property
    def label(self) -> str:
        return "Change the settings"

    def apply(self, project: Project) -> Project:
        if self.settings.direction not in DIRECTIONS:
            raise EditError(f"There is no direction {self.settings.direction!r}")
        return replace(project, settings=self.settings)


@dataclass(frozen=True)
class SetSource(_Single):
    """Points the project at a clip, such as one that was moved; keys outside a shorter clip are refused."""

    source: Source

    @property
    def label(self) -> str:
        return "Relink the clip"

    def apply(self, project: Project) -> Project:
        beyond = [frame for frame in project.keys if frame >= self.source.frame_count]
        if beyond:
            raise EditError(
                f"The clip has {self.source.frame_count} frames, but frame {max(beyond)} is a key frame",
                path=self.source.path,
                advice="Choose the clip that the project was made on",
            )
        if project.source is not None and project.keys:
            have = (self.source.width, self.source.height)
            want = (project.source.width, project.source.height)
            if have != want:
                raise EditError(
                    f"The clip is {have[0]}x{have[1]}, the project was made on {want[0]}x{want[1]}",
                    path=self.source.path,
                    advice="Choose the clip that the project was made on",
                )
        marks = [None if m is None or m >= self.source.frame_count else m for m in (project.mark_in, project.mark_out)]
        return replace(project, source=self.source, mark_in=marks[0], mark_out=marks[1])


def recent_with(recent: tuple[Rgb, ...], color: Rgb) -> tuple[Rgb, ...]:
    """`recent` with `color` in front, each color once, the oldest dropped past MAX_RECENT."""
    return (color, *(other for other in recent if other != color))[:MAX_RECENT]


def check_frame(project: Project, frame: int) -> int:
    """`frame` when it lies in the clip; EditError otherwise."""
    if not 0 <= frame < project.frame_count:
        raise EditError(f"Frame {frame} is outside the clip of {project.frame_count} frames")
    return frame


def check_picture(project: Project, picture: Picture | None) -> Picture | None:
    """`picture` when it has the clip's size; EditError otherwise."""
    source = project.source
    if picture is not None and source is not None and (picture.width, picture.height) != (source.width, source.height):
        raise EditError(
            f"The picture is {picture.width}x{picture.height}, the clip is {source.width}x{source.height}",
            advice="Save the picture at the clip's size; pictures are never resampled silently",
        )
    return picture


def check_tool(tool: str) -> str:
    """`tool` when it is one of TOOLS; EditError otherwise."""
    if tool not in TOOLS:
        raise EditError(f"There is no tool {tool!r}")
    return tool


def check_rgb(color: Rgb) -> Rgb:
    """`color` as three ints 0..255; EditError otherwise."""
    if len(color) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in color):
        raise EditError(f"{color!r} is not a color of three numbers 0 to 255")
    return (color[0], color[1], color[2])


def check_radius(radius_px: float) -> float:
    """The brush radius in source pixels, limited to what the rasteriser accepts; EditError when not finite."""
    if not math.isfinite(radius_px):
        raise EditError("The brush size is not a number")
    return round(min(max(float(radius_px), MIN_RADIUS_PX), MAX_RADIUS_PX), 2)


def check_points(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """`points` rounded to 1/100 pixel, so that the file holds exactly what was painted; EditError when not finite."""
    if not points:
        raise EditError("A stroke needs at least one point")
    if not all(math.isfinite(x) and math.isfinite(y) and math.isfinite(p) for x, y, p in points):
        raise EditError("A stroke's point is not a number")
    return tuple((round(x, 2), round(y, 2), round(min(max(p, 0.0), 1.0), 3)) for x, y, p in points)


def check_swatch(swatch: Swatch) -> Swatch:
    """`swatch` with its name trimmed to 80 characters; EditError when the color is none."""
    return Swatch(" ".join(swatch.name.split())[:80] or "Unnamed", check_rgb(swatch.color))
