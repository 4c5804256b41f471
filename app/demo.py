"""The demo: the main job on the two clips that come with the program, each with a contact sheet to judge it by."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import coloring, machine
from app.contact_sheet import Picture, Tile, contact_sheet, hints_over
from app.jobs import PropagateSettings, propagate_job
from app.keyframes import Keyframe
from app.pipeline import Pipeline, real
from app.progress import CancelToken, Progress
from propagation.errors import MissingMediaError

ASSETS = Path(__file__).resolve().parent.parent / "assets" / "demo"
FILM, FLOWER = ASSETS / "his_girl_friday.mp4", ASSETS / "flower.mp4"
OURS = "Huecast"

_FRAMES_SHOWN = 8
_NUMBER = re.compile(r"(\d+)$")


@dataclass(frozen=True)
class DemoSettings:
    """Where the demo writes, and how it computes."""

    folder: Path
    device: str = "auto"
    size: int = 480


@dataclass(frozen=True)
class DemoOutcome:
    """The files that were made, and PSNR of a and b in dB by method on the clip whose truth is known."""

    videos: tuple[Path, ...]
    sheets: tuple[Path, ...]
    psnr: Mapping[str, float]


def demo_job(
    settings: DemoSettings, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress, None, DemoOutcome]:
    """Colors the film from its scribbles and the flower from one key frame; replaces what an earlier demo wrote."""
    stages = pipeline or real()
    settings.folder.mkdir(parents=True, exist_ok=True)
    film, film_sheet = yield from _film(settings, cancel, stages)
    flower, flower_sheet, scores = yield from _flower(settings, cancel, stages)
    return DemoOutcome((film, flower), (film_sheet, flower_sheet), scores)


def film_hints() -> tuple[Keyframe, ...]:
    """The scribbles painted for the film, each with the frame in its file's name. Raises MissingMediaError."""
    found = []
    for path in sorted(ASSETS.glob("friday_hints_*.png")):
        number = _NUMBER.search(path.stem)
        if number is not None:
            found.append(Keyframe(int(number[1]), "hints", path))
    if not found:
        raise MissingMediaError("the demo's hints are missing", path=ASSETS / "friday_hints_*.png", advice=_RESTORE)
    return tuple(found)


_RESTORE = "Restore the folder from the repository"


def _film(
    settings: DemoSettings, cancel: CancelToken, stages: Pipeline
) -> Generator[Progress, None, tuple[Path, Path]]:
    from propagation.video.images import read_image

    hints = film_hints()
    out = settings.folder / "his_girl_friday.mp4"
    yield Progress("film", 0, 1, message="1 of 2: a film of 1940, colored from scribbles.")
    yield from propagate_job(_settings(settings, FILM, out, hints, from_grey=False), cancel, stages)
    rows = []
    for keyframe in hints:
        grey, colored = _frame(FILM, keyframe.index), _frame(out, keyframe.index)
        painted = hints_over(grey, _eight_bit(read_image(keyframe.path or FILM).image))
        number = f"frame {keyframe.index}"
        named = {"input": grey, "hints": painted, "dense": colored}
        rows.append([Tile(picture, f"{name}, {number}") for name, picture in named.items()])
    rows += _along("result", _frames(out, _spread(_count(out))))
    sheet = settings.folder / "his_girl_friday_sheet.png"
    _write(sheet, contact_sheet("His Girl Friday (1940): scribbles carried over the clip", rows))
    return out, sheet


def _flower(
    settings: DemoSettings, cancel: CancelToken, stages: Pipeline
) -> Generator[Progress, None, tuple[Path, Path, Mapping[str, float]]]:
    out = settings.folder / "flower.mp4"
    yield Progress("flower", 0, 1, message="2 of 2: a flower turned to grey, one key frame in color.")
    with tempfile.TemporaryDirectory(prefix="huecast-") as folder:
        key = Path(folder) / "key.png"
        truth = _frame(FLOWER, 0)
        _write(key, truth)
        keyframes = (Keyframe(0, "key", key),)
        yield from propagate_job(_settings(settings, FLOWER, out, keyframes, from_grey=True), cancel, stages)
    shown = _spread(_count(out))
    scores, baselines = yield from _compare(FLOWER, shown, machine.choose_device(settings.device), cancel, stages)
    named = {"input": _grey(FLOWER, 0), "key": truth, "dense": _frame(out, 0)}
    rows = [[Tile(picture, f"{name}, frame 0") for name, picture in named.items()]]
    rows += _along("truth", _frames(FLOWER, shown))
    rows += _along(f"{OURS}, PSNR ab {scores[OURS]:.2f} dB", _frames(out, shown))
    for name, pictures in baselines.items():
        rows += _along(f"{name}, PSNR ab {scores[name]:.2f} dB", pictures)
    sheet = settings.folder / "flower_sheet.png"
    _write(sheet, contact_sheet("Flower: grey, one key frame in color", rows, tile_width=300))
    return out, sheet, scores


def _compare(
    path: Path, shown: list[int], device: str, cancel: CancelToken, stages: Pipeline
) -> Generator[Progress, None, tuple[dict[str, float], dict[str, dict[int, Picture]]]]:
    """PSNR ab of ours and the baselines from one key on frame 0, and the baselines' pictures of the frames `shown`.

    Measured as the bench does: the protocol's Lab and size, the key left out of the mean.
    """
    from propagation.bench import baselines, protocol

    lab = protocol.read_clip(path, limit=_count(path))
    lightness = [np.ascontiguousarray(frame[..., 0]) for frame in lab]
    motion = baselines.Motion(lightness)
    key, order = np.ascontiguousarray(lab[0][..., 1:]), range(1, len(lab))

    def ours() -> Iterator[tuple[int, Any]]:
        carrier = stages.load_carrier(device)
        for each in stages.carry(lightness.__getitem__, {0: key}, 1, len(lab), carrier=carrier, shots=[]):
            yield each.index, each.values

    methods: dict[str, Callable[[], Iterator[tuple[int, Any]]]] = {
        OURS: ours,
        "hold": lambda: baselines.hold(key, order),
        "DIS chain": lambda: baselines.dis_chain(motion, 0, key, order),
        "DIS frame by frame": lambda: baselines.dis_frame_by_frame(motion, 0, key, order),
    }
    scores: dict[str, float] = {}
    pictures: dict[str, dict[int, Picture]] = {name: {} for name in methods if name != OURS}
    for number, (name, method) in enumerate(methods.items()):
        errors = []
        for frame, ab in method():
            cancel.check()
            errors.append(protocol.mean_squared_error(ab, lab[frame][..., 1:]))
            if frame in shown and name != OURS:
                pictures[name][frame] = protocol.to_rgb8(lightness[frame], ab)
            yield Progress("compare", number * len(order) + len(errors), len(methods) * len(order), frame)
        scores[name] = protocol.psnr(float(np.mean(errors)))
    return scores, pictures


def _settings(
    settings: DemoSettings, clip: Path, out: Path, keyframes: tuple[Keyframe, ...], from_grey: bool
) -> PropagateSettings:
    return PropagateSettings(
        clip, out, keyframes, device=settings.device, size=settings.size, from_grey=from_grey, force=True
    )


def _along(label: str, pictures: Mapping[int, Picture]) -> list[list[Tile]]:
    tiles = [Tile(picture, f"{label}, frame {index}") for index, picture in pictures.items()]
    half = (len(tiles) + 1) // 2
    return [tiles[:half], tiles[half:]]


def _spread(count: int) -> list[int]:
    """Frames from the first to the last, evenly."""
    return sorted({round(place) for place in np.linspace(0, count - 1, _FRAMES_SHOWN)})


def _count(path: Path) -> int:
    from propagation.video.probe import probe

    return probe(path).frame_count


def _frame(path: Path, index: int) -> Picture:
    return _frames(path, [index])[index]


def _frames(path: Path, indices: list[int]) -> dict[int, Picture]:
    """8-bit RGB of some frames of a clip."""
    from propagation.video.reader import open_clip

    with open_clip(path) as clip:
        return {index: _eight_bit(clip.frame(index).image) for index in indices}


def _grey(path: Path, index: int) -> Picture:
    from propagation.video.reader import open_clip

    with open_clip(path) as clip:
        return _eight_bit(coloring.drop_color(clip.frame(index)).image)


def _eight_bit(image: NDArray[Any]) -> Picture:
    from propagation.video.writing import with_depth

    picture: Picture = with_depth(image, 8)
    return picture


def _write(path: Path, picture: Picture) -> None:
    from propagation.video.images import write_image

    write_image(path, picture, overwrite=True)
