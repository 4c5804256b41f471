"""Ctrl-C on the real program: exit code 130, and no half file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The real command line in a process of its own, with stand-ins for the networks that take their time.
SLOW = """
import sys, time
import app.jobs
from app import cli
from tests.app import fakes

def slow_lift(*arguments):
    time.sleep(0.1)
    return fakes.lift(*arguments)

app.jobs.real = lambda: fakes.pipeline(lift=slow_lift)
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another matter there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["out.mp4", "%05d.png"])
def test_a_signal_stops_cleanly(clip: Path, key: Path, tmp_path: Path, number: signal.Signals, name: str) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    mine = folder / "out.mp4"
    mine.write_bytes(b"mine")
    arguments = ["propagate", clip, "--key", f"0={key}", "-o", folder / name, "--progress", "json", "--device", "cpu"]
    command = [sys.executable, "-c", SLOW, *map(str, arguments), "--force"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["stage"] == "color":
            break
    assert len(list(folder.iterdir())) == 2, "the output is being made"
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Stopped" in err
    assert list(folder.iterdir()) == [mine]
    assert mine.read_bytes() == b"mine"
    assert json.loads(out.splitlines()[-1])["stage"] == "stopped"
