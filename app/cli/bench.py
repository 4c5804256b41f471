"""`bench`: measures ours beside every baseline and prints the tables of the protocol."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from app.cli import ablation, bench_carry
from app.cli.bench_carry import our_carry
from app.cli.options import progress_option
from app.cli.train import DEFAULT_DATA

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kernels.bench import KernelTable
    from propagation.bench.densify import DensifyTable
    from propagation.bench.hdr import HdrTable
    from propagation.densify import Densifier

    Floats = NDArray[np.float32]

OURS = "Huecast"
PUBLISHED = "SPN as published"
DEMO_CLIP = Path(__file__).resolve().parents[2] / "assets" / "demo" / "flower.mp4"


class Table(Protocol):
    """What is printed in the end."""

    def markdown(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


@click.command("bench", short_help="Measure against the baselines and print the tables.")
@click.argument("what", type=click.Choice(["densify", "propagate", "pipeline", "hdr", "kernels", "ablation"]))
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object with every single score.")
@click.option("--every", type=click.IntRange(min=2), multiple=True, help="Frames between keys. Default: 10 20 30 40.")
@click.option(
    "--clip", "clips", multiple=True, metavar="NAME", help="Only this clip or panorama (propagate, hdr). Repeatable."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Pictures or clips of each folder (densify, ablation), frames of each clip, clips of each panorama (hdr).",
)
@click.option("--long", "long_shot", is_flag=True, help="One annotation, 200 frames of corgi and music (propagate).")
@click.option(
    "--quick", is_flag=True, help="Ours and the baselines alone: neither other networks nor the job's cost (propagate)."
)
@click.option("-o", "--output", "out", default="output/long", metavar="FOLDER", help="Where --long writes pictures.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0.05, max=20),
    default=20,
    show_default=True,
    help="Training of every variant (ablation).",
)
@click.option("--data", default=str(DEFAULT_DATA), metavar="FOLDER", help="Clips and photos to train on (ablation).")
@click.option("--runs", default="runs", show_default=True, metavar="FOLDER", help="Where variants train (ablation).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Threads for ours; the baselines always use one.")
@progress_option
def command(
    what: str,
    folders: Sequence[str],
    as_json: bool,
    every: Sequence[int],
    clips: Sequence[str],
    limit: int | None,
    long_shot: bool,
    quick: bool,
    out: str,
    minutes: float,
    data: str,
    runs: str,
    device: str,
    threads: int | None,
    progress_form: str,
) -> None:
    """Measure against the baselines on the clips or pictures of FOLDER, in one run, and print the table.

    `propagate` takes a folder of clips in color, `densify` one or several of photographs or clips (their middle frame).
    Without FOLDER the demo's clip is measured. `pipeline` makes samples on the first frame of each clip dense and
    carries them. `hdr` takes the folder that holds the validation panoramas. `kernels` takes none and measures the
    scans on this machine. `ablation spn` trains the network without one part at a time and judges on FOLDER like
    `densify`, `ablation tpn` the published temporal network with and without its switch and judges on the clips of
    FOLDER; stopped, they go on where they were. `ablation carry` trains nothing: it switches off one part of carrying
    at a time.
    """
    from app import machine
    from app.cli.progress import print_json, shown

    if what in ("propagate", "pipeline") and len(folders) > 1:
        raise click.UsageError(f"{what} measures one FOLDER at a time")
    if what == "hdr" and len(folders) != 1:
        raise click.UsageError("hdr measures one FOLDER, the one that holds env_cc0_pmndrs and exr")
    if what == "kernels" and folders:
        raise click.UsageError("kernels measures no FOLDER")
    network, folders = ablation.choose(folders) if what == "ablation" else ("", folders)
    machine.set_threads(threads)
    target = machine.choose_device(device)
    with _folders(folders) as chosen, shown("measure", progress_form) as progress:
        table: Table
        if what == "ablation":
            table = ablation.measure(network, chosen, minutes, Path(data), Path(runs), limit, progress)
        elif what == "kernels":
            table = _kernels(progress)
        elif what == "hdr":
            table = _hdr(chosen[0], list(clips) or None, limit, progress)
        elif what == "densify":
            table = _densify(chosen, limit, target, progress)
        else:
            names = list(clips) or None
            if what == "pipeline":
                fill = _fill(target)
                table = bench_carry.measure_pipeline(chosen[0], names, fill, our_carry(target), progress)
            elif long_shot:
                fill = _fill(target)
                table = bench_carry.measure_long(chosen[0], names, fill, our_carry(target), Path(out), progress)
            else:
                table = bench_carry.measure(
                    chosen[0], names, list(every), limit, our_carry, target, threads, quick, progress
                )
    if as_json:
        print_json(table.to_json())
    else:
        click.echo(table.markdown())


def _kernels(progress: Callable[[int, int, str], None]) -> KernelTable:
    from kernels import bench
    from propagation.bench.machine import dis_medium_ms, machine_line

    return bench.run(machine_line(), lambda: dis_medium_ms(1), progress)


def _densify(
    folders: list[Path], limit: int | None, device: str, progress: Callable[[int, int, str], None]
) -> DensifyTable:
    from propagation.bench import densify, memory
    from propagation.densify import Densifier
    from propagation.published.spn import PublishedSpn

    ours = Densifier.load(device=device)
    speed = partial(densify.measure_speed, ours)
    methods: dict[str, densify.Fill] = {
        PUBLISHED: partial(densify.fill_by, PublishedSpn.load()),
        f"{OURS}, while painting": our_fill(ours, thorough=False),
        OURS: our_fill(ours),
    }
    return densify.run(folders, methods, limit=limit, speed=speed, memory=memory.fill_peaks, progress=progress)


def _hdr(
    folder: Path, names: list[str] | None, limit: int | None, progress: Callable[[int, int, str], None]
) -> HdrTable:
    from propagation.bench import hdr
    from propagation.bench.panoramas import VALIDATION_SEEDS
    from propagation.sequence import Carrier

    return hdr.run(
        folder,
        {
            "TPN alone": partial(hdr.tpn_alone, carrier=Carrier.load("tpn-hdr", config=hdr.LIGHT_TPN)),
            f"{OURS}, carried light alone": partial(hdr.ours, merged=False),
            f"{OURS}, its noise kept": partial(hdr.ours, keep_noise=True),
            OURS: hdr.ours,
        },
        two_sided={f"{OURS}, two-sided": hdr.ours},
        names=names,
        seeds=VALIDATION_SEEDS[:limit],
        progress=progress,
    )


def _fill(device: str) -> Callable[[Floats, NDArray[np.bool_], Floats], tuple[Floats, Floats]]:
    from propagation.densify import Densifier

    return our_fill(Densifier.load(device=device))


def our_fill(
    densifier: Densifier, *, thorough: bool = True
) -> Callable[[Floats, NDArray[np.bool_], Floats], tuple[Floats, Floats]]:
    """The trained spatial network as the bench takes a method: as the jobs use it, or without being `thorough` as the
    window does."""
    import numpy as np

    from propagation.densify import Hints

    def fill(lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> tuple[Floats, Floats]:
        prepared = densifier.prepare(lightness, thorough=thorough)
        dense = densifier.fill(prepared, Hints(ab, mask.astype(np.float32)))
        return dense.values, dense.confidence

    return fill


@contextmanager
def _folders(given: Sequence[str]) -> Iterator[list[Path]]:
    """The folders to measure; without any, one with the demo's color clip alone in it."""
    if given:
        yield [Path(folder) for folder in given]
        return
    with tempfile.TemporaryDirectory(prefix="huecast-") as folder:
        demo = Path(folder) / "demo"
        demo.mkdir()
        shutil.copy(DEMO_CLIP, demo)
        yield [demo]
