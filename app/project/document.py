"""What the user made, as one immutable value: strokes, key frames, marks, swatches and settings.

A `Project` is never changed in place. A command (commands.py) returns a new one that shares everything it did not
touch, so undo is exact by construction and costs only what differs. Pixel positions are in source pixels of the
displayed orientation with (0, 0) at the top-left corner of the picture; colors are 8-bit sRGB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache

Rgb = tuple[int, int, int]
Point = tuple[float, float, float]
"""x and y in source pixels, pressure 0..1."""

TOOLS = ("paint", "erase", "protect")
DIRECTIONS = ("both", "forward", "backward")

MAX_RADIUS_PX = 2000.0
MIN_RADIUS_PX = 0.5
MAX_POINTS = 200_000
MAX_STROKES = 20_000
MAX_SWATCHES = 256
MAX_RECENT = 12


@dataclass(frozen=True, slots=True)
class Stroke:
    """One movement of the brush: the color it lays down (`paint`), removes (`erase`) or keeps (`protect`)."""

    id: int
    tool: str
    color: Rgb
    radius_px: float
    hardness: float
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A colored frame, kept as the bytes of a lossless PNG (8 or 16 bits a channel) of the clip's size.

    With an alpha channel it is a picture of hints: color where alpha > 0, alpha is the strength.
    """

    png: bytes = field(repr=False)
    width: int
    height: int
    origin: str
    """Where it came from, for the user: a file name, or `carried` for a kept result."""

    @property
    def is_hints(self) -> bool:
        """Whether it has an alpha channel (PNG color type 6), and so speaks only where that is not 0."""
        return self.png[25:26] == b"\x06"

    @property
    def sha256(self) -> str:
        """Hex digest of the PNG bytes; two pictures with one digest are one picture."""
        return _sha256(self.png)


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """What the user says about one frame: a full picture, strokes, or strokes over a picture."""

    strokes: tuple[Stroke, ...] = ()
    picture: Picture | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said; an empty key frame is never stored."""
        return not self.strokes and self.picture is None

    @property
    def digest(self) -> str:
        """Hex digest of everything that can change the frame's color."""
        return _key_digest(self)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Recognises a clip that was moved, and one that was replaced under its name."""

    size_bytes: int
    mtime_ns: int
    head_sha256: str
    """Of the first MiB; for a sequence, of the first file."""
    tail_sha256: str
    """Of the last MiB; for a sequence, of the last file."""
    files: int = 1

    def same_content(self, other: Fingerprint) -> bool:
        """Equal content as far as it is looked at; the time of change alone does not count."""
        mine = (self.size_bytes, self.head_sha256, self.tail_sha256, self.files)
        return mine == (other.size_bytes, other.head_sha256, other.tail_sha256, other.files)


@dataclass(frozen=True, slots=True)
class Source:
    """The clip that the project colors."""

    path: str
    """Absolute; the project file also holds it relative to itself."""
    kind: str
    width: int
    height: int
    frame_count: int
    rate: Fraction
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Swatch:
    """A named color of the project."""

    name: str
    color: Rgb


@dataclass(frozen=True, slots=True)
class Settings:
    """How results are made; recorded so that a reopened project gives the same picture."""

    direction: str = "both"
    from_grey: bool = False
    work_size: int | None = None
    """Shorter side that the networks see, in pixels; None lets the job choose."""


DEFAULT_SWATCHES = (
    Swatch("Skin, light", (222, 176, 148)),
    Swatch("Skin, shadow", (156, 104, 80)),
    Swatch("Lips", (178, 84, 82)),
    Swatch("Hair, brown", (92, 66, 48)),
    Swatch("Wood", (134, 94, 58)),
    Swatch("Foliage", (84, 112, 58)),
    Swatch("Sky", (128, 164, 206)),
    Swatch("Navy cloth", (52, 66, 104)),
    Swatch("Brick", (150, 78, 60)),
    Swatch("Neutral grey", (128, 128, 128)),
)


@dataclass(frozen=True, slots=True)
class Project:
    """The whole document. `keys` is treated as read-only everywhere."""

    source: Source | None = None
    keys: Mapping[int, KeyFrame] = field(default_factory=dict)
    mark_in: int | None = None
    mark_out: int | None = None
    """Last frame of the range, included, as editors count it."""
    swatches: tuple[Swatch, ...] = DEFAULT_SWATCHES
    recent: tuple[Rgb, ...] = ()
    settings: Settings = field(default_factory=Settings)
    next_stroke_id: int = 1

    @property
    def frame_count(self) -> int:
        """Frames of the clip, 0 without one."""
        return self.source.frame_count if self.source else 0

    @property
    def range(self) -> range:
        """Frames between the marks; the whole clip where there are none."""
        start = 0 if self.mark_in is None else self.mark_in
        stop = self.frame_count if self.mark_out is None else self.mark_out + 1
        return range(start, stop)

    def key(self, frame: int) -> KeyFrame:
        """The key frame at `frame`, or an empty one."""
        return self.keys.get(frame, _EMPTY_KEY)

    def key_numbers(self) -> list[int]:
        """Frame numbers of the key frames, ascending."""
        return sorted(self.keys)

    def with_key(self, frame: int, key: KeyFrame) -> Project:
        """This project with `key` at `frame`; an empty key removes it."""
        keys = dict(self.keys)
        if key.is_empty:
            keys.pop(frame, None)
        else:
            keys[frame] = key
        return replace(self, keys=keys)


_EMPTY_KEY = KeyFrame()


@lru_cache(maxsize=512)
def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@lru_cache(maxsize=4096)
def _key_digest(key: KeyFrame) -> str:
    said = [
        (stroke.tool, stroke.tool == "paint" and stroke.color, stroke.radius_px, stroke.hardness, stroke.points)
        for stroke in key.strokes
    ]
    picture = key.picture.sha256 if key.picture else ""
    return hashlib.sha256(f"{picture}{said!r}".encode()).hexdigest()
