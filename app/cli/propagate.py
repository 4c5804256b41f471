"""`propagate`: carries the colors of key frames and hints through a clip."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.options import FrameFile, FrameRange, compute_options, output_options
from app.cli.progress import print_outcome, run_job


@click.command("propagate", short_help="Carry the colors of key frames or hints through a clip.")
@click.argument("clip")
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
    required=True,
    metavar="OUT",
    help="A .mp4, .mkv or .mov file, a pattern such as %05d.png, or a folder.",
)
@click.option(
    "--range", "frames", type=FrameRange(), default=":", help="Frames to color: A <= n < B. Default: all of them."
)
@click.option("--property", type=click.Choice(["color"]), default="color", show_default=True, help="What is carried.")
@click.option("--from-grey", is_flag=True, help="Drop the clip's own color first.")
@compute_options
@output_options
def command(
    clip: str,
    keys: tuple[tuple[int, str], ...],
    hints: tuple[tuple[int, str], ...],
    out: str,
    frames: tuple[int, int | None],
    property: str,
    from_grey: bool,
    device: str,
    threads: int | None,
    size: int,
    force: bool,
    progress_form: str,
) -> None:
    """Carry the colors of key frames or hints through CLIP: a video, a folder of images or a pattern like %05d.png.

    Frames count from 0 whatever their file numbers. Key frames may lie outside the range. Frames outside it, and
    shots without a key frame, leave as they came; the clip's own lightness is kept everywhere.
    """
    from app import machine
    from app.jobs import CancelToken, PropagateSettings, propagate_job
    from app.keyframes import Keyframe

    machine.set_threads(threads)
    given = [Keyframe(index, "key", Path(path)) for index, path in keys]
    given += [Keyframe(index, "hints", Path(path)) for index, path in hints]
    settings = PropagateSettings(
        clip=Path(clip),
        out=Path(out),
        keyframes=tuple(given),
        start=frames[0],
        stop=frames[1],
        device=device,
        size=size,
        from_grey=from_grey,
        force=force,
    )
    cancel = CancelToken()
    print_outcome(run_job(propagate_job(settings, cancel), cancel, progress_form), progress_form)
