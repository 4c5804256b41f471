"""A project written out: what the window's Export and the command line's `propagate PROJECT` and `render` both run."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.carrying import in_direction
from app.errors import ProjectError, SourceChangedError, SourceMissingError
from app.jobs import Outcome, PropagateSettings, propagate_job
from app.pipeline import Pipeline, real
from app.progress import CancelToken, Progress
from app.project.document import Project
from app.project.media import SourceState
from app.project.plan import job_keyframes, to_8_bit
from app.project.store import open_project

WORK_SIZE = 480
_RELINK = "open the project in the window and choose File > Relink clip"


@dataclass(frozen=True)
class ExportSettings:
    """What `export_job` does: frames start <= n < stop of `project` to `out`; None stands for the project's range.

    `colors` are results that still hold, ab (h, w, 2) at work size by frame; where they cover the whole range nothing
    is carried again.
    """

    project: Project
    out: Path
    start: int | None = None
    stop: int | None = None
    device: str = "auto"
    force: bool = False
    colors: Mapping[int, NDArray[np.floating]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Known:
    """A frame whose color is known, as carrying gives it."""

    index: int
    values: NDArray[np.float32]


@dataclass(frozen=True)
class _NoSearch:
    """Stands in for the search for cuts, which do not matter any more."""

    cuts: tuple[int, ...] = ()
    finished: bool = True

    def is_cut(self, _: int) -> bool:
        return False


def export_job(
    settings: ExportSettings, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress, None, Outcome]:
    """Writes the project's clip with its color; raises ProjectError without a clip, and what `propagate_job` raises."""
    project = settings.project
    if project.source is None:
        raise ProjectError("the project has no clip", advice="Open a clip first")
    stages = in_direction(pipeline or real(), project.settings.direction)
    run = project.range
    frames = range(
        run.start if settings.start is None else settings.start, run.stop if settings.stop is None else settings.stop
    )
    if frames and all(frame in settings.colors for frame in frames):
        stages = _with_known(stages, settings.colors)
    return (
        yield from propagate_job(
            PropagateSettings(
                clip=Path(project.source.path),
                out=settings.out,
                keyframes=job_keyframes(project, frame_reader(project)),
                start=frames.start,
                stop=frames.stop,
                device=settings.device,
                size=project.settings.work_size or WORK_SIZE,
                from_grey=project.settings.from_grey,
                force=settings.force,
            ),
            cancel,
            stages,
        )
    )


def project_to_export(path: Path) -> Project:
    """The project at `path`, its clip found. Raises ProjectError, SourceMissingError and SourceChangedError.

    Nobody is there to judge a clip that is not the one the project was made on, so it is refused.
    """
    opened = open_project(path)
    found = opened.source
    if found.state is SourceState.NONE:
        raise ProjectError("the project has no clip", path=path, advice="Open it in the window and give it one")
    if found.state is SourceState.MISSING:
        places = " and at ".join(str(place) for place in found.looked_at)
        raise SourceMissingError(
            f"the project's clip is not where it was; looked at {places}" if places else "the project names no clip",
            path=path,
            advice=f"Put it there, or {_RELINK}",
        )
    if found.state is SourceState.CHANGED:
        raise SourceChangedError(
            f"the project's clip {found.path} was changed or replaced",
            path=path,
            advice=f"Put the old one back, or {_RELINK}",
        )
    return opened.project


def frame_reader(project: Project) -> Any:
    """A function that gives a frame of the project's clip as (H, W, 3) uint8, opening the clip for each."""

    def read(index: int) -> NDArray[np.uint8]:
        from propagation.video.reader import open_clip

        if project.source is None:
            raise ProjectError("the project has no clip", advice="Open a clip first")
        with open_clip(Path(project.source.path)) as clip:
            return to_8_bit(clip.frame(index).image[..., :3])

    return read


def _with_known(stages: Pipeline, colors: Mapping[int, NDArray[np.floating]]) -> Pipeline:
    """`stages` that hand out colors known already instead of carrying."""

    def carry(*args: Any, **_: Any) -> Iterator[_Known]:
        start, stop = args[2], args[3]
        return (_Known(n, np.asarray(colors[n], np.float32)) for n in range(start, stop))

    return replace(stages, carry=carry, load_carrier=lambda device: None, search_cuts=lambda *_: _NoSearch())
