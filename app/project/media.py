"""The clip that a project refers to: its fingerprint, and finding it again when it was moved.

A project from a stranger names paths on this machine. They are only hashed, never decoded, until their content is
known to be the clip that the project was made on; anything else is the user's decision.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from app.project.document import Fingerprint, Source

LOOK_BYTES = 2**20
EMPTY_SHA256 = hashlib.sha256().hexdigest()


class SourceState(Enum):
    """What was found where a project expects its clip."""

    NONE = "none"
    FOUND = "found"
    MISSING = "missing"
    CHANGED = "changed"


@dataclass(frozen=True)
class Found:
    """The outcome of looking for a clip: its path when one was found, and every place that was looked at."""

    state: SourceState
    path: Path | None
    looked_at: tuple[Path, ...]


def fingerprint(files: Sequence[Path]) -> Fingerprint:
    """Fingerprint of a clip of one file, or of a sequence given as its files in order. Raises OSError."""
    stats = [path.stat() for path in files]
    return Fingerprint(
        size_bytes=sum(stat.st_size for stat in stats),
        mtime_ns=max((stat.st_mtime_ns for stat in stats), default=0),
        head_sha256=_look(files[0], from_end=False) if files else EMPTY_SHA256,
        tail_sha256=_look(files[-1], from_end=True) if files else EMPTY_SHA256,
        files=max(len(files), 1),
    )


def clip_files(path: Path) -> tuple[Path, ...]:
    """The files that make up a clip at `path`: itself, or the pictures of a folder or pattern in order of number."""
    if path.is_dir():
        return tuple(sorted(entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith(".")))
    if "%" in path.name:
        head, _, tail = path.name.partition("%")
        ending = tail.partition("d")[2]
        found = [p for p in path.parent.iterdir() if p.name.startswith(head) and p.name.endswith(ending)]
        return tuple(sorted(p for p in found if p.name[len(head) : len(p.name) - len(ending)].isdigit()))
    return (path,)


def look_for(source: Source, relative: str | None, project_path: Path) -> Found:
    """Looks beside the project first and then at the absolute path; only equal content counts as found."""
    places = []
    if relative is not None and is_plain(relative):
        places.append(Path(project_path).parent.absolute() / relative)
    if is_plain(source.path):
        places.append(Path(source.path))
    looked_at = tuple(dict.fromkeys(Path(_normal(place)) for place in places))
    changed = None
    for place in looked_at:
        try:
            files = clip_files(place)
            if files and fingerprint(files).same_content(source.fingerprint):
                return Found(SourceState.FOUND, place, looked_at)
            changed = changed or (place if files and place.exists() else None)
        except OSError:
            continue
    if changed is not None:
        return Found(SourceState.CHANGED, changed, looked_at)
    return Found(SourceState.MISSING, None, looked_at)


def is_plain(path: str) -> bool:
    """Whether `path` is a path of this machine: no protocol, no network share, no NUL."""
    return bool(path) and "\0" not in path and "://" not in path and not path.startswith(("\\\\", "//"))


def _normal(place: Path) -> Path:
    parts: list[str] = []
    for part in place.parts:
        if part == ".." and len(parts) > 1:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return Path(*parts)


def _look(path: Path, *, from_end: bool) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file")
    with path.open("rb") as stream:
        if from_end:
            stream.seek(max(path.stat().st_size - LOOK_BYTES, 0))
        return hashlib.sha256(stream.read(LOOK_BYTES)).hexdigest()
