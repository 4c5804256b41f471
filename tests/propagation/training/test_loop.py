"""The training loop: it learns, it resumes where it stopped, and its checkpoints hold no pickle."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

import propagation.training.loop as loop
from propagation.precision import channels_last
from propagation.training.loop import LoopConfig, Run


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processor time of which two workers spend one second each between two looks, so that a run of given minutes has a
    known number of iterations."""
    ticks = iter(range(0, 10**6, 2))
    monkeypatch.setattr(loop.time, "process_time", lambda: float(next(ticks)))


def start(folder: Path, minutes: float) -> tuple[Run, list[float]]:
    torch.manual_seed(0)
    model, twin = nn.Conv2d(2, 3, 3), nn.Conv2d(2, 3, 3)
    run = Run(model, folder, LoopConfig(minutes=minutes, rate=1e-2, warm_up=1, save_every_s=5, score_every_s=20))
    drawn: list[float] = []

    def loss_of(rng: np.random.Generator) -> torch.Tensor:
        x = torch.from_numpy(rng.normal(size=(2, 2, 6, 6)).astype(np.float32))
        drawn.append(float(x.sum()))
        return ((model(x) - x.mean()) ** 2).mean()

    run.train([loss_of, loss_of], lambda m: {"score": float(m.weight.detach().abs().sum())}, twin, lambda _: None)
    return run, drawn


def test_learns_and_logs_its_curve(tmp_path, clock):
    run, _ = start(tmp_path / "run", 2)
    rows = list(csv.DictReader((tmp_path / "run" / "curve.csv").open()))
    assert run.iterations == 120 and float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])


def test_a_resumed_run_goes_on_with_the_same_draws_and_state(tmp_path, clock):
    start(tmp_path / "run", 0.5)
    resumed, later = start(tmp_path / "run", 1)
    whole, drawn = start(tmp_path / "other", 1)
    assert resumed.iterations == whole.iterations == 60
    assert sorted(later) == pytest.approx(sorted(drawn[-len(later) :])), "the same batches as an unbroken run"
    state = next(iter(resumed.optimiser.state.values()))
    assert float(state["step"]) == 60, "the optimiser's moments came back"


def test_checkpoints_are_safetensors_and_say_how_far(tmp_path, clock):
    run, _ = start(tmp_path / "run", 0.5)
    with safe_open(run.checkpoint, "pt") as file:
        assert int(file.metadata()["iterations"]) == run.iterations
        assert {"model.weight", "average.weight", "optimiser.exp_avg.weight"} <= set(file.keys())


def test_a_step_that_is_not_finite_is_left_out(tmp_path, clock):
    model, twin = nn.Linear(1, 1), nn.Linear(1, 1)
    before = model.weight.detach().clone()
    run = Run(model, tmp_path / "run", LoopConfig(minutes=0.1, warm_up=1))
    run.train([lambda rng: model(torch.ones(1, 1)).sum() * float("nan")], lambda m: {}, twin, lambda _: None)
    assert torch.equal(model.weight, before)


def test_channels_last_changes_the_layout_and_nothing_else():
    model = nn.Conv2d(4, 5, 3)
    x = torch.randn(1, 4, 7, 7)
    before = model(x)
    assert torch.allclose(channels_last(model)(x), before, atol=1e-6)
    assert model.weight.is_contiguous(memory_format=torch.channels_last)
