"""Everything about the GPU that only a GPU can show, in one command of less than eight minutes:

    python tests/gpu/run.py [--out FOLDER] [--plan]

Correctness of every kernel, then speed as a share of a copy, then frames a second. Needs torch with CUDA, CuPy, numpy,
OpenCV, safetensors and pytest; neither Qt nor PyAV. Exit codes: 0 all right, 1 something computed wrongly, 3 no GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
LIMIT_S = 450.0
PIPELINE_S = 60.0  # kept back for the pipeline


def main(arguments: list[str] | None = None) -> int:
    """Runs what is asked for; see the top."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="a folder for the results as JSON and as a table")
    parser.add_argument("--plan", action="store_true", help="print what would be measured, and stop")
    asked = parser.parse_args(arguments)
    if asked.plan:
        return print_plan()
    from kernels import cuda

    reason = cuda.unavailable()
    if reason is not None:
        print(f"No GPU can be tested here: {reason}.", file=sys.stderr)
        return 3
    return run(asked.out, time.monotonic() + LIMIT_S)


def print_plan() -> int:
    """The cases, without touching a GPU."""
    from kernels import cuda_plan
    from tests.gpu import bandwidth, correct

    missing = correct.untested()
    print(f"correctness: {len(correct.CASES) + len(correct.LARGE)} shapes, {len(cuda_plan.every_variant())} variants"
          + (f", not reached: {', '.join(sorted(missing))}" if missing else ", all reached"))
    for case in bandwidth.cases():
        print(f"speed: {case.title}, {case.bytes / 1e6:.1f} MB")
    return 1 if missing else 0


def run(out: Path | None, deadline: float, device: str = "cuda") -> int:
    """All three parts; speed is measured only of what is right. `device` is that of the networks."""
    import torch

    from tests.gpu import bandwidth, correct, pipeline

    machine = {"GPU": torch.cuda.get_device_name(), "torch": torch.__version__, "CUDA": torch.version.cuda}
    print(", ".join(f"{name} {value}" for name, value in machine.items()), flush=True)
    wrong = []
    checks = []
    for name, error, bound in correct.check_all():
        checks.append({"check": name, "error": error, "bound": bound})
        if not error < bound:
            wrong.append(name)
            print(f"WRONG {name}: {error:.2e}, at most {bound:.0e}", flush=True)
    print(f"{len(checks)} checks, {len(wrong)} wrong", flush=True)
    rows: list[dict[str, Any]] = []
    if not wrong:
        for row in bandwidth.run(deadline - PIPELINE_S):
            rows.append(row)
            print(line(row), flush=True)
    try:
        frames = pipeline.run(device)
    except Exception as error:  # the figures above must not be lost to a fault of the pipeline
        frames = [{"case": "pipeline", "note": f"{type(error).__name__}: {error}"}]
    for row in frames:
        print(line(row), flush=True)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        found = {"machine": machine, "checks": checks, "speed": rows, "pipeline": frames}
        (out / "gpu.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        (out / "gpu.md").write_text("\n".join(map(line, [*rows, *frames])) + "\n", encoding="utf-8")
    return 1 if wrong else 0


def line(row: dict[str, Any]) -> str:
    """One row as a line of a table."""
    cells = [row["case"], *(_cell(name, value) for name, value in row.items() if name != "case")]
    return "| " + " | ".join(cells) + " |"


def _cell(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.0%} of copy" if name == "of copy" else f"{value:.3g} {name}"


if __name__ == "__main__":
    sys.exit(main())
