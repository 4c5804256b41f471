"""Threads and devices."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from app import machine

ROOT = Path(__file__).resolve().parents[2]

PROBE = """
from app import machine
machine.set_threads(1)
import cv2, numba, torch
print(cv2.getNumThreads(), numba.get_num_threads(), torch.get_num_threads())
import app.machine
"""


def test_one_call_sets_every_library() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["1", "1", "1"]


def test_the_environment_speaks_where_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert machine.thread_count() == 3
    assert machine.thread_count(2) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert machine.thread_count() == machine.core_count()


def test_every_backend_is_listed_with_its_reason() -> None:
    found = {backend.name: backend.why_not for backend in machine.backends()}
    assert found["reference"] == ""


def test_the_cpu_is_always_there() -> None:
    assert machine.choose_device("cpu") == "cpu"
    assert machine.choose_device("auto") in ("cpu", "cuda")


def test_it_says_what_runs_the_scans_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from kernels import registry

    monkeypatch.setattr(machine, "choose_device", lambda asked: "cpu")
    reasons = {"cpu": None, "cuda": "no driver", "reference": None}
    monkeypatch.setattr(registry, "why_not", reasons.get)
    assert machine.scans() == "cpu on the CPU: no driver"
    monkeypatch.setattr(machine, "choose_device", lambda asked: "cuda")
    reasons["cuda"] = "CuPy is not installed"
    assert machine.scans() == "reference on the GPU: CuPy is not installed"
    reasons["cuda"] = None
    assert machine.scans() == "cuda on the GPU"


def test_jobs_side_by_side_share_the_threads_and_give_them_back() -> None:
    import cv2
    import torch

    from kernels import threads

    def counts() -> tuple[int, int, int]:
        return threads.get_threads(), cv2.getNumThreads(), torch.get_num_threads()

    def share(scans: int, pictures: int, networks: int) -> None:
        threads.set_threads(scans)
        cv2.setNumThreads(pictures)
        torch.set_num_threads(networks)

    before = counts()
    try:
        share(4, 4, 4)
        with machine.side_by_side():
            first = counts()
            with machine.side_by_side():
                both = counts()
            one_left = counts()
        after = counts()
    finally:
        share(*before)
    assert first == both == one_left == (2, 2, 2)
    assert after == (4, 4, 4)
