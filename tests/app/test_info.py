"""What `info` tells of clips, pictures, weights and the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.app.conftest import FRAMES, HEIGHT, WIDTH, Ran

Run = Callable[..., Ran]


def facts(ran: Ran) -> dict[str, Any]:
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_of_a_video(run_cli: Run, clip: Path) -> None:
    found = facts(run_cli("info", clip, "--json"))
    wanted = {"kind": "video", "width": WIDTH, "height": HEIGHT, "frames": FRAMES, "rate": "25", "codec": "h264"}
    assert wanted.items() <= found.items()
    assert found["color"] == {"primaries": 1, "transfer": 1, "matrix": 1, "range": 0, "guessed": []}
    assert found["problems"] == []
    assert found["constant_rate"] is True


def test_of_a_sequence_shows_the_offset(run_cli: Run, sequence: Path) -> None:
    found = facts(run_cli("info", sequence, "--json"))
    assert (found["kind"], found["frames"], found["first_number"]) == ("sequence", FRAMES, 10)
    ran = run_cli("info", sequence)
    assert ran.code == 0
    assert "frame 0 is file number 10" in ran.out


def test_of_a_still(run_cli: Run, key: Path) -> None:
    found = facts(run_cli("info", key, "--json"))
    assert (found["kind"], found["width"], found["frames"]) == ("still", WIDTH, 1)


def test_of_a_weights_file(run_cli: Run, tmp_path: Path) -> None:
    import torch

    from propagation.weights import pack_header, save_weights

    path = tmp_path / "small.safetensors"
    header = pack_header("spn-color", "1", {"minutes": 1}, [{"folder": "photos", "tier": "A"}], {"PSNR ab": 30.0})
    save_weights(path, {"gates": torch.zeros(2, 3)}, header)
    found = facts(run_cli("info", path, "--json"))
    assert (found["kind"], found["model"], found["parameters"]) == ("weights", "spn-color", 6)
    assert found["scores"] == {"PSNR ab": 30.0}
    assert "spn-color" in run_cli("info", path).out


def test_of_damaged_weights(run_cli: Run, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(np.random.default_rng(1).bytes(200))
    ran = run_cli("info", path)
    assert ran.code == 3
    assert "damaged.safetensors" in ran.err


def test_of_nothing_there(run_cli: Run, tmp_path: Path) -> None:
    for name in ("gone.mp4", "gone.png", "gone.safetensors", "gone"):
        ran = run_cli("info", tmp_path / name)
        assert ran.code == 3
        assert name in ran.err


def test_of_the_machine(run_cli: Run) -> None:
    found = facts(run_cli("info", "--json"))
    assert found["backends"]["reference"] == "available"
    assert found["threads"] >= 1
    assert found["libraries"]["torch"]
    assert found["cuda"]
    text = run_cli("info").out
    assert "version" in text
    assert "backends" in text
