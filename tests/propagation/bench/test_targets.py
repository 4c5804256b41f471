"""The floors of carrying, counted from the baselines of the same run."""

from __future__ import annotations

import json
import math

import pytest

from propagation.bench.carry_table import CHAIN, FRAME_BY_FRAME, TWO_SIDED, CarryScore, CarryTable
from propagation.bench.targets import JobCost, Target, markdown, targets, to_json

OURS, BOTH = "ours", "ours, two-sided"


def score(method: str, every: int, error: float, flicker: float = 1.0, energy: float = 0.0) -> CarryScore:
    frames = tuple(range(1, every))
    return CarryScore(
        clip="clip",
        method=method,
        every=every,
        two_sided=method in (TWO_SIDED, BOTH),
        size=(64, 48),
        frames=frames,
        ages=frames,
        errors=(error,) * len(frames),
        energies=(energy,) * len(frames),
        flickers=(flicker**2,) * len(frames),
        key_error=0.0,
        frame_ms=None,
    )


def table(ours: float, both: float, far: float, energy: float, flicker: float) -> CarryTable:
    """Chain 20 and frame by frame 18 in mean squared error, two-sided 10, far chain 40 with energy off by 0.2."""
    scores = (score(CHAIN, 20, 20.0), score(FRAME_BY_FRAME, 20, 18.0), score(TWO_SIDED, 20, 10.0))
    scores += (score(OURS, 20, ours, flicker), score(BOTH, 20, both))
    first = (score(CHAIN, 41, 40.0, energy=-0.2), score(OURS, 41, far, energy=energy))
    return CarryTable("clips", 41, scores, "a machine", 30.0, first)


def decibels(gain: float) -> float:
    return 10 ** (-gain / 10)


def by_name(lines: list[Target]) -> dict[str, Target]:
    return {line.what: line for line in lines}


@pytest.mark.parametrize("beside", [0.01, -0.01])
def test_floors_are_counted_from_the_better_baseline(beside: float) -> None:
    ours, both, far = 18 * decibels(2 + beside), 10 * decibels(1.5 + beside), 40 * decibels(2 + beside)
    found = by_name(targets(table(ours, both, far, 0.1 - beside, 0.8 - beside), OURS, BOTH, JobCost()))
    for what in ("one-sided, K = 20, dB", "two-sided, K = 20, dB", "frames 35 to 40 of one key, dB", "flicker, K = 20"):
        assert found[what].reached is (beside > 0), what
    assert found["style energy at frame 30, mean of abs(ln)"].reached is (beside > 0)
    assert f"({2 + beside:+.2f})" in found["one-sided, K = 20, dB"].measured


def test_an_energy_below_the_limit_and_above_the_chains_does_not_do() -> None:
    lines = targets(table(1, 1, 1, 0.05, 1), OURS, BOTH, JobCost())
    assert by_name(lines)["style energy at frame 30, mean of abs(ln)"].reached
    worse = CarryTable("c", 41, table(1, 1, 1, 0.05, 1).scores, "m", 30.0, (score(CHAIN, 41, 1, energy=0.01),))
    assert by_name(targets(worse, OURS, BOTH, JobCost()))["style energy at frame 30, mean of abs(ln)"].reached is None


def test_the_cost_of_the_job_counts_in_dis_calls_seconds_and_gigabytes() -> None:
    lines = by_name(targets(table(1, 1, 1, 0, 0), OURS, BOTH, JobCost(119.0, 1001.0, 2.99e9)))
    assert lines["DIS calls a frame, decode to encode"].measured == "4.0"
    assert lines["DIS calls a frame, decode to encode"].reached
    assert not lines["ms to the first new frame"].reached
    assert lines["GB at 1920x1080"].reached


def test_what_was_not_measured_is_neither_reached_nor_missed() -> None:
    empty = CarryTable("c", 41, (score(OURS, 7, 3.0), score(CHAIN, 7, 6.0), score(FRAME_BY_FRAME, 7, 9.0)), "m", 30.0)
    lines = targets(empty, OURS, BOTH, JobCost())
    assert all(line.reached is None for line in lines if "flicker" not in line.what)
    text = markdown(lines)
    assert "nan" not in text and "| one-sided, K = 7, dB |" in text
    assert json.dumps(to_json(lines, JobCost()), allow_nan=False)
    assert math.isnan(JobCost().frame_ms)
