"""`render`: writes a project out as the window's Export does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import FrameRange, device_options, output_options
from app.cli.progress import print_outcome, run_job

if TYPE_CHECKING:
    from app.project.document import Project


@click.command("render", short_help="Write a project of the window out, without a screen.")
@click.argument("project")
@click.option(
    "-o",
    "--output",
    "out",
    required=True,
    metavar="OUT",
    help="A .mp4, .mkv or .mov file, a pattern such as %05d.png, or a folder.",
)
@click.option("--range", "frames", type=FrameRange(), help="Frames to color: A <= n < B. Default: the project's marks.")
@device_options
@output_options
def command(
    project: str,
    out: str,
    frames: tuple[int, int | None] | None,
    device: str,
    threads: int | None,
    force: bool,
    progress_form: str,
) -> None:
    """Write PROJECT, a .huecast file, out as the window's Export does: its key frames, range and settings."""
    from app import machine
    from app.exporting import project_to_export

    machine.set_threads(threads)
    render(project_to_export(Path(project)), Path(out), frames, device, force, progress_form)


def render(
    project: Project, out: Path, frames: tuple[int, int | None] | None, device: str, force: bool, progress_form: str
) -> None:
    """Runs the export of `project` in the terminal; `frames` None stands for its own range."""
    from app.exporting import ExportSettings, export_job
    from app.jobs import CancelToken

    start, stop = (None, None) if frames is None else frames
    if frames is not None and stop is None:
        stop = project.frame_count
    cancel = CancelToken()
    job = export_job(ExportSettings(project, out, start, stop, device, force), cancel)
    print_outcome(run_job(job, cancel, progress_form), progress_form)
