"""`hints`: makes sparse color hints for a picture."""

from __future__ import annotations

from pathlib import Path

import click


@click.group("hints", short_help="Make sparse color hints.")
def command() -> None:
    """Make sparse color hints."""


@command.command("sample", short_help="Take hints from a picture in color.")
@click.argument("image")
@click.option("--from", "reference", required=True, metavar="REFERENCE", help="The same picture in color.")
@click.option("--superpixels", type=click.IntRange(min=1), help="One random pixel of each of N superpixels.")
@click.option("--patches", type=click.IntRange(min=1), help="N squares of 6x6 pixels in their mean color.")
@click.option("--strokes", type=click.IntRange(min=1), help="N brush strokes, each inside one region of the reference.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the random choice.")
@click.option("-o", "--output", "out", required=True, metavar="OUT", help="The RGBA PNG to write.")
@click.option("--force", is_flag=True, help="Replace an output that exists.")
def sample(
    image: str,
    reference: str,
    superpixels: int | None,
    patches: int | None,
    strokes: int | None,
    seed: int,
    out: str,
    force: bool,
) -> None:
    """Write hints for IMAGE in the colors of REFERENCE: transparent but where the hints are.

    The picture that `densify --hints` and `propagate --hints` take. Without a count: 300 superpixels, the set-up of the
    published networks.
    """
    from app.hint_sampling import SampleSettings, sample_hints

    counts = {"superpixels": superpixels, "patches": patches, "strokes": strokes}
    given = [(kind, count) for kind, count in counts.items() if count is not None] or [("superpixels", 300)]
    if len(given) > 1:
        raise click.UsageError("give one of --superpixels, --patches and --strokes")
    kind, count = given[0]
    pixels = sample_hints(SampleSettings(Path(image), Path(reference), Path(out), kind, count, seed, force))
    click.echo(f"Wrote {Path(out).resolve()}: {pixels} pixels are hints")
