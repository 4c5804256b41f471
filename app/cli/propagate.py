"""`propagate`: carries the colors of key frames and hints through a clip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from app.cli.hdr import HdrOptions, hdr_options, propagate_hdr
from app.cli.options import FrameFile, FrameRange, compute_options, output_options
from app.cli.progress import print_outcome, run_job
from app.cli.render import render

if TYPE_CHECKING:
    from app.project.document import Project

PROJECT_SUFFIX = ".huecast"


@click.command("propagate", short_help="Carry the colors of key frames or hints through a clip.")
@click.argument("clip", metavar="CLIP|PROJECT")
@click.option("--key", "keys", type=FrameFile(), multiple=True, help="A full edited picture of frame N. Repeatable.")
@click.option(
    "--hints",
    type=FrameFile(),
    multiple=True,
    help="An RGBA picture of frame N: color where alpha > 0, alpha is the strength (255 keeps it exactly). Repeatable.",
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="OUT",
    help="A .mp4, .mkv or .mov file, a pattern such as %05d.png, or a folder. Default for a project: a .mp4 beside it.",
)
@click.option(
    "--range",
    "frames",
    type=FrameRange(),
    help="Frames to color: A <= n < B. Default: all of them; of a project those between its marks.",
)
@click.option(
    "--property", type=click.Choice(["color", "hdr"]), default="color", show_default=True, help="What is carried."
)
@click.option("--from-grey", is_flag=True, help="Drop the clip's own color first.")
@hdr_options
@compute_options
@output_options
@click.pass_context
def command(
    context: click.Context,
    clip: str,
    keys: tuple[tuple[int, str], ...],
    hints: tuple[tuple[int, str], ...],
    out: str | None,
    frames: tuple[int, int | None] | None,
    property: str,
    from_grey: bool,
    device: str,
    threads: int | None,
    size: int,
    force: bool,
    progress_form: str,
    **hdr: Any,
) -> None:
    """Carry the colors of key frames or hints through CLIP: a video, a folder of images or a pattern like %05d.png.

    A PROJECT (.huecast) brings its own key frames, range and settings; --size and --from-grey override them.

    Frames count from 0 whatever their file numbers. Key frames may lie outside the range. Frames outside it, and
    shots without a key frame, leave as they came; the clip's own lightness is kept everywhere.

    With --property hdr the keys are HDR pictures (EXR, Radiance HDR, float TIFF, 16-bit PNG in PQ or HLG), and OUT is a
    pattern such as %05d.exr or %05d.png (16 bits, PQ or HLG). Well exposed pixels are the clip's own, linearised;
    clipped and crushed ones take the keys' light. The frames of the range are written.
    """
    from app import machine
    from app.jobs import CancelToken, PropagateSettings, propagate_job
    from app.keyframes import Keyframe

    machine.set_threads(threads)
    if Path(clip).suffix.lower() == PROJECT_SUFFIX:
        if keys or hints:
            raise click.UsageError("A project brings its own key frames; add others in the window.")
        chosen_size = size if context.get_parameter_source("size") is ParameterSource.COMMANDLINE else None
        project = _overridden(Path(clip), chosen_size, from_grey)
        render(project, Path(out) if out else Path(clip).with_suffix(".mp4"), frames, device, force, progress_form)
        return
    if out is None:
        raise click.UsageError("Missing option '-o' / '--output'.")
    if property == "hdr":
        if hints or from_grey:
            raise click.UsageError("--hints and --from-grey belong to color, not to --property hdr.")
        options = HdrOptions(**hdr)
        propagate_hdr(Path(clip), Path(out), keys, frames or (0, None), device, size, force, options, progress_form)
        return
    given = [Keyframe(index, "key", Path(path)) for index, path in keys]
    given += [Keyframe(index, "hints", Path(path)) for index, path in hints]
    start, stop = frames or (0, None)
    settings = PropagateSettings(
        clip=Path(clip),
        out=Path(out),
        keyframes=tuple(given),
        start=start,
        stop=stop,
        device=device,
        size=size,
        from_grey=from_grey,
        force=force,
    )
    cancel = CancelToken()
    print_outcome(run_job(propagate_job(settings, cancel), cancel, progress_form), progress_form)


def _overridden(path: Path, size: int | None, from_grey: bool) -> Project:
    """The project at `path` with the settings that the command line names."""
    from app.exporting import project_to_export

    project = project_to_export(path)
    settings = project.settings
    return replace(
        project,
        settings=replace(
            settings, work_size=size or settings.work_size, from_grey=from_grey or settings.from_grey
        ),
    )
