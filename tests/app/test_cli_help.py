"""Help is light and whole."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli import VERBS
from main import opens_window
from tests.app.conftest import Ran

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "PySide6", "cv2", "av", "numba", "numpy", "scipy"}

# Every level of help in one fresh process, which then tells what it has imported.
PROBE = """
import contextlib, io, json, sys
from main import main
from app.cli import VERBS
codes = []
with contextlib.redirect_stdout(io.StringIO()):
    for arguments in [["--help"], *([verb, "--help"] for verb in VERBS), ["--version"]]:
        codes.append(main(arguments))
print(json.dumps({"codes": codes, "modules": sorted({name.split(".")[0] for name in sys.modules})}))
"""


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    assert set(found["codes"]) == {0}
    assert not HEAVY & set(found["modules"])


def test_help_names_every_verb_and_exit_code(run_cli: Callable[..., Ran]) -> None:
    ran = run_cli("--help")
    assert ran.code == 0
    assert all(verb in ran.out for verb in VERBS)
    assert "130 stopped" in " ".join(ran.out.split())


def test_the_window_opens_without_a_verb(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.touch()
    assert opens_window([])
    assert opens_window([str(clip)])
    assert not opens_window(["info"])
    assert not opens_window(["--help"])
    assert not opens_window([str(tmp_path / "gone.mp4")])
    assert not opens_window(["info", str(clip)])


@pytest.mark.parametrize(
    "arguments",
    [
        ("paint",),
        ("propagate",),
        ("propagate", "clip.mp4"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--key", "zero=key.png"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--key", "key.png"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--range", "5"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--range", "a:b"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--device", "tpu"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--threads", "0"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--property", "depth"),
        ("propagate", "clip.mp4", "-o", "out.mp4", "--progress", "xml"),
        ("densify", "image.png", "-o", "out.png"),
        ("bench", "everything"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_exit_code_2(run_cli: Callable[..., Ran], arguments: tuple[str, ...]) -> None:
    ran = run_cli(*arguments)
    assert ran.code == 2
    assert "Usage:" in ran.err
    assert "Error:" in ran.err
