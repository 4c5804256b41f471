"""What of the GPU's run can be checked without a GPU: it imports, plans, refuses, and needs little."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels import reference
from tests.gpu import columns
from tests.kernels.shim import build

ROOT = Path(__file__).resolve().parents[2]
# The machine that has a GPU may have nothing of these.
ABSENT = ("av", "scenedetect", "PySide6", "blosc2", "click", "rich", "numba", "skimage", "scipy")
NETWORKS = ("kernels.scan", "kernels.cuda", "propagation.spn", "propagation.tpn", "propagation.densify",
            "propagation.sequence", "propagation.device_tracker", "propagation.hdr.device_walk",
            "propagation.training.loop")
PROBE = f"import sys; sys.modules.update(dict.fromkeys({ABSENT!r})); "


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so():
    done = python("tests/gpu/run.py")
    assert done.returncode == 3
    assert done.stderr.startswith("No GPU can be tested here: ")


def test_its_plan_reaches_every_variant_and_the_sizes_asked_for():
    done = python("-c", PROBE + "from tests.gpu import run; sys.exit(run.main(['--plan']))")
    assert done.returncode == 0, done.stderr
    assert "all reached" in done.stdout
    for case in ("1x64x64 float32 forward", "256x1080x1920 bfloat16 forward", "128x1024x1024 float32 backward",
                 "32x256x512 float32 forward"):
        assert f"speed: {case}," in done.stdout


def test_it_runs_from_its_first_line_to_its_last(tmp_path):
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    done = python("-c", PROBE + "from pathlib import Path; from tests.gpu import rehearsal; "
                  f"sys.exit(rehearsal.main(Path({str(tmp_path)!r})))")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    checks = {check["check"] for check in found["checks"]}
    assert len(found["checks"]) > 30
    assert {"tracker, clues", "light, log10", "network", "replayed from a CUDA graph"} <= checks
    rows = found["speed"] + found["pipeline"]
    assert not [row for row in rows if "note" in row]
    assert {"carry, 56x40", "follow, 56x40", "network, 56x40", "densify, 56x40", "carry light, 56x40"} <= {
        row["case"] for row in rows}
    assert any("times torch loop" in row for row in rows) and (tmp_path / "gpu.md").read_text().count("|") > 50


def test_networks_and_training_import_without_video_and_window():
    done = python("-c", PROBE + "; ".join(f"import {name}" for name in NETWORKS))
    assert done.returncode == 0, done.stderr


def test_the_frames_of_the_pipeline_move():
    from tests.gpu import pipeline

    lights = pipeline.frames(3, 48, 64)
    assert len(lights) == 3 and lights[0].shape == (48, 64) and abs(lights[1] - lights[0]).max() > 1


def test_the_column_launches_that_are_raced_are_right(tmp_path):
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    started = [build.start_compiling(build.kernel_text(), columns.source(kind, torch.float32), tmp_path, kind)
               for kind in ("forward", "backward")]
    device = build.ShimDevice([build.finish(each) for each in started])
    ways = [(True, False), (True, True), (False, False), (False, True)]
    x = torch.randn(1, 2, 5, 9, generator=torch.Generator().manual_seed(0))
    gates = [torch.rand(1, 2, 3, *((9, 5) if horizontal else (5, 9))) / 3 for horizontal, _ in ways]
    hs = columns.scan(device, x, gates, ways)
    gxs, ggs = columns.scan_back(device, hs, x, gates, hs, ways)
    want = reference.forward(x, gates, ways, "none", True)
    want_gxs, want_ggs = reference.backward(hs, x, gates, hs, ways, "none", True)
    for got, expected in zip([*hs, *gxs, *ggs], [*want, *want_gxs, *want_ggs], strict=True):
        assert torch.allclose(got, expected, atol=2e-6)
