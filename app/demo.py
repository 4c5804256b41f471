"""The demo: the main job on the two clips that come with the program, each with a contact sheet to judge it by."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app import coloring
from app.contact_sheet import Picture, Row, Tile, contact_sheet, hints_over
from app.jobs import PropagateSettings, propagate_job
from app.keyframes import Keyframe, shrink, work_shape
from app.pipeline import Pipeline, real
from app.progress import CancelToken, Progress
from propagation.errors import MissingMediaError

if TYPE_CHECKING:
    from propagation.video.frame import Frame

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
    rows: list[Row] = []
    for keyframe in hints:
        grey, colored = _frame(FILM, keyframe.index), _frame(out, keyframe.index)
        painted = hints_over(grey, _eight_bit(read_image(keyframe.path or FILM).image))
        named = {"input": grey, "hints": painted, "filled from the hints": colored}
        rows.append(_named(named, keyframe.index))
    along = list(_frames(out, _spread(_count(out))).items())
    half = (len(along) + 1) // 2
    rows += [_along("carried from there over the clip", dict(along[:half])), _along("", dict(along[half:]))]
    sheet = settings.folder / "his_girl_friday_sheet.png"
    _write(sheet, contact_sheet("His Girl Friday (1940): scribbles carried over the clip", rows))
    return out, sheet


def _flower(
    settings: DemoSettings, cancel: CancelToken, stages: Pipeline
) -> Generator[Progress, None, tuple[Path, Path, Mapping[str, float]]]:
    from propagation.bench.protocol import psnr

    out = settings.folder / "flower.mp4"
    truth = _frame(FLOWER, 0)
    shape = work_shape(truth.shape[0], truth.shape[1], settings.size)
    errors: list[float] = []
    yield Progress("flower", 0, 1, message="2 of 2: a flower turned to grey, one key frame in color.")
    with tempfile.TemporaryDirectory(prefix="huecast-") as folder:
        key = Path(folder) / "key.png"
        _write(key, truth)
        keyframes = (Keyframe(0, "key", key),)
        watched = replace(stages, carry=_scored(stages.carry, FLOWER, shape, errors))
        yield from propagate_job(_settings(settings, FLOWER, out, keyframes, from_grey=True), cancel, watched)
    shown = _spread(_count(out))
    baselines, pictures = yield from _baselines(FLOWER, shape, shown, cancel)
    scores = {OURS: psnr(float(np.mean(errors))), **baselines}
    rows = [_named({"input": _grey(FLOWER, 0), "key frame": truth, "result": _frame(out, 0)}, 0)]
    rows.append(_along("truth", _frames(FLOWER, shown)))
    for name, along in {OURS: _frames(out, shown), **pictures}.items():
        rows.append(_along(f"{name}: PSNR of a and b {scores[name]:.2f} dB over the clip", along))
    sheet = settings.folder / "flower_sheet.png"
    _write(sheet, contact_sheet("Flower: grey, one key frame in color", rows, tile_width=240))
    return out, sheet, scores


def _scored(carry: Callable[..., Any], path: Path, shape: tuple[int, int], errors: list[float]) -> Callable[..., Any]:
    """`carry`, with the squared error of every frame but the key's put into `errors` as it passes."""

    def carry_and_score(*arguments: Any, **named: Any) -> Iterator[Any]:
        from propagation.bench.protocol import mean_squared_error
        from propagation.video.reader import open_clip

        with open_clip(path) as clip:
            for carried in carry(*arguments, **named):
                if carried.index > 0:
                    truth = _work_lab(clip.frame(carried.index), shape)
                    errors.append(mean_squared_error(carried.values, truth[..., 1:]))
                yield carried

    return carry_and_score


def _baselines(
    path: Path, shape: tuple[int, int], shown: list[int], cancel: CancelToken
) -> Generator[Progress, None, tuple[dict[str, float], dict[str, dict[int, Picture]]]]:
    """What the baselines make of the one key on frame 0: PSNR ab by name, and their pictures of the frames `shown`.

    In the same Lab and at the same size as ours, so that the figures compare within the demo. The bench's own table
    is made by the protocol's simpler Lab and differs a little.
    """
    from propagation.bench import baselines, protocol
    from propagation.video.reader import open_clip

    with open_clip(path) as clip:
        count = clip.info.frame_count
        lightness = []
        for frame in clip.frames():
            cancel.check()
            lightness.append(shrink(coloring.lightness_of(frame), shape))
        motion = baselines.Motion(lightness)
        key, order = np.ascontiguousarray(_work_lab(clip.frame(0), shape)[..., 1:]), range(1, count)
        methods = {
            "hold": baselines.hold(key, order),
            "DIS chain": baselines.dis_chain(motion, 0, key, order),
            "DIS frame by frame": baselines.dis_frame_by_frame(motion, 0, key, order),
        }
        errors: dict[str, list[float]] = {name: [] for name in methods}
        pictures: dict[str, dict[int, Picture]] = {name: {0: _eight_bit(clip.frame(0).image)} for name in methods}
        for frame in clip.frames(1):
            cancel.check()
            truth = _work_lab(frame, shape)
            for name, method in methods.items():
                _, ab = next(method)
                errors[name].append(protocol.mean_squared_error(ab, truth[..., 1:]))
                if frame.index in shown:
                    small = replace(frame, image=cv2.resize(frame.image, shape[::-1], interpolation=cv2.INTER_AREA))
                    pictures[name][frame.index] = _eight_bit(coloring.recolor(small, truth[..., 0], ab).image)
            yield Progress("compare", frame.index, count - 1, frame.index)
    return {name: protocol.psnr(float(np.mean(each))) for name, each in errors.items()}, pictures


def _work_lab(frame: Frame, shape: tuple[int, int]) -> NDArray[np.float32]:
    return shrink(coloring.lab_of(frame), shape)


def _settings(
    settings: DemoSettings, clip: Path, out: Path, keyframes: tuple[Keyframe, ...], from_grey: bool
) -> PropagateSettings:
    return PropagateSettings(
        clip, out, keyframes, device=settings.device, size=settings.size, from_grey=from_grey, force=True
    )


def _along(heading: str, pictures: Mapping[int, Picture]) -> Row:
    return Row(heading, [Tile(picture, f"frame {index}") for index, picture in pictures.items()])


def _named(pictures: Mapping[str, Picture], index: int) -> Row:
    return Row("", [Tile(picture, f"{name}, frame {index}") for name, picture in pictures.items()])


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
