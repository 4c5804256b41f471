"""The job behind Propagate in the window: the stages of `propagate_job`, handing out frames instead of writing them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import machine
from app.jobs import checked_range
from app.keyframes import Keyframe, check_keyframes, read_keyframe, work_shape
from app.lightness import LightnessReader
from app.pipeline import Pipeline, real
from app.progress import CancelToken, Progress, ahead
from app.stages import make_dense, search_cuts


@dataclass(frozen=True)
class CarrySettings:
    """What `carry_job` does: key frames of `clip` carried over start <= n < stop, at `size` pixels' shorter side.

    `direction`: `both` blends the keys on either side, `forward` lets only the key before a frame speak, `backward`
    only the key after it.
    """

    clip: Path
    keyframes: tuple[Keyframe, ...]
    start: int = 0
    stop: int | None = None
    direction: str = "both"
    device: str = "auto"
    size: int = 480


@dataclass(frozen=True)
class ColoredFrame:
    """One frame as it is done: `ab` (h, w, 2) float32 at work size."""

    index: int
    ab: NDArray[np.float32]


def carry_job(
    settings: CarrySettings, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress | ColoredFrame, None, int]:
    """Carries color and yields every frame that gets some, as soon as it is known; returns how many.

    Raises what `propagate_job` raises, and Cancelled within a frame of the stop.
    """
    from propagation.video.reader import open_clip

    with ExitStack() as stack:
        clip = stack.enter_context(open_clip(settings.clip))
        info = clip.info
        frames = checked_range(settings.start, settings.stop, info)
        check_keyframes(settings.keyframes, info.frame_count)
        stages = pipeline or real()
        device = machine.choose_device(settings.device)
        has_hints = any(keyframe.kind == "hints" for keyframe in settings.keyframes)
        densifier = stages.load_densifier(device) if has_hints else None
        lightness = LightnessReader(clip, work_shape(info.height, info.width, settings.size), cancel)
        read = partial(read_keyframe, width=info.width, height=info.height, tags=info.tags)
        dense = yield from make_dense(settings.keyframes, read, lightness, densifier, stages, cancel)
        search = search_cuts(lightness, frames, settings.keyframes, stages)
        carry, carrier = in_direction(stages, settings.direction).carry, stages.load_carrier(device)
        stack.enter_context(machine.side_by_side())
        coming = carry(lightness.at, dense, frames.start, frames.stop, carrier=carrier, is_cut=search.is_cut)
        coming = stack.enter_context(closing(ahead(iter(coming), depth=1)))
        # Left first: the thread behind `ahead` ends at the next frame it asks for.
        stack.enter_context(closing(lightness))
        count = done = 0
        for carried in coming:
            cancel.check()
            if carried is None:
                # The color of the next frame is still on its way to it, through this one.
                yield Progress("color", done, len(frames), lightness.last)
                continue
            count, done = count + 1, carried.index - frames.start + 1
            yield ColoredFrame(carried.index, carried.values)
            yield Progress("color", done, len(frames), carried.index)
    return count


def in_direction(stages: Pipeline, direction: str) -> Pipeline:
    """`stages` whose carrying lets only the keys of `direction` speak."""
    if direction == "both":
        return stages

    def carry(at: Callable[[int], Any], dense: Mapping[int, Any], start: int, stop: int, **how: Any) -> Iterator[Any]:
        for first, last, keys in segments(dense, range(start, stop), direction):
            yield from stages.carry(at, keys, first, last, **how)

    return replace(stages, carry=carry)


def segments(
    dense: Mapping[int, Any], frames: range, direction: str
) -> list[tuple[int, int, dict[int, Any]]]:
    """The runs start <= n < stop that `frames` falls into, each with the keys that speak there."""
    if direction == "both":
        return [(frames.start, frames.stop, dict(dense))]
    numbers = sorted(dense)
    runs = []
    for place, number in enumerate(numbers):
        if direction == "forward":
            start, stop = number, numbers[place + 1] if place + 1 < len(numbers) else frames.stop
        else:
            start, stop = numbers[place - 1] + 1 if place else frames.start, number + 1
        start, stop = max(start, frames.start), min(stop, frames.stop)
        if start < stop:
            runs.append((start, stop, {number: dense[number]}))
    return runs
