"""`bench kernels` prints the table of the scans and the same as JSON."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import pytest

from kernels import bench
from kernels.scan import DIRECTIONS
from tests.app.conftest import Ran

Run = Callable[..., Ran]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real measurement of planes that take no time."""
    small = functools.partial(bench.run, sizes=((2, 24, 40),), interactive=(3, 24, 40), turns=1)
    monkeypatch.setattr(bench, "run", small)


def test_the_table(run_cli: Run) -> None:
    ran = run_cli("bench", "kernels", "--progress", "none")
    assert ran.code == 0, ran.err
    machine, _, head, *_ = ran.out.splitlines()
    assert "torch" in machine and "numba" in machine and "threads" in machine
    assert head == "| size | direction | variant | ms | of the stream | times the torch loop |"
    for direction in DIRECTIONS:
        for variant in ("forward", "forward, normalised", "backward"):
            assert f"| 2x24x40 | {direction} | {variant} | " in ran.out
    assert ran.out.count("plain NCHW gates") == 4  # the horizontal directions, forward and backward
    assert "Normalise and scan over scan alone" in ran.out and "of one DIS call" in ran.out
    assert "wrong" not in ran.out


def test_as_json(run_cli: Run) -> None:
    ran = run_cli("bench", "kernels", "--json", "--progress", "none")
    table = json.loads(ran.out)
    assert len(table["rows"]) == 2 * 5 + 2 * 3
    for row in table["rows"]:
        assert row["error"] < bench.TOLERANCE and len(row["times_ms"]) == 1
        assert row["ms"] == min(row["times_ms"]) and row["of_stream"] > 0 and row["times_loop"] > 0
    assert set(table["normalisation"]) == {f"2x24x40 {direction}" for direction in DIRECTIONS}
    assert table["interactive_share"] > 0 and table["threads"] >= 1


def test_a_folder_is_a_mistake(run_cli: Run) -> None:
    assert run_cli("bench", "kernels", "clips").code == 2
