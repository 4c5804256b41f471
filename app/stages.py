"""The stages that the command line's propagation and the window's share: shots, and key frames made dense."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from app.keyframes import Keyframe, Painted, shrink, shrink_hints
from app.lightness import LightnessReader
from app.pipeline import Pipeline
from app.progress import CancelToken, Progress


def search_shots(
    lightness: LightnessReader, frames: range, keyframes: Sequence[Keyframe], pipeline: Pipeline
) -> Any:
    """The search for cuts between the range and the key frames; what it reads `lightness` keeps."""
    indices = [frames.start, frames.stop - 1, *(keyframe.index for keyframe in keyframes)]
    return pipeline.search_shots(lightness.frame, range(min(indices), max(indices) + 1))


def words_on_shots(shots: Any) -> str:
    """What a person should know of the cuts that were found; empty where there are none."""
    cuts = shots.found
    return f"Found {len(cuts) + 1} shots; the cuts are at {', '.join(map(str, cuts))}." if cuts else ""


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
