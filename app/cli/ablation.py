"""`bench ablation NETWORK`: trains variants of a network that each lack one part, and prints what that costs; or
switches off one part of carrying at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.train import check_data

if TYPE_CHECKING:
    from propagation.bench.ablation import AblationTable
    from propagation.bench.carry_parts import PartsTable

Progress = Callable[[int, int, str], None]


def choose(words: Sequence[str]) -> tuple[str, list[str]]:
    """The network that the first of a command's words names, and the folders that follow.

    Raises UsageError when it names none.
    """
    if not words or words[0] not in NETWORKS:
        raise click.UsageError(f"ablation takes one of {', '.join(NETWORKS)}, then the FOLDERs to judge on")
    return words[0], list(words[1:])


def measure(
    network: str, folders: list[Path], minutes: float, data: Path, runs: Path, limit: int | None, progress: Progress
) -> AblationTable | PartsTable:
    """Trains every variant of a network for `minutes` on the training folders of `data`, in `runs`, and judges all on
    the pictures or clips of `folders`; `carry` trains nothing."""
    return NETWORKS[network](folders, minutes, data, runs, limit, progress)


def _spn(
    folders: list[Path], minutes: float, data: Path, runs: Path, limit: int | None, progress: Progress
) -> AblationTable:
    from propagation.bench import ablation
    from propagation.training import spn_ablation

    check_data(data, spn_ablation.FOLDERS)
    variants = spn_ablation.variants(data, runs / "frames", minutes)
    judge = partial(spn_ablation.judge, folders=folders, limit=limit)
    return ablation.run("spn", variants, judge, runs / f"ablation-spn-{minutes:g}-minutes", minutes, progress)


def _tpn(
    folders: list[Path], minutes: float, data: Path, runs: Path, limit: int | None, progress: Progress
) -> AblationTable:
    from propagation.bench import ablation
    from propagation.training import tpn_ablation

    check_data(data, tpn_ablation.FOLDERS)
    variants = tpn_ablation.variants(data, runs / "frames", minutes)
    judge = partial(tpn_ablation.judge, folders=folders, limit=limit)
    folder = runs / f"ablation-tpn-{minutes:g}-minutes"
    return ablation.run("published tpn", variants, judge, folder, minutes, progress)


def _carry(
    folders: list[Path], minutes: float, data: Path, runs: Path, limit: int | None, progress: Progress
) -> PartsTable:
    from propagation.bench import carry_parts

    if len(folders) != 1:
        raise click.UsageError("ablation carry measures one FOLDER of clips")
    return carry_parts.run(folders[0], limit, progress)


# Name -> what trains and judges its variants.
NETWORKS: dict[str, Callable[[list[Path], float, Path, Path, int | None, Progress], AblationTable | PartsTable]] = {
    "carry": _carry,
    "spn": _spn,
    "tpn": _tpn,
}
