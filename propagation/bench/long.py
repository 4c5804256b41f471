"""A long shot from one annotation: how far the color of frame 0 lasts, in figures and in pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.bench import baselines
from propagation.bench.carry import Carry
from propagation.bench.machine import machine_line
from propagation.bench.pipeline import Fill, painted_key
from propagation.bench.protocol import (
    Floats,
    clip_paths,
    mean_squared_error,
    one_opencv_thread,
    psnr,
    read_clip,
    to_jsonable,
    to_rgb8,
)
from propagation.errors import MediaError
from propagation.video.images import write_image

Progress = Callable[[int, int, str], None]

CLIPS = ("corgi", "music")
SHOWN_FRAMES = (20, 100, 200)
GAIN_DB = 2.0  # above the DIS chain at the last of them
ANNOTATIONS = ("true key", "300 superpixel samples")
_STRIP_WIDTH_PX = 480
_TITLE_PX = 24


@dataclass(frozen=True)
class LongScore:
    """Mean squared error of a and b at one frame, of ours and of the DIS chain from the same key."""

    clip: str
    annotation: str
    frame: int
    ours: float
    chain: float


@dataclass(frozen=True)
class LongTable:
    """Every score of a run."""

    scores: tuple[LongScore, ...]
    pictures: tuple[str, ...]
    machine: str

    def error(self, annotation: str, frame: int, of_chain: bool) -> float:
        """Mean squared error at a frame, over clips; NaN without any."""
        found = [
            score.chain if of_chain else score.ours
            for score in self.scores
            if score.annotation == annotation and score.frame == frame
        ]
        return float(np.mean(found)) if found else float("nan")

    def markdown(self) -> str:
        """One row an annotation and clip, one column a frame."""
        frames = list(dict.fromkeys(score.frame for score in self.scores))
        lines = [
            f"| PSNR ab, dB: Huecast / DIS chain | {' | '.join(f'frame {frame}' for frame in frames)} |",
            f"| --- |{' --- |' * len(frames)}",
        ]
        for annotation in dict.fromkeys(score.annotation for score in self.scores):
            for clip in dict.fromkeys(score.clip for score in self.scores):
                of_clip = {s.frame: s for s in self.scores if (s.clip, s.annotation) == (clip, annotation)}
                cells = [_cell(of_clip[frame].ours, of_clip[frame].chain) for frame in frames]
                lines.append(f"| {clip}, {annotation} | {' | '.join(cells)} |")
            pooled = [[self.error(annotation, frame, of_chain) for of_chain in (False, True)] for frame in frames]
            lines.append(f"| all, {annotation} | {' | '.join(_cell(*pair) for pair in pooled)} |")
        gain = psnr(self.error(ANNOTATIONS[0], frames[-1], False)) - psnr(self.error(ANNOTATIONS[0], frames[-1], True))
        reached = "reached" if gain >= GAIN_DB else "not reached"
        lines += ["", f"Frame {frames[-1]} from the true key: {gain:+.2f} dB (floor {GAIN_DB:+.1f}): {reached}."]
        lines += [f"Pictures: {', '.join(self.pictures)}"] if self.pictures else []
        return "\n".join([*lines, "", self.machine])

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes."""
        return dict(to_jsonable({**vars(self), "scores": [vars(score) for score in self.scores]}))


def run(
    folder: Path,
    fill: Fill,
    method: Carry,
    out: Path | None = None,
    *,
    clips: Sequence[str] | None = None,
    frames: Sequence[int] = SHOWN_FRAMES,
    progress: Progress | None = None,
) -> LongTable:
    """Carries frame 0 of each clip to the last of `frames`, its true colors and what `fill` makes of samples of them.

    Pictures (truth, DIS chain, ours, a column each frame) are written into `out`, which is made, over those of an
    earlier run. Raises MediaError for a clip that is unreadable or too short, OutputError where `out` is in the way.
    """
    scores: list[LongScore] = []
    pictures: list[str] = []
    count = max(frames) + 1
    with one_opencv_thread():
        paths = clip_paths(folder, list(clips or CLIPS))
        for number, path in enumerate(paths):
            lab = read_clip(path, count)
            if len(lab) < count:
                raise MediaError(f"has {len(lab)} frames, and frame {count - 1} is to be reached", path=path)
            lightness = [np.ascontiguousarray(frame[..., 0]) for frame in lab]
            motion = baselines.Motion(lightness)
            for place, annotation in enumerate(ANNOTATIONS):
                truth = np.ascontiguousarray(lab[0][..., 1:])
                key = truth if place == 0 else painted_key(fill, lightness[0], truth)
                chain = _kept(baselines.dis_chain(motion, 0, key, range(1, count)), frames)
                ours = _kept(method(lightness, {0: key}, count), frames)
                for frame in frames:
                    true = lab[frame][..., 1:]
                    errors = (mean_squared_error(each[frame], true) for each in (ours, chain))
                    scores.append(LongScore(path.stem, annotation, frame, *errors))
                if out is not None:
                    name = f"{path.stem}-{('key', 'samples')[place]}.png"
                    pictures.append(_write(out / name, [lab[n] for n in frames], frames, chain, ours))
                if progress is not None:
                    progress(2 * number + place + 1, 2 * len(paths), f"{path.stem}: {annotation}")
    return LongTable(tuple(scores), tuple(pictures), machine_line())


def _kept(carried: Any, frames: Sequence[int]) -> dict[int, Floats]:
    pairs = carried.items() if hasattr(carried, "items") else carried
    return {frame: ab for frame, ab in pairs if frame in frames}


def _write(
    path: Path, lab: Sequence[Floats], frames: Sequence[int], chain: dict[int, Floats], ours: dict[int, Floats]
) -> str:
    """Rows truth, DIS chain, ours; columns frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = []
    for title, ab in (("truth", None), ("DIS chain", chain), ("Huecast", ours)):
        cells = []
        for frame, picture in zip(frames, lab, strict=True):
            color = picture[..., 1:] if ab is None else ab[frame]
            cells.append(_titled(to_rgb8(picture[..., 0], np.ascontiguousarray(color)), f"{title}, frame {frame}"))
        rows.append(np.hstack(cells))
    write_image(path, np.vstack(rows), overwrite=True)
    return str(path)


def _titled(rgb: NDArray[np.uint8], title: str) -> NDArray[np.uint8]:
    height = round(rgb.shape[0] * _STRIP_WIDTH_PX / rgb.shape[1])
    small = cv2.resize(rgb, (_STRIP_WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    picture = np.zeros((height + _TITLE_PX, _STRIP_WIDTH_PX, 3), np.uint8)
    picture[_TITLE_PX:] = small
    cv2.putText(picture, title, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _cell(ours: float, chain: float) -> str:
    return f"{psnr(ours):.2f} / {psnr(chain):.2f}"
