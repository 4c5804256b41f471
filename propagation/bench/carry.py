"""Key frames carried along a clip: ours beside every baseline, scored as the protocol has it.

A method is any `carry(lightness, keys, count)`: `lightness` holds `count` frames (H, W) float32 L* 0..100, `keys` maps
frame numbers to their (H, W, 2) colors; it returns or yields (frame, (H, W, 2)) in frame order, key frames optional.
One-sided methods are called once for each interval, with its frames numbered from 0 and its one key; two-sided methods
once a clip, with every key.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from propagation.bench import baselines
from propagation.bench.machine import YARDSTICK_PIXELS, dis_medium_ms, machine_line
from propagation.bench.protocol import (
    FRAME_LIMIT,
    SHORTEST_CLIP_FRAMES,
    Floats,
    clip_paths,
    flicker_error,
    mean_squared_error,
    one_opencv_thread,
    psnr,
    read_clip,
    to_jsonable,
)

Carried = Mapping[int, Floats] | Iterable[tuple[int, Floats]]
Carry = Callable[[Sequence[Floats], Mapping[int, Floats], int], Carried]
PaintKey = Callable[[Floats, Floats], Floats]
Progress = Callable[[int, int, str], None]

PROTOCOL_EVERY = (10, 20, 30, 40)
HOLD, CHAIN, FRAME_BY_FRAME, TWO_SIDED = "hold", "DIS chain", "DIS frame by frame", "DIS two-sided"
BASELINES = (HOLD, CHAIN, FRAME_BY_FRAME, TWO_SIDED)


@dataclass(frozen=True)
class CarryScore:
    """One method on one clip with a key every `every` frames; the tuples have one entry for each frame but the keys.

    `ages`: frames since the last key. `errors`: mean squared error of a and b. `energies`: ln(|ab|^2 / |true ab|^2),
    NaN where either is grey. `flickers`: mean squared flicker, for each neighboring pair of frames without a key.
    `key_error`: mean squared error of the keys themselves, 0 unless they were painted. `frame_ms`: time a frame, None
    for baselines, which share their flows.
    """

    clip: str
    method: str
    every: int
    two_sided: bool
    size: tuple[int, int]
    frames: tuple[int, ...]
    ages: tuple[int, ...]
    errors: tuple[float, ...]
    energies: tuple[float, ...]
    flickers: tuple[float, ...]
    key_error: float
    frame_ms: float | None


@dataclass(frozen=True)
class CarryTable:
    """Every score of a run, and the machine it was made on."""

    folder: str
    frames: int
    scores: tuple[CarryScore, ...]
    machine: str
    dis_ms: float

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(score.method for score in self.scores))

    def of(self, method: str, every: int) -> list[CarryScore]:
        """The scores of `method` with a key every `every` frames, by clip."""
        return [score for score in self.scores if score.method == method and score.every == every]

    def mean_error(self, method: str, every: int, ages: range | None = None) -> float:
        """Mean squared error pooled over all frames but keys, or those of certain `ages`; NaN when there is none."""
        errors = [
            error
            for score in self.of(method, every)
            for age, error in zip(score.ages, score.errors, strict=True)
            if ages is None or age in ages
        ]
        return statistics.fmean(errors) if errors else math.nan

    def psnr(self, method: str, every: int, ages: range | None = None) -> float:
        """PSNR ab in dB of the pooled error, of all frames or of certain ages: `range(35, 41)` is far from the key."""
        return psnr(self.mean_error(method, every, ages))

    def flicker(self, method: str, every: int) -> float:
        """RMSE of (our change - the truth's change) between neighboring frames, in units of a and b."""
        errors = [error for score in self.of(method, every) for error in score.flickers]
        return statistics.fmean(errors) ** 0.5 if errors else math.nan

    def energy(self, method: str, every: int, age: int = 30) -> float:
        """Mean over clips of |ln(|ab|^2 / |true ab|^2)| at `age`: 0 where colors neither wash out nor grow."""
        clips = []
        for score in self.of(method, every):
            at_age = [abs(e) for a, e in zip(score.ages, score.energies, strict=True) if a == age and not math.isnan(e)]
            clips += [statistics.fmean(at_age)] if at_age else []
        return statistics.fmean(clips) if clips else math.nan

    def frame_ms(self, method: str) -> float:
        """Median over clips of the time a frame, in ms, scaled to 854x480 pixels; NaN for baselines."""
        times = [
            score.frame_ms * YARDSTICK_PIXELS / (score.size[0] * score.size[1])
            for score in self.scores
            if score.method == method and score.frame_ms is not None
        ]
        return statistics.median(times) if times else math.nan

    def markdown(self) -> str:
        """PSNR ab and flicker by distance between keys, then the time a frame."""
        lines = [
            f"| PSNR ab, dB (flicker RMSE) | {' | '.join(self.methods)} |",
            f"| --- |{' --- |' * len(self.methods)}",
        ]
        for every in dict.fromkeys(score.every for score in self.scores):
            cells = [self._cell(method, every) for method in self.methods]
            lines.append(f"| K = {every} | {' | '.join(cells)} |")
        for title, unit in (("ms a frame at 854x480", 1.0), ("in DIS calls", self.dis_ms)):
            times = [self.frame_ms(method) / unit for method in self.methods]
            if all(map(math.isnan, times)):
                break
            cells = ["-" if math.isnan(time_ms) else f"{time_ms:.1f}" for time_ms in times]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        lines += ["", f"DIS MEDIUM at 854x480: {self.dis_ms:.1f} ms. {self.machine}"]
        return "\n".join(lines)

    def _cell(self, method: str, every: int) -> str:
        if not self.of(method, every):
            return "-"
        return f"{self.psnr(method, every):.2f} ({self.flicker(method, every):.2f})"

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes, with the pooled figures under "summary"."""
        rows = dict.fromkeys((score.method, score.every, score.two_sided) for score in self.scores)
        summary = [
            {
                "method": method,
                "every": every,
                "two_sided": two_sided,
                "psnr": self.psnr(method, every),
                "flicker": self.flicker(method, every),
                "energy_30": self.energy(method, every),
                "frame_ms": self.frame_ms(method),
            }
            for method, every, two_sided in rows
        ]
        return dict(to_jsonable({**asdict(self), "summary": summary}))


def run(
    folder: str | Path,
    every: int | Sequence[int] = PROTOCOL_EVERY,
    methods: Mapping[str, Carry] | None = None,
    *,
    two_sided: Mapping[str, Carry] | None = None,
    frames: int = FRAME_LIMIT,
    shortest: int = SHORTEST_CLIP_FRAMES,
    clips: Sequence[str] | None = None,
    with_baselines: Sequence[str] = BASELINES,
    paint_key: PaintKey | None = None,
    progress: Progress | None = None,
) -> CarryTable:
    """Carry a key every `every` frames along the clips of `folder`, with the baselines and `methods`.

    `clips` are names without suffix; clips of fewer than `shortest` frames are left out. `paint_key(lightness, ab)`
    makes the color that every method and baseline is given for a key (else the truth). `progress(done, total, text)` is
    called after every method on every clip. Raises MediaError for an unreadable clip, ValueError when a method leaves a
    frame out or returns something that is not its picture.
    """
    distances = [every] if isinstance(every, int) else list(every)
    contenders = [_Contender(name, name == TWO_SIDED, None) for name in with_baselines]
    contenders += [_Contender(name, False, carry) for name, carry in (methods or {}).items()]
    contenders += [_Contender(name, True, carry) for name, carry in (two_sided or {}).items()]
    paths = clip_paths(folder, clips)
    total = len(paths) * len(distances) * len(contenders)
    scores: list[CarryScore] = []
    with one_opencv_thread():
        for number, path in enumerate(paths):
            lab = read_clip(path, frames)
            clip = _Clip(path.stem, lab, paint_key) if len(lab) >= shortest else None
            work = [(distance, contender) for distance in distances for contender in contenders]
            for done, (distance, contender) in enumerate(work, start=number * len(work) + 1):
                if clip is not None:
                    scores.append(_score(clip, contender, distance))
                if progress is not None:
                    progress(done, total, f"{path.stem}: K = {distance}, {contender.name}")
    return CarryTable(Path(folder).name, frames, tuple(scores), machine_line(), dis_medium_ms())


@dataclass(frozen=True)
class _Contender:
    """A row of the table; `carry` None is the baseline of that name."""

    name: str
    two_sided: bool
    carry: Carry | None


class _Clip:
    """A clip's frames taken apart, with the motion and the key colors that all contenders share."""

    def __init__(self, name: str, lab: Sequence[Floats], paint_key: PaintKey | None) -> None:
        self.name = name
        self.lightness = [np.ascontiguousarray(frame[..., 0]) for frame in lab]
        self.truth = [np.ascontiguousarray(frame[..., 1:]) for frame in lab]
        self.motion = baselines.Motion(self.lightness)
        self.count = len(lab)
        self._paint_key = paint_key
        self._keys: dict[int, Floats] = {}

    def key(self, frame: int) -> Floats:
        """The color that is given away for a key frame."""
        if frame not in self._keys:
            truth = self.truth[frame].copy()
            self._keys[frame] = truth if self._paint_key is None else self._paint_key(self.lightness[frame], truth)
        return self._keys[frame].copy()


def _score(clip: _Clip, contender: _Contender, every: int) -> CarryScore:
    keys = range(0, clip.count, every)
    ages: list[int] = []
    errors: list[float] = []
    energies: list[float] = []
    flickers: list[float] = []
    frames: list[int] = []
    seconds = 0.0
    before: tuple[int, Floats] | None = None
    outputs = _outputs(clip, contender, every)
    while True:
        start = time.perf_counter()
        output = next(outputs, None)
        seconds += time.perf_counter() - start
        if output is None:
            break
        frame, ab = output
        if frame % every == 0:
            continue
        truth = _checked(clip, contender, frame, ab)
        frames.append(frame)
        ages.append(frame % every)
        errors.append(mean_squared_error(ab, truth))
        energies.append(_log_energy_ratio(ab, truth))
        if before is not None and before[0] == frame - 1:
            flow = clip.motion.flow(frame, frame - 1)
            flickers.append(flicker_error((before[1], ab), (clip.truth[frame - 1], truth), flow))
        before = (frame, ab)
    wanted = [frame for frame in range(clip.count) if frame % every]
    if frames != wanted:
        raise ValueError(f"{contender.name} did not return the frames of {clip.name} one after another, each once")
    key_errors = [mean_squared_error(clip.key(key), clip.truth[key]) for key in keys]
    height, width = clip.lightness[0].shape
    return CarryScore(
        clip=clip.name,
        method=contender.name,
        every=every,
        two_sided=contender.two_sided,
        size=(width, height),
        frames=tuple(frames),
        ages=tuple(ages),
        errors=tuple(errors),
        energies=tuple(energies),
        flickers=tuple(flickers),
        key_error=statistics.fmean(key_errors),
        frame_ms=None if contender.carry is None else 1000 * seconds / max(1, len(frames)),
    )


def _outputs(clip: _Clip, contender: _Contender, every: int) -> Iterator[tuple[int, Floats]]:
    """What a contender makes of the clip, frames numbered in the clip."""
    keys = range(0, clip.count, every)
    carry = contender.carry
    if carry is not None and contender.two_sided:
        yield from _pairs(carry(clip.lightness, {key: clip.key(key) for key in keys}, clip.count))
        return
    for key in keys:
        end = min(key + every, clip.count)
        if carry is None:
            yield from _baseline(clip, contender.name, key, end)
        else:
            for frame, ab in _pairs(carry(clip.lightness[key:end], {0: clip.key(key)}, end - key)):
                yield key + frame, ab


def _baseline(clip: _Clip, name: str, key: int, end: int) -> Iterator[tuple[int, Floats]]:
    ab, order = clip.key(key), range(key + 1, end)
    if name == HOLD:
        return baselines.hold(ab, order)
    if name == FRAME_BY_FRAME:
        return baselines.dis_frame_by_frame(clip.motion, key, ab, order)
    if name == TWO_SIDED and end < clip.count:
        return baselines.dis_two_sided(clip.motion, (key, end), (ab, clip.key(end)))
    return baselines.dis_chain(clip.motion, key, ab, order)


def _pairs(carried: Carried) -> Iterator[tuple[int, Floats]]:
    return iter(sorted(carried.items()) if isinstance(carried, Mapping) else carried)


def _checked(clip: _Clip, contender: _Contender, frame: int, ab: Floats) -> Floats:
    """The truth to hold `ab` against; ValueError when it cannot be."""
    if not 0 <= frame < clip.count:
        raise ValueError(f"{contender.name} returned frame {frame} of {clip.name}, which has {clip.count}")
    truth = clip.truth[frame]
    if ab.shape != truth.shape or not np.isfinite(ab).all():
        raise ValueError(f"{contender.name} returned no {truth.shape} of finite numbers for {clip.name}, frame {frame}")
    return truth


def _log_energy_ratio(ab: Floats, truth: Floats) -> float:
    ours, theirs = (float(np.sum(np.square(colors, dtype=np.float64))) for colors in (ab, truth))
    return math.log(ours / theirs) if ours > 0 and theirs > 0 else math.nan
