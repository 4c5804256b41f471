"""What carrying should reach, beside what a run has measured: the floors of the project, counted from the baselines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from propagation.bench.carry_table import CHAIN, FRAME_BY_FRAME, TWO_SIDED, CarryTable
from propagation.bench.protocol import to_jsonable

# Distance between keys -> dB above the better of the two one-sided baselines.
ONE_SIDED_DB = {10: 1.5, 20: 2.0, 30: 2.0, 40: 2.0}
TWO_SIDED_DB = {20: 1.5}
FAR_DB = 2.0
FLICKER_SHARE = 0.8
ENERGY_OFF = 0.10
FRAME_DIS_CALLS = 4.0
FIRST_FRAME_MS = 1000.0
MEMORY_GB = 3.0


@dataclass(frozen=True)
class JobCost:
    """What the whole job, from decoding to encoding, takes: `frame_ms` a frame at 854x480, `first_ms` from the start to
    the first new frame, `peak_bytes` of a process that does it at 1920x1080. NaN where it was not measured."""

    frame_ms: float = math.nan
    first_ms: float = math.nan
    peak_bytes: float = math.nan


@dataclass(frozen=True)
class Target:
    """One line: what, the floor and what was measured as text, and whether it is reached (None: not measured)."""

    what: str
    floor: str
    measured: str
    reached: bool | None


def targets(table: CarryTable, ours: str, both_sides: str, cost: JobCost) -> list[Target]:
    """Every floor that `table` says something about, for the methods named `ours` and `both_sides`."""
    distances = list(dict.fromkeys(score.every for score in table.scores))
    lines = []
    for every in distances:
        bar = max(table.psnr(CHAIN, every), table.psnr(FRAME_BY_FRAME, every))
        name = f"one-sided, K = {every}"
        lines.append(_above(name, "the better DIS", bar, table.psnr(ours, every), ONE_SIDED_DB.get(every)))
        if _has(table, both_sides, every):
            bar, found = table.psnr(TWO_SIDED, every), table.psnr(both_sides, every)
            lines.append(_above(f"two-sided, K = {every}", "DIS two-sided", bar, found, TWO_SIDED_DB.get(every)))
        limit = FLICKER_SHARE * table.flicker(CHAIN, every)
        lines.append(_below(f"flicker, K = {every}", limit, table.flicker(ours, every), "{:.2f}"))
    far = table.far_psnr(ours)
    lines.append(_above("frames 35 to 40 of one key", "DIS chain", table.far_psnr(CHAIN), far, FAR_DB))
    lines.append(_energy(table.energy_off(ours), table.energy_off(CHAIN)))
    calls, limit_calls = cost.frame_ms / table.dis_ms, FRAME_DIS_CALLS
    lines.append(_below("DIS calls a frame, decode to encode", limit_calls, calls, "{:.1f}"))
    lines.append(_below("ms to the first new frame", FIRST_FRAME_MS, cost.first_ms, "{:.0f}"))
    lines.append(_below("GB at 1920x1080", MEMORY_GB, cost.peak_bytes / 1e9, "{:.2f}"))
    return lines


def markdown(lines: Sequence[Target]) -> str:
    """One row a target."""
    words = {True: "yes", False: "no", None: "-"}
    rows = [f"| {line.what} | {line.floor} | {line.measured} | {words[line.reached]} |" for line in lines]
    return "\n".join(["| target | floor | measured | reached |", "| --- | --- | --- | --- |", *rows])


def to_json(lines: Sequence[Target], cost: JobCost) -> dict[str, Any]:
    """What `json.dumps` takes."""
    return dict(to_jsonable({"targets": [vars(line) for line in lines], "job": vars(cost)}))


def _has(table: CarryTable, method: str, every: int) -> bool:
    return bool(table.of(method, every))


def _above(what: str, bar_name: str, bar: float, found: float, gain: float | None) -> Target:
    """PSNR against a baseline's with a gain; without a gain the line is for the reader alone."""
    if math.isnan(found) or math.isnan(bar):
        return Target(f"{what}, dB", f"{bar_name} {gain or 0:+.1f}", "-", None)
    floor = f"{bar_name} {bar:.2f}" if gain is None else f"{bar_name} {bar:.2f} {gain:+.1f}"
    reached = None if gain is None else found >= bar + gain
    return Target(f"{what}, dB", floor, f"{found:.2f} ({found - bar:+.2f})", reached)


def _below(what: str, limit: float, found: float, form: str) -> Target:
    if math.isnan(found) or math.isnan(limit):
        return Target(what, "-" if math.isnan(limit) else f"at most {form.format(limit)}", "-", None)
    return Target(what, f"at most {form.format(limit)}", form.format(found), found <= limit)


def _energy(ours: float, chain: float) -> Target:
    what = "style energy at frame 30, mean of abs(ln)"
    if math.isnan(ours) or math.isnan(chain):
        return Target(what, f"at most {ENERGY_OFF:.2f} and below the chain's", "-", None)
    floor = f"at most {ENERGY_OFF:.2f} and below the chain's {chain:.3f}"
    return Target(what, floor, f"{ours:.3f}", ours <= ENERGY_OFF and ours < chain)
