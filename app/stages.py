"""The stages that the command line's propagation and the window's share: shots, and key frames made dense."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from app.keyframes import Keyframe, Painted, shrink, shrink_hints
from app.lightness import LightnessReader
from app.pipeline import Pipeline
from app.progress import CancelToken, Progress, watched

if TYPE_CHECKING:
    from propagation.video.reader import Clip


def find_shots(
    clip: Clip, frames: range, keyframes: Sequence[Keyframe], pipeline: Pipeline, cancel: CancelToken
) -> Generator[Progress, None, list[int]]:
    """The first frame of every shot but the first, between the range and the key frames, in order."""
    indices = [keyframe.index for keyframe in keyframes]
    reached = range(min(frames.start, *indices), max(frames.stop - 1, *indices) + 1)
    cuts = yield from watched(
        lambda on_frame: pipeline.find_cuts(clip, reached.start, reached.stop, on_frame=on_frame),
        "shots",
        reached,
        cancel,
    )
    message = f"Found {len(cuts) + 1} shots; the cuts are at {', '.join(map(str, cuts))}." if cuts else ""
    yield Progress("shots", len(reached), len(reached), message=message)
    return cuts


def make_dense(
    keyframes: Sequence[Keyframe],
    read: Callable[[Keyframe], Painted],
    lightness: LightnessReader,
    densifier: Any,
    pipeline: Pipeline,
    cancel: CancelToken,
) -> Generator[Progress, None, dict[int, Any]]:
    """Every key frame at work size by its frame: a full picture as its own ab; hints, and what a picture does not show,
    filled by `densifier`."""
    dense: dict[int, Any] = {}
    for done, keyframe in enumerate(sorted(keyframes, key=lambda each: each.index)):
        cancel.check()
        painted = read(keyframe)
        if painted.is_whole:
            dense[keyframe.index] = shrink(painted.ab, lightness.shape)
        else:
            prepared = densifier.prepare(lightness.at(keyframe.index), thorough=True)
            cancel.check()
            hints = pipeline.make_hints(*shrink_hints(painted, lightness.shape))
            dense[keyframe.index] = densifier.fill(prepared, hints)
        yield Progress("densify", done + 1, len(keyframes), keyframe.index)
    return dense
