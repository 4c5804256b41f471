"""The part of `propagate` that carries HDR: its options, and the job they start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from app.cli.progress import print_outcome, run_job

# Named here as well as in propagation/, so that --help imports neither OpenCV nor OpenEXR; a test compares them.
ENCODINGS = ("linear", "pq", "hlg")
TONE_CURVES = ("clip", "knee", "reinhard")


@dataclass(frozen=True)
class HdrOptions:
    """The values of `hdr_options`."""

    key_encoding: str | None
    encoding: str | None
    pixel_type: str
    compression: str
    preview: str | None
    tone_curve: str
    keep_noise: bool


def hdr_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of --property hdr."""
    decorators = [
        click.option(
            "--key-encoding",
            type=click.Choice(ENCODINGS),
            help="hdr: how the keys' values are coded. Default: their tag.",
        ),
        click.option(
            "--encoding", type=click.Choice(["pq", "hlg"]), help="hdr: coding of 16-bit PNG output. Default: pq."
        ),
        click.option(
            "--pixel-type",
            type=click.Choice(["auto", "half", "float"]),
            default="auto",
            show_default=True,
            help="hdr: of EXR output; auto is half where that keeps the keys exactly.",
        ),
        click.option(
            "--compression", type=click.Choice(["zip", "piz"]), default="zip", show_default=True, help="hdr: of EXR."
        ),
        click.option("--preview", metavar="OUT", help="hdr: an 8-bit video or pictures besides, for ordinary screens."),
        click.option(
            "--tone-curve",
            type=click.Choice(TONE_CURVES),
            default="knee",
            show_default=True,
            help="hdr: the preview's tone curve.",
        ),
        click.option(
            "--keep-noise",
            is_flag=True,
            help="hdr: leave well exposed pixels exactly the clip's, its noise and rounding included.",
        ),
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def propagate_hdr(
    clip: Path,
    out: Path,
    keys: tuple[tuple[int, str], ...],
    frames: tuple[int, int | None],
    device: str,
    size: int,
    force: bool,
    options: HdrOptions,
    progress_form: str,
) -> None:
    """Runs the HDR job in the terminal. Raises UsageError for a frame with two keys."""
    from app.hdr import HdrSettings, hdr_job
    from app.progress import CancelToken
    from propagation.video.hdr_writer import HdrFormat

    if len({index for index, _ in keys}) != len(keys):
        raise click.UsageError("One frame has two keys.")
    settings = HdrSettings(
        clip=clip,
        out=out,
        keys={index: Path(path) for index, path in keys},
        start=frames[0],
        stop=frames[1],
        device=device,
        size=size,
        force=force,
        key_encoding=options.key_encoding,  # type: ignore[arg-type]  # click.Choice holds it to these
        form=HdrFormat(options.pixel_type, options.compression, options.encoding),  # type: ignore[arg-type]
        preview=None if options.preview is None else Path(options.preview),
        tone_curve=options.tone_curve,
        keep_noise=options.keep_noise,
    )
    cancel = CancelToken()
    outcome = run_job(hdr_job(settings, cancel), cancel, progress_form)
    print_outcome(outcome, progress_form, "reached", "reached by a key")
