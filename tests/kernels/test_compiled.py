"""Compiled kernels outlive the start of the program, but no change of any source that they inline."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kernels.compiled import drop_stale

INNER = "from numba import njit\n\n\n@njit\ndef value():\n    return {}\n"
OUTER = """
from pathlib import Path
from numba import njit
from kernels.compiled import drop_stale
drop_stale(Path(__file__).parent)
from inner import value

@njit(cache=True)
def doubled():
    return 2 * value()

print(doubled(), sum(doubled.stats.cache_hits.values()))
"""


def test_a_kernel_is_compiled_anew_after_a_change_of_another_file(tmp_path):
    def run() -> str:
        command = [sys.executable, str(tmp_path / "outer.py")]
        settings = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        settings.pop("NUMBA_CACHE_DIR", None)
        return subprocess.run(command, capture_output=True, text=True, check=True, env=settings).stdout.strip()

    (tmp_path / "outer.py").write_text(OUTER)
    (tmp_path / "inner.py").write_text(INNER.format(3))
    assert [run(), run()] == ["6 0", "6 1"]
    (tmp_path / "inner.py").write_text(INNER.format(4))
    assert run() == "8 0"


def test_a_folder_that_cannot_be_changed_does_no_harm(tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text("")
    (tmp_path / "__pycache__").mkdir()
    index = tmp_path / "__pycache__" / "a.nbi"
    index.write_text("")
    os.utime(index, (0, 0))

    def refuse(path):
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(os, "remove", refuse)
        drop_stale(tmp_path)
    assert index.exists()
    drop_stale(tmp_path)
    assert not index.exists()


@pytest.mark.parametrize("module", ["kernels.cpu_planes", "kernels.cpu_merge", "kernels.cpu_streams"])
def test_every_module_of_kernels_asks_first(module):
    probe = f"import kernels.compiled as c; asked = []; c.drop_stale = asked.append; import {module}; print(len(asked))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[2], capture_output=True, text=True,
                          check=True)
    assert done.stdout.strip() == "1"
