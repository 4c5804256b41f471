"""The project as JSON and back, every number checked: nothing from a file reaches the document unseen.

`to_record` and `from_record` are inverse. A record that does not fit raises ProjectError that names the place, such as
`keys[2].strokes[0].radius_px`. Version 1 is the first; later versions add migrations here.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from app.errors import ProjectError
from app.project.document import (
    DIRECTIONS,
    MAX_POINTS,
    MAX_RADIUS_PX,
    MAX_RECENT,
    MAX_STROKES,
    MAX_SWATCHES,
    MIN_RADIUS_PX,
    TOOLS,
    Fingerprint,
    KeyFrame,
    Picture,
    Project,
    Rgb,
    Settings,
    Source,
    Stroke,
    Swatch,
)

VERSION = 1
MAX_FRAMES = 10_000_000
MAX_SIDE_PX = 16_384
MAX_BYTES = 2**62

Record = dict[str, Any]


def picture_member(frame: int) -> str:
    """Name in the project file of the picture of key frame `frame`."""
    return f"keys/{frame:08d}.png"


def to_record(project: Project, folder: Path | None) -> Record:
    """`project` as JSON values; the clip's path is also told relative to `folder`, the project file's own."""
    return {
        "source": _source_record(project.source, folder) if project.source else None,
        "keys": [_key_record(frame, project.keys[frame]) for frame in project.key_numbers()],
        "mark_in": project.mark_in,
        "mark_out": project.mark_out,
        "swatches": [{"name": swatch.name, "color": list(swatch.color)} for swatch in project.swatches],
        "recent": [list(color) for color in project.recent],
        "settings": {
            "direction": project.settings.direction,
            "from_grey": project.settings.from_grey,
            "work_size": project.settings.work_size,
        },
        "next_stroke_id": project.next_stroke_id,
    }


def relative_source_path(record: Record) -> str | None:
    """The clip's path relative to the project file, as the record tells it, or None."""
    source = record.get("source")
    told = source.get("relative") if isinstance(source, dict) else None
    return told if isinstance(told, str) and told else None


def from_record(record: object, pictures: Mapping[str, bytes]) -> Project:
    """The project that `record` tells; `pictures` are the PNG members by name. Raises ProjectError."""
    top = _Object(record, "project")
    told = top.take("source")
    source = _source(_Object(told, "project.source")) if told is not None else None
    frames = source.frame_count if source else 0
    keys: dict[int, KeyFrame] = {}
    for item in top.items("keys", frames):
        frame = item.integer("frame", 0, frames - 1)
        if frame in keys:
            raise item.wrong("frame", "is there twice")
        keys[frame] = _key(item, frame, pictures, source)
    wanted = {picture_member(frame) for frame, key in keys.items() if key.picture}
    if set(pictures) - wanted:
        raise ProjectError(f"the file holds pictures that nothing refers to: {sorted(set(pictures) - wanted)[0]}")
    project = Project(
        source=source,
        keys=keys,
        mark_in=top.optional_integer("mark_in", 0, frames - 1),
        mark_out=top.optional_integer("mark_out", 0, frames - 1),
        swatches=tuple(
            Swatch(item.text("name", 80), item.color("color")) for item in top.items("swatches", MAX_SWATCHES)
        ),
        recent=tuple(top.colors("recent", MAX_RECENT)),
        settings=_settings(top.part("settings")),
        next_stroke_id=top.integer("next_stroke_id", 1, MAX_BYTES),
    )
    top.finish()
    if project.mark_in is not None and project.mark_out is not None and project.mark_in > project.mark_out:
        raise ProjectError("the project's in mark lies after its out mark")
    return project


class _Object:
    """One JSON object being read: every field is taken once, checked, and unknown ones are refused."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise ProjectError(f"{where} is not an object")
        self._left: Record = dict(value)
        self._where = where

    def wrong(self, name: str, why: str) -> ProjectError:
        return ProjectError(f"{self._where}.{name} {why}")

    def value(self, name: str) -> Any:
        if name not in self._left:
            raise self.wrong(name, "is missing")
        return self._left[name]

    def take(self, name: str) -> Any:
        value = self.value(name)
        del self._left[name]
        return value

    def part(self, name: str) -> _Object:
        return _Object(self.take(name), f"{self._where}.{name}")

    def items(self, name: str, most: int) -> list[_Object]:
        values = self.sequence(name, most)
        return [_Object(value, f"{self._where}.{name}[{i}]") for i, value in enumerate(values)]

    def sequence(self, name: str, most: int) -> list[Any]:
        values = self.take(name)
        if not isinstance(values, list):
            raise self.wrong(name, "is not a list")
        if len(values) > most:
            raise self.wrong(name, f"has {len(values)} entries, the limit is {most}")
        return values

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.take(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.wrong(name, f"is not a whole number {low} to {high}")
        return value

    def optional_integer(self, name: str, low: int, high: int) -> int | None:
        if self.value(name) is None:
            del self._left[name]
            return None
        return self.integer(name, low, high)

    def number(self, name: str, low: float, high: float) -> float:
        value = self.take(name)
        if not is_number(value) or not low <= value <= high:
            raise self.wrong(name, f"is not a number {low:g} to {high:g}")
        return float(value)

    def text(self, name: str, most: int) -> str:
        value = self.take(name)
        if not isinstance(value, str) or len(value) > most or "\0" in value:
            raise self.wrong(name, f"is not a text of at most {most} characters")
        return value

    def one_of(self, name: str, choices: tuple[str, ...]) -> str:
        value = self.take(name)
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(name, f"is none of {', '.join(choices)}")
        return value

    def flag(self, name: str) -> bool:
        value = self.take(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "is neither true nor false")
        return value

    def color(self, name: str) -> Rgb:
        return _rgb(self.take(name), f"{self._where}.{name}")

    def colors(self, name: str, most: int) -> list[Rgb]:
        return [_rgb(value, f"{self._where}.{name}[{i}]") for i, value in enumerate(self.sequence(name, most))]

    def finish(self) -> None:
        """Refuses what this version does not know, rather than losing it at the next save."""
        if self._left:
            raise ProjectError(f"{self._where} has an unknown field {sorted(self._left)[0]!r}")


def is_number(value: object) -> bool:
    """Whether `value` is a finite JSON number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rgb(value: object, where: str) -> Rgb:
    if (
        not isinstance(value, list)
        or len(value) != 3
        or not all(isinstance(c, int) and not isinstance(c, bool) and 0 <= c <= 255 for c in value)
    ):
        raise ProjectError(f"{where} is not a color of three whole numbers 0 to 255")
    return (value[0], value[1], value[2])


def _source_record(source: Source, folder: Path | None) -> Record:
    mark = source.fingerprint
    return {
        "relative": _relative(source.path, folder),
        "absolute": source.path,
        "kind": source.kind,
        "width": source.width,
        "height": source.height,
        "frame_count": source.frame_count,
        "rate": [source.rate.numerator, source.rate.denominator],
        "fingerprint": {
            "size_bytes": mark.size_bytes,
            "mtime_ns": mark.mtime_ns,
            "head_sha256": mark.head_sha256,
            "tail_sha256": mark.tail_sha256,
            "files": mark.files,
        },
    }


def _relative(path: str, folder: Path | None) -> str | None:
    """`path` seen from `folder` with forward slashes; None where there is no way, such as another drive."""
    if folder is None:
        return None
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return None


def _source(item: _Object) -> Source:
    item.take("relative")
    rate = item.sequence("rate", 2)
    if len(rate) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and 0 < n < 2**31 for n in rate):
        raise item.wrong("rate", "is not a fraction of two whole numbers")
    mark = item.part("fingerprint")
    source = Source(
        path=item.text("absolute", 4096),
        kind=item.one_of("kind", ("video", "sequence", "still")),
        width=item.integer("width", 1, MAX_SIDE_PX),
        height=item.integer("height", 1, MAX_SIDE_PX),
        frame_count=item.integer("frame_count", 1, MAX_FRAMES),
        rate=Fraction(rate[0], rate[1]),
        fingerprint=Fingerprint(
            size_bytes=mark.integer("size_bytes", 0, MAX_BYTES),
            mtime_ns=mark.integer("mtime_ns", -MAX_BYTES, MAX_BYTES),
            head_sha256=mark.text("head_sha256", 64),
            tail_sha256=mark.text("tail_sha256", 64),
            files=mark.integer("files", 1, MAX_FRAMES),
        ),
    )
    mark.finish()
    item.finish()
    return source


def _key_record(frame: int, key: KeyFrame) -> Record:
    picture = None
    if key.picture is not None:
        picture = {"member": picture_member(frame), "origin": key.picture.origin}
    return {
        "frame": frame,
        "picture": picture,
        "strokes": [
            {
                "id": stroke.id,
                "tool": stroke.tool,
                "color": list(stroke.color),
                "radius_px": stroke.radius_px,
                "hardness": stroke.hardness,
                "points": [value for point in stroke.points for value in point],
            }
            for stroke in key.strokes
        ],
    }


def _key(item: _Object, frame: int, pictures: Mapping[str, bytes], source: Source | None) -> KeyFrame:
    picture = None
    if item.value("picture") is not None:
        told = item.part("picture")
        member = told.text("member", 80)
        if member != picture_member(frame) or member not in pictures:
            raise told.wrong("member", "is not in the file")
        picture = _picture(pictures[member], told.text("origin", 255), source, member)
        told.finish()
    else:
        item.take("picture")
    key = KeyFrame(tuple(_stroke(stroke) for stroke in item.items("strokes", MAX_STROKES)), picture)
    item.finish()
    if key.is_empty:
        raise item.wrong("strokes", "is empty and there is no picture")
    return key


def _picture(png: bytes, origin: str, source: Source | None, member: str) -> Picture:
    width, height = png_size(png, member)
    if source is not None and (width, height) != (source.width, source.height):
        raise ProjectError(f"{member} is {width}x{height}, the clip is {source.width}x{source.height}")
    return Picture(png, width, height, origin)


def png_size(png: bytes, name: str) -> tuple[int, int]:
    """Width and height that a PNG's header states; ProjectError when it is no PNG of 8 or 16 bits."""
    if len(png) < 33 or png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR" or png[24] not in (8, 16):
        raise ProjectError(f"{name} is not a PNG picture of 8 or 16 bits")
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _stroke(item: _Object) -> Stroke:
    flat = item.sequence("points", 3 * MAX_POINTS)
    if not flat or len(flat) % 3 or not all(is_number(value) and abs(value) <= 1e6 for value in flat):
        raise item.wrong("points", "is not a list of x, y and pressure")
    stroke = Stroke(
        id=item.integer("id", 1, MAX_BYTES),
        tool=item.one_of("tool", TOOLS),
        color=item.color("color"),
        radius_px=item.number("radius_px", MIN_RADIUS_PX, MAX_RADIUS_PX),
        hardness=item.number("hardness", 0, 1),
        points=tuple((float(flat[i]), float(flat[i + 1]), float(flat[i + 2])) for i in range(0, len(flat), 3)),
    )
    item.finish()
    return stroke


def _settings(item: _Object) -> Settings:
    settings = Settings(
        direction=item.one_of("direction", DIRECTIONS),
        from_grey=item.flag("from_grey"),
        work_size=item.optional_integer("work_size", 32, 4096),
    )
    item.finish()
    return settings
