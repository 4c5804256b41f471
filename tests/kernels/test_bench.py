"""The measuring of the scans."""

from __future__ import annotations

import json

import pytest
import torch

from kernels import bench
from kernels.bench import torch_loop
from kernels.reference import scan_lines
from kernels.scan import DIRECTIONS, line_scan


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_the_torch_loop_that_is_raced_is_right(direction):
    generator = torch.Generator().manual_seed(0)
    horizontal, reverse = direction in DIRECTIONS[:2], direction in (DIRECTIONS[1], DIRECTIONS[3])
    x = torch.randn(1, 2, 5, 7, dtype=torch.float64, generator=generator)
    shape = (7, 5) if horizontal else (5, 7)
    weights = torch.rand(1, 2, 3, *shape, dtype=torch.float64, generator=generator) / 3
    turned = x.transpose(-1, -2) if horizontal else x
    expected = scan_lines(turned, weights, reverse, "none")
    expected = expected.transpose(-1, -2) if horizontal else expected
    assert torch.allclose(torch_loop(x, weights, direction), expected, atol=1e-14)


def test_a_table_has_every_variant_of_every_direction():
    seen = []
    table = bench.run("a machine", lambda: 20.0, lambda *step: seen.append(step), sizes=((2, 32, 48),),
                      interactive=(3, 32, 48), turns=1)
    assert len(table.rows) == 2 * 5 + 2 * 3 and all(row.ms for row in table.rows)
    assert {row.direction for row in table.rows} == set(DIRECTIONS)
    assert all(row.of_stream and row.times_loop for row in table.rows)
    assert len(table.interactive_ms) == 1 and table.yardstick_ms == (20.0,)
    assert table.interactive_share == table.interactive_ms[0] / 20.0
    assert len(table.normalisation()) == 4 and seen[-1][:2] == (4, 5)
    text = table.markdown()
    assert text.startswith("a machine") and "interactive" not in text and "0." in text
    assert json.loads(json.dumps(table.to_json()))["rows"][0]["of_stream"] > 0


def test_wrong_values_earn_no_time(monkeypatch):
    monkeypatch.setattr(bench, "line_scan", lambda *a, **k: line_scan(*a, **k) * 1.001)
    rows = bench._measure((2, 32, 48), "right_to_left", 1)
    assert len(rows) == 5 and all(row.ms is None and row.of_stream is None for row in rows)
    table = bench.KernelTable("", 1, tuple(rows), (), ())
    assert "wrong by" in table.markdown() and table.to_json()["rows"][0]["ms"] is None


def test_shares_compare_within_a_turn():
    """A machine that halves its speed after the first turn changes no share; the slow loop only took the first."""
    row = bench.Row((1, 2, 3), "left_to_right", "forward", (2.0, 4.0, 4.0), (1.0, 2.0, 2.0), (20.0,), 0.6, 0.0)
    assert (row.ms, row.of_stream, row.times_loop) == (2.0, 0.5, 10.0)


def test_the_second_of_two_calls_is_timed(monkeypatch):
    clock, called = iter((3.0, 3.5)), []
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    assert bench._second(lambda: called.append(len(called))) == 500.0
    assert called == [0, 1]


def test_streams_move_what_a_scan_moves():
    """Outputs are sums of every input, so none was left out, and have the shapes that the scan allocates."""
    x, gates = torch.full((1, 2, 4, 8), 1.0), torch.full((1, 2, 3, 4, 8), 10.0)
    made = []
    real = bench.empty_like

    def kept(like):
        made.append(real(like).fill_(float("nan")))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "empty_like", kept)
        streams = bench._streams(x, gates)
        for past in ("", ", past the cache"):
            made.clear()
            streams["4 reads, 1 write" + past]()
            assert [tuple(t.shape) for t in made] == [tuple(x.shape)] and (made[0] == 31).all()
            made.clear()
            streams["6 reads, 4 writes" + past]()
            assert [t.shape for t in made] == [x.shape, gates.shape]
            assert (made[0] == 21).all()  # x and the first two planes of gates; the other inputs are in the next output
            assert sorted(set(made[1].flatten().tolist())) == [9.0, 12.0, 33.0]
