"""Numbered pictures: which files make a sequence, in which order, and how new ones are named."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from propagation.color.tags import STILL_TAGS
from propagation.errors import MediaError, MissingMediaError, OutputError
from propagation.video.container import media_boundary
from propagation.video.frame import ClipInfo
from propagation.video.images import READABLE_SUFFIXES, read_image
from propagation.video.limits import LIMITS, check_count

SEQUENCE_RATE = Fraction(24)  # pictures carry no rate; film's is the guess
DEFAULT_PATTERN = "%05d.png"
_NUMBERED = re.compile(r"(.*?)(\d+)$")
_PATTERN = re.compile(r"%(?:0(\d{1,2}))?d")


@dataclass(frozen=True)
class Pictures:
    """The files of a sequence (or one still) in frame order; `first_number` is the number in the first one's name."""

    path: Path
    files: tuple[Path, ...]
    first_number: int = 0
    is_still: bool = False
    problems: tuple[str, ...] = ()


def find_pictures(path: Path, suffixes: frozenset[str] = READABLE_SUFFIXES) -> Pictures | None:
    """The pictures that `path` means, or None when it is the name of something else (a video file, one hopes).

    A folder means its largest numbered run of pictures, a `%05d` pattern all files that match it, a numbered picture
    the run that starts with it; a picture without a following number is a still. `suffixes` are those that count as
    pictures. Raises MissingMediaError, MediaError or LimitError.
    """
    with media_boundary(path, "look at it"):
        if path.is_dir():
            return _in_folder(path, suffixes)
        if _PATTERN.search(path.name) and not path.exists():
            return _by_pattern(path)
        if path.suffix.lower() in suffixes:
            return _from_first(path)
    return None


def is_pattern(path: Path) -> bool:
    """Whether the name holds a number's place such as `%05d`."""
    return _PATTERN.search(path.name) is not None


def numbered(pattern: Path, number: int) -> Path:
    """The name of picture `number`; OutputError unless the pattern has exactly one place for it."""
    places = _PATTERN.findall(pattern.name)
    if len(places) != 1 or "%" in _PATTERN.sub("", pattern.name):
        raise OutputError("needs exactly one place for the number, such as %05d", path=pattern)
    return pattern.with_name(_PATTERN.sub(f"{number:0{int(places[0] or 1)}d}", pattern.name))


def probe_pictures(found: Pictures) -> ClipInfo:
    """The info of a sequence or still, from its first picture, which is read: headers mislead on turns and alpha."""
    first = read_image(found.files[0])
    height, width, channels = first.image.shape
    count = len(found.files)
    problems = found.problems
    if not found.is_still:
        problems = (*problems, f"pictures carry no frame rate; {SEQUENCE_RATE} frames a second is assumed")
    return ClipInfo(
        path=found.path,
        kind="still" if found.is_still else "sequence",
        width=width,
        height=height,
        frame_count=count,
        rate=SEQUENCE_RATE,
        time_base=1 / SEQUENCE_RATE,
        pts=tuple(range(count)),
        tags=STILL_TAGS,
        bit_depth=first.bit_depth,
        has_alpha=channels == 4,
        first_number=found.first_number,
        files=found.files,
        codec=found.files[0].suffix.lower().lstrip("."),
        problems=problems,
    )


def _in_folder(folder: Path, suffixes: frozenset[str]) -> Pictures:
    runs: dict[tuple[str, str], list[tuple[int, Path]]] = defaultdict(list)
    unnumbered: list[Path] = []
    for file in folder.iterdir():
        if file.suffix.lower() not in suffixes or file.name.startswith("."):
            continue
        match = _NUMBERED.match(file.stem)
        if match:
            runs[match[1], file.suffix].append((int(match[2]), file))
        else:
            unnumbered.append(file)
    if not runs:
        raise MediaError("holds no numbered pictures (PNG, JPEG or TIFF)", path=folder)
    chosen = max(runs, key=lambda name: (len(runs[name]), name))
    others = sum(len(run) for run in runs.values()) - len(runs[chosen]) + len(unnumbered)
    problems = (f"{others} other pictures in the folder are left out",) if others else ()
    return _run(folder, runs[chosen], problems)


def _by_pattern(pattern: Path) -> Pictures:
    if not pattern.parent.is_dir():
        raise MissingMediaError("its folder does not exist", path=pattern)
    place = _PATTERN.search(pattern.name)
    before, after = (pattern.name[: place.start()], pattern.name[place.end() :]) if place else ("", "")
    digits = re.compile(re.escape(before) + r"(\d+)" + re.escape(after) + "$")
    found = [(int(match[1]), file) for file in pattern.parent.iterdir() if (match := digits.match(file.name))]
    wanted = [(number, file) for number, file in found if numbered(pattern, number).name == file.name]
    if not wanted:
        raise MissingMediaError("no picture matches the pattern", path=pattern)
    return _run(pattern, wanted, ())


def _from_first(path: Path) -> Pictures | None:
    if not path.exists():
        raise MissingMediaError("no such file", path=path, advice="Check the name")
    match = _NUMBERED.match(path.stem)
    if match is None:
        return Pictures(path, (path,), is_still=True)
    first = int(match[2])
    run = [(first, path)]
    siblings = re.compile(re.escape(match[1]) + r"(\d+)" + re.escape(path.suffix) + "$")
    for file in path.parent.iterdir():
        sibling = siblings.match(file.name)
        if sibling and int(sibling[1]) > first:
            run.append((int(sibling[1]), file))
    if len(run) == 1 or min(number for number, _ in run[1:]) != first + 1:
        return Pictures(path, (path,), is_still=True)
    return _run(path, run, ())


def _run(path: Path, run: list[tuple[int, Path]], problems: tuple[str, ...]) -> Pictures:
    run = sorted(run, key=lambda entry: (entry[0], entry[1].name))
    check_count(path, "frames", len(run), LIMITS.frames)
    numbers = [number for number, _ in run]
    if len(set(numbers)) != len(numbers):
        raise MediaError("has two pictures with the same number", path=path)
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    if missing:
        gap = f"{missing} numbers are missing between {numbers[0]} and {numbers[-1]}; frames count the files"
        problems = (*problems, gap)
    return Pictures(path, tuple(file for _, file in run), numbers[0], problems=problems)
