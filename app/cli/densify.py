"""`densify`: fills one picture from sparse color hints."""

from __future__ import annotations

from pathlib import Path

import click

from app.cli.options import compute_options, output_options
from app.cli.progress import print_outcome, run_job


@click.command("densify", short_help="Fill one picture from sparse color hints.")
@click.argument("image")
@click.option(
    "--hints", required=True, metavar="IMAGE", help="An RGBA picture of the same size: color where alpha > 0."
)
@click.option("-o", "--output", "out", required=True, metavar="OUT", help="The PNG to write.")
@click.option("--reach", metavar="PATH", help="Also write how far the hints reach, white where they rule (PNG).")
@compute_options
@output_options
def command(
    image: str,
    hints: str,
    out: str,
    reach: str | None,
    device: str,
    threads: int | None,
    size: int,
    force: bool,
    progress_form: str,
) -> None:
    """Fill IMAGE from sparse color hints; its own lightness is kept."""
    from app import machine
    from app.jobs import CancelToken, DensifySettings, densify_job

    machine.set_threads(threads)
    settings = DensifySettings(
        image=Path(image),
        hints=Path(hints),
        out=Path(out),
        reach=None if reach is None else Path(reach),
        device=device,
        size=size,
        force=force,
    )
    cancel = CancelToken()
    print_outcome(run_job(densify_job(settings, cancel), cancel, progress_form), progress_form)
