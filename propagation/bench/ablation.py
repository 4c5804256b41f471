"""Ablation: what each part of a network brings. Variants are trained alike, for the same minutes, and judged together.

A network joins with a mapping of variants (the first is the whole network, the others lack something) and a judge that
scores the trained models side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import nn

from propagation.bench.machine import machine_line
from propagation.bench.protocol import to_jsonable
from propagation.training.loop import Run

Progress = Callable[[int, int, str], None]
# Trains one variant in a folder of its own, or goes on there; returns the run, whose model holds the trained weights,
# and the scores of its learning curve. The second argument takes lines about how it goes.
Train = Callable[[Path, Callable[[str], None]], "tuple[Run, dict[str, float]]"]
# Scores of trained models by variant and column.
Judge = Callable[[Mapping[str, nn.Module]], Mapping[str, Mapping[str, float]]]


@dataclass(frozen=True)
class AblationRow:
    """One variant: its size, how many iterations its minutes were enough for, and its scores in dB by column."""

    variant: str
    parameters: int
    iterations: int
    scores: dict[str, float]


@dataclass(frozen=True)
class AblationTable:
    """Every variant of a network, the whole one first, and the machine they were trained on."""

    network: str
    minutes: float
    rows: tuple[AblationRow, ...]
    machine: str

    def markdown(self) -> str:
        """One row a variant: dB in every column, and in brackets how much that is beside the whole network."""
        columns = list(self.rows[0].scores)
        lines = [
            f"| {self.network}, {self.minutes:g} minutes a variant | {' | '.join(columns)} | parameters | iterations |",
            f"| --- |{' --- |' * (len(columns) + 2)}",
        ]
        lines += [self._row(row, columns) for row in self.rows]
        return "\n".join([*lines, "", self.machine])

    def _row(self, row: AblationRow, columns: list[str]) -> str:
        whole = self.rows[0]
        cells = [row.variant]
        for column in columns:
            change = "" if row is whole else f" ({row.scores[column] - whole.scores[column]:+.2f})"
            cells.append(f"{row.scores[column]:.2f}{change}")
        cells += [f"{row.parameters / 1e6:.2f} M", str(row.iterations)]
        return f"| {' | '.join(cells)} |"

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes."""
        return dict(to_jsonable(asdict(self)))


def run(
    network: str,
    variants: Mapping[str, Train],
    judge: Judge,
    folder: Path,
    minutes: float,
    progress: Progress | None = None,
) -> AblationTable:
    """Trains every variant in `folder`/its name, then judges all of them.

    A variant whose minutes are spent already is judged as it is, so a stopped run goes on where it was.
    """
    runs: dict[str, Run] = {}
    curves: dict[str, dict[str, float]] = {}
    for done, (name, train) in enumerate(variants.items()):

        def say(text: str, done: int = done, name: str = name) -> None:
            if progress is not None:
                progress(done, len(variants) + 1, f"{name}: {text.strip()}")

        say("training")
        runs[name], curves[name] = train(folder / name.replace(" ", "-"), say)
    if progress is not None:
        progress(len(variants), len(variants) + 1, "judging")
    judged = judge({name: trained.model.eval() for name, trained in runs.items()})
    rows = tuple(
        AblationRow(
            name,
            sum(parameter.numel() for parameter in trained.model.parameters()),
            trained.iterations,
            {**judged[name], **curves[name]},
        )
        for name, trained in runs.items()
    )
    return AblationTable(network, minutes, rows, machine_line())
