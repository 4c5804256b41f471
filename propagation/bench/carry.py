"""Key frames carried along a clip: ours beside every baseline, scored as the protocol has it.

A method is any `carry(lightness, keys, count)`: `lightness` holds `count` frames (H, W) float32 L* 0..100, `keys` maps
frame numbers to their (H, W, 2) colors; it returns or yields (frame, (H, W, 2)) in frame order, key frames optional.
One-sided methods are called once for each key, with its interval's frames numbered from 0; two-sided methods once a
clip, with every key. Where several distances between keys are measured in one run, intervals that begin at one key are
one walk, as long as the longest: what a one-sided method makes of a frame may depend on the frames up to it alone.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from propagation.bench import baselines
from propagation.bench.carry_table import (
    BASELINES,
    CHAIN,
    FIRST_FRAMES,
    FRAME_BY_FRAME,
    HOLD,
    PROTOCOL_EVERY,
    TWO_SIDED,
    CarryScore,
    CarryTable,
)
from propagation.bench.machine import dis_medium_ms, machine_line
from propagation.bench.protocol import (
    FRAME_LIMIT,
    SHORTEST_CLIP_FRAMES,
    Floats,
    clip_paths,
    flicker_error,
    mean_squared_error,
    one_opencv_thread,
    read_clip,
)

Carried = Mapping[int, Floats] | Iterable[tuple[int, Floats]]
Carry = Callable[[Sequence[Floats], Mapping[int, Floats], int], Carried]
PaintKey = Callable[[Floats, Floats], Floats]
Progress = Callable[[int, int, str], None]

__all__ = ["BASELINES", "CHAIN", "FIRST_FRAMES", "FRAME_BY_FRAME", "HOLD", "PROTOCOL_EVERY", "TWO_SIDED", "CarryScore"]
__all__ += ["CarryTable", "run"]

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
    two_sided_every: Sequence[int] | None = None,
    first_frames: int | None = None,
    paint_key: PaintKey | None = None,
    progress: Progress | None = None,
) -> CarryTable:
    """Carry a key every `every` frames along the clips of `folder`, with the baselines and `methods`.

    `clips` are names without suffix; clips of fewer than `shortest` frames are left out. `two_sided_every`: distances
    at which the methods of `two_sided` are measured, all of them unless told. `first_frames`: that many frames of the
    key of frame 0 are scored in addition (`CarryTable.first`), on clips that have them. `paint_key(lightness, ab)`
    makes the color that every method and baseline is given for a key (else the truth). `progress(done, total, text)` is
    called after every method on every clip. Raises MediaError for an unreadable clip, ValueError when a method leaves a
    frame out or returns something that is not its picture.
    """
    distances = [every] if isinstance(every, int) else list(every)
    contenders = [_Contender(name, name == TWO_SIDED, None) for name in with_baselines]
    contenders += [_Contender(name, False, carry) for name, carry in (methods or {}).items()]
    contenders += [_Contender(name, True, carry) for name, carry in (two_sided or {}).items()]
    work = [
        (distance, contender)
        for distance in distances
        for contender in contenders
        if contender.carry is None or not contender.two_sided or distance in (two_sided_every or distances)
    ]
    paths = clip_paths(folder, clips)
    scores: list[CarryScore] = []
    first: list[CarryScore] = []
    with one_opencv_thread():
        for number, path in enumerate(paths):
            lab = read_clip(path, frames)
            clip = _Clip(path.stem, lab, paint_key) if len(lab) >= shortest else None
            walks = None if clip is None else _Walks(clip, distances, first_frames)
            for done, (distance, contender) in enumerate(work, start=number * len(work) + 1):
                if clip is not None and walks is not None:
                    scores.append(_score(clip, walks, contender, distance))
                if progress is not None:
                    progress(done, len(paths) * len(work), f"{path.stem}: K = {distance}, {contender.name}")
            if clip is not None and walks is not None and first_frames is not None and clip.count >= first_frames:
                one_sided = [contender for contender in contenders if not contender.two_sided]
                first += [_score_first(clip, walks, contender, first_frames) for contender in one_sided]
    return CarryTable(Path(folder).name, frames, tuple(scores), machine_line(), dis_medium_ms(), tuple(first))


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


@dataclass(frozen=True)
class _Frame:
    """One output held against the truth; `flicker` is None where the frame before was a key. `seconds`: time taken."""

    frame: int
    error: float
    energy: float
    flicker: float | None
    seconds: float


class _Walks:
    """What one-sided contenders make of a clip, walked from each key once however many intervals begin there."""

    def __init__(self, clip: _Clip, distances: Sequence[int], first_frames: int | None) -> None:
        self._clip = clip
        keys = {key for every in distances for key in range(0, clip.count, every)}
        self._ends = {
            key: max(min(key + every, clip.count) for every in distances if key % every == 0) for key in keys
        }
        if first_frames is not None and clip.count >= first_frames:
            self._ends[0] = max(self._ends[0], first_frames)
        self._frames: dict[tuple[str, int], list[_Frame]] = {}

    def interval(self, contender: _Contender, key: int, end: int) -> list[_Frame]:
        """The frames key < n < end."""
        name = (contender.name, key)
        if name not in self._frames:
            outputs = _from_key(self._clip, contender, key, self._ends[key])
            judged = _judge(self._clip, contender, outputs, {key})
            self._frames[name] = _complete(self._clip, contender, judged, range(key + 1, self._ends[key]))
        return [frame for frame in self._frames[name] if frame.frame < end]


def _score(clip: _Clip, walks: _Walks, contender: _Contender, every: int) -> CarryScore:
    keys = range(0, clip.count, every)
    if contender.two_sided:
        judged = _judge(clip, contender, _with_all_keys(clip, contender, every), set(keys))
        wanted = [frame for frame in range(clip.count) if frame % every]
        frames = _complete(clip, contender, judged, wanted)
    else:
        frames = [frame for key in keys for frame in walks.interval(contender, key, min(key + every, clip.count))]
    return _summed(clip, contender, every, frames, keys)


def _score_first(clip: _Clip, walks: _Walks, contender: _Contender, first_frames: int) -> CarryScore:
    return _summed(clip, contender, first_frames, walks.interval(contender, 0, first_frames), range(1))


def _summed(clip: _Clip, contender: _Contender, every: int, frames: Sequence[_Frame], keys: range) -> CarryScore:
    key_errors = [mean_squared_error(clip.key(key), clip.truth[key]) for key in keys]
    height, width = clip.lightness[0].shape
    seconds = sum(frame.seconds for frame in frames)
    return CarryScore(
        clip=clip.name,
        method=contender.name,
        every=every,
        two_sided=contender.two_sided,
        size=(width, height),
        frames=tuple(frame.frame for frame in frames),
        ages=tuple(frame.frame % every for frame in frames),
        errors=tuple(frame.error for frame in frames),
        energies=tuple(frame.energy for frame in frames),
        flickers=tuple(frame.flicker for frame in frames if frame.flicker is not None),
        key_error=statistics.fmean(key_errors),
        frame_ms=None if contender.carry is None else 1000 * seconds / max(1, len(frames)),
    )


def _judge(
    clip: _Clip, contender: _Contender, outputs: Iterator[tuple[int, Floats]], keys: set[int]
) -> Iterator[_Frame]:
    """Holds outputs against the truth as they come; keys are left out."""
    before: tuple[int, Floats] | None = None
    seconds = 0.0
    while True:
        start = time.perf_counter()
        output = next(outputs, None)
        seconds += time.perf_counter() - start
        if output is None:
            return
        frame, ab = output
        if frame in keys:
            continue
        truth = _checked(clip, contender, frame, ab)
        flicker = None
        if before is not None and before[0] == frame - 1:
            flow = clip.motion.flow(frame, frame - 1)
            flicker = flicker_error((before[1], ab), (clip.truth[frame - 1], truth), flow)
        yield _Frame(frame, mean_squared_error(ab, truth), _log_energy_ratio(ab, truth), flicker, seconds)
        before, seconds = (frame, ab), 0.0


def _complete(clip: _Clip, contender: _Contender, frames: Iterator[_Frame], wanted: Sequence[int]) -> list[_Frame]:
    """All of them; ValueError where one is missing, twice or out of order."""
    found = list(frames)
    if [frame.frame for frame in found] != list(wanted):
        raise ValueError(f"{contender.name} did not return the frames of {clip.name} one after another, each once")
    return found


def _from_key(clip: _Clip, contender: _Contender, key: int, end: int) -> Iterator[tuple[int, Floats]]:
    """What a one-sided contender makes of the frames before `end`, numbered in the clip."""
    if contender.carry is None:
        yield from _baseline(clip, contender.name, key, end)
        return
    for frame, ab in _pairs(contender.carry(clip.lightness[key:end], {0: clip.key(key)}, end - key)):
        yield key + frame, ab


def _with_all_keys(clip: _Clip, contender: _Contender, every: int) -> Iterator[tuple[int, Floats]]:
    """What a two-sided contender makes of the clip."""
    keys = range(0, clip.count, every)
    if contender.carry is not None:
        yield from _pairs(contender.carry(clip.lightness, {key: clip.key(key) for key in keys}, clip.count))
        return
    for key in keys:
        yield from _baseline(clip, contender.name, key, min(key + every, clip.count))


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
