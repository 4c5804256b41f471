"""`demo`: the main job on the two clips that come with the program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.options import compute_options, progress_option
from app.cli.progress import print_json, run_job

if TYPE_CHECKING:
    from app.demo import DemoOutcome
    from app.progress import CancelToken


@click.command("demo", short_help="Run the main job on the two clips that come with the program.")
@click.option(
    "-o", "--output", "folder", default="output/demo", show_default=True, metavar="FOLDER", help="Where to write."
)
@click.option("--hdr", is_flag=True, help="Make a clip HDR from one HDR key frame instead.")
@compute_options
@progress_option
def command(folder: str, hdr: bool, device: str, threads: int | None, size: int, progress_form: str) -> None:
    """Color a film of 1940 from scribbles, and a flower from one key frame, with a contact sheet of each.

    With --hdr a sunset and a flower become HDR. Files of an earlier demo are replaced.
    """
    from app import machine
    from app.demo import DemoSettings, demo_job
    from app.progress import CancelToken

    machine.set_threads(threads)
    cancel = CancelToken()
    if hdr:
        _hdr(Path(folder), device, size, cancel, progress_form)
        return
    settings = DemoSettings(Path(folder), device=device, size=size)
    outcome = run_job(demo_job(settings, cancel), cancel, progress_form)
    if progress_form == "json":
        files = [str(path.resolve()) for path in (*outcome.videos, *outcome.sheets)]
        print_json({"stage": "done", "files": files, "psnr_ab": dict(outcome.psnr)})
    else:
        _print_outcome(outcome)


def _hdr(folder: Path, device: str, size: int, cancel: CancelToken, progress_form: str) -> None:
    from app.demo_hdr import TRUTH_FRAME, hdr_demo_job

    outcome = run_job(hdr_demo_job(folder, size, cancel, device=device), cancel, progress_form)
    made = (outcome.pictures, outcome.preview, outcome.sheet, outcome.flower_pictures, outcome.flower_sheet)
    files = [str(path.resolve()) for path in made]
    if progress_form == "json":
        print_json({"stage": "done", "files": files, "log_rmse": outcome.log_rmse})
        return
    click.echo(f"Frame {TRUTH_FRAME} against its true light, RMSE of log10 on clipped pixels:")
    for name, error in outcome.log_rmse.items():
        click.echo(f"  {name:<20} {error:6.3f}")
    click.echo("HDR pictures, a preview for ordinary screens, and a contact sheet at three exposures,")
    click.echo("then pictures and sheet of a film whose key was made HDR by hand:")
    for file in files:
        click.echo(f"  {file}")


def _print_outcome(outcome: DemoOutcome) -> None:
    click.echo("The flower against its true color, PSNR of a and b in dB, one key frame for the whole clip:")
    for name, decibels in outcome.psnr.items():
        click.echo(f"  {name:<20} {decibels:6.2f}")
    click.echo("Videos:")
    for path in outcome.videos:
        click.echo(f"  {path.resolve()}")
    click.echo("Contact sheets:")
    for path in outcome.sheets:
        click.echo(f"  {path.resolve()}")
