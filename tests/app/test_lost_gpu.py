"""A GPU that is given up in the middle of a run is told on the command line, once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

import app.jobs
from kernels.errors import DEVICE_LOG
from tests.app import fakes
from tests.app.conftest import Ran

Run = Callable[..., Ran]
WORDS = "The GPU failed (CUDA error: unknown); going on with the CPU, which is slower."


@pytest.fixture(autouse=True)
def losing(run_cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Carrying loses the GPU at frame 2."""

    def carry(at, *rest, **how):
        for carried in fakes.hold(at, *rest, **how):
            if carried.index == 2:
                logging.getLogger(DEVICE_LOG).warning(WORDS)
            yield carried

    monkeypatch.setattr(app.jobs, "real", lambda: fakes.pipeline(carry=carry))


@pytest.mark.parametrize("form", ["bar", "none"])
def test_it_is_said_once_and_the_run_goes_on(run_cli: Run, clip: Path, key: Path, tmp_path: Path, form: str) -> None:
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "out.mp4", "--progress", form)
    assert ran.code == 0 and ran.err.count(WORDS) == 1
    assert not logging.getLogger(DEVICE_LOG).handlers


def test_json_tells_it_as_a_message(run_cli: Run, clip: Path, key: Path, tmp_path: Path) -> None:
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "out.mp4", "--progress", "json")
    assert WORDS not in ran.err
    messages = [json.loads(line).get("message", "") for line in ran.out.splitlines()]
    assert sum(WORDS in message for message in messages) == 1
