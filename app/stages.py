"""The stages that the command line and the window share: the search for cuts, and key frames made dense."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from app.keyframes import Keyframe, Painted, shrink, shrink_hints
from app.lightness import LightnessReader
from app.pipeline import Cuts, Pipeline
from app.progress import CancelToken, Progress


def search_cuts(
    lightness: LightnessReader, frames: range, keyframes: Sequence[Keyframe], pipeline: Pipeline
) -> Cuts:
    """The search for cuts between the range and the key frames; what it reads `lightness` keeps."""
    indices = [frames.start, frames.stop - 1, *(keyframe.index for keyframe in keyframes)]
    return pipeline.search_cuts(lightness.frame, range(min(indices), max(indices) + 1))


class CutNews:
    """Tells of every cut once, when it is found."""

    def __init__(self, search: Cuts) -> None:
        self._search, self._told = search, 0

    def words(self) -> str:
        """Of the cuts found since it was asked last; empty where there are none."""
        new = [cut for cut in self._search.cuts if cut > self._told]
        if not new:
            return ""
        self._told = new[-1]
        return f"A new shot begins at frame {' and at '.join(map(str, new))}."


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
