"""The parts of `bench` that carry: the table with its targets, the long shot, and the whole pipeline."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from propagation.bench.carry import Carry
    from propagation.bench.carry_table import CarryTable
    from propagation.bench.long import LongTable
    from propagation.bench.pipeline import Fill, PipelineTable
    from propagation.bench.targets import JobCost, Target

    Floats = NDArray[np.float32]

Progress = Callable[[int, int, str], None]
MakeCarry = Callable[..., "Carry"]

OURS = "Huecast"
BOTH_SIDES = f"{OURS}, two-sided"
PUBLISHED = "TPN as published"
# The distance at which two-sided methods are measured where it is one of several: they take half of the time.
TWO_SIDED_EVERY = 20


@dataclass(frozen=True)
class CarryReport:
    """The carrying table, and what should be reached beside it."""

    table: CarryTable
    targets: list[Target]
    cost: JobCost

    def markdown(self) -> str:
        """Both tables."""
        from propagation.bench import targets

        return f"{self.table.markdown()}\n\n{targets.markdown(self.targets)}"

    def to_json(self) -> dict[str, Any]:
        """Both as what `json.dumps` takes."""
        from propagation.bench import targets

        return {**self.table.to_json(), **targets.to_json(self.targets, self.cost)}


def measure(
    folder: Path,
    names: list[str] | None,
    every: list[int],
    limit: int | None,
    make_carry: MakeCarry,
    device: str,
    threads: int | None,
    quick: bool,
    progress: Progress,
) -> CarryReport:
    """The carrying table of a folder of clips; `quick` leaves out the other networks and the cost of the job."""
    from app import job_cost
    from propagation.bench import carry, targets
    from propagation.bench.protocol import clip_paths
    from propagation.published.tpn import PublishedCarrier

    distances = every or list(carry.PROTOCOL_EVERY)
    methods: dict[str, Carry] = {OURS: make_carry(device)}
    if not quick:
        methods[PUBLISHED] = PublishedCarrier.load(device=device)
        methods[f"{OURS}, not aligned"] = make_carry(device, aligned=False)
    frames = limit or carry.FRAME_LIMIT
    table = carry.run(
        folder,
        distances,
        methods,
        two_sided={BOTH_SIDES: make_carry(device)},
        two_sided_every=[TWO_SIDED_EVERY] if len(distances) > 1 and TWO_SIDED_EVERY in distances else None,
        first_frames=carry.FIRST_FRAMES if frames >= carry.FIRST_FRAMES else None,
        frames=frames,
        clips=names,
        progress=progress,
    )
    cost = targets.JobCost() if quick else job_cost.measure(clip_paths(folder, names)[0], device, threads)
    return CarryReport(table, targets.targets(table, OURS, BOTH_SIDES, cost), cost)


def measure_long(
    folder: Path, names: list[str] | None, fill: Fill, method: Carry, out: Path, progress: Progress
) -> LongTable:
    """The long shot; pictures go into `out`."""
    from propagation.bench import long

    return long.run(folder, fill, method, out, clips=names, progress=progress)


def measure_pipeline(
    folder: Path, names: list[str] | None, fill: Fill, method: Carry, progress: Progress
) -> PipelineTable:
    """Samples on frame 0, made dense and carried."""
    from propagation.bench import pipeline

    return pipeline.run(folder, fill, method, clips=names, progress=progress)


def our_carry(
    device: str, *, aligned: bool = True
) -> Callable[[Sequence[Floats], Mapping[int, Floats], int], Iterator[tuple[int, Floats]]]:
    """The trained temporal network as the bench takes a method."""
    from propagation.sequence import Carrier, carry

    carrier = Carrier.load(device=device, aligned=aligned)

    def method(lightness: Sequence[Floats], keys: Mapping[int, Floats], count: int) -> Iterator[tuple[int, Floats]]:
        for carried in carry(lightness.__getitem__, keys, 0, count, carrier=carrier):
            yield carried.index, carried.values

    return method
