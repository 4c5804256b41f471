"""`bench` prints the tables of the protocol, `train` runs a recipe and writes its weights."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import app.cli.bench
import app.cli.train
import app.job_cost
from propagation.bench.targets import JobCost
from propagation.published.tpn import PublishedCarrier
from tests.app.conftest import Ran, make_clip

Run = Callable[..., Ran]


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one color clip of 14 frames; the networks are stand-ins."""
    folder = tmp_path / "clips"
    folder.mkdir()
    make_clip(folder / "orange.mp4", frames=14, color=(1.2, 1.0, 0.6))
    monkeypatch.setattr(app.cli.bench, "DEMO_CLIP", folder / "orange.mp4")

    def carry(device: str, *, aligned: bool = True) -> Callable[..., object]:
        return lambda lightness, keys, count: ((n, keys[max(k for k in keys if k <= n)]) for n in range(count))

    def fill(device: str) -> Callable[..., object]:
        return lambda lightness, mask, ab: np.broadcast_to(ab[mask].mean(axis=0), ab.shape).astype(np.float32)

    monkeypatch.setattr(app.cli.bench, "our_carry", carry)
    monkeypatch.setattr(PublishedCarrier, "load", lambda **_: carry(""))
    monkeypatch.setattr(app.job_cost, "measure", lambda clip, device, threads: JobCost(90.0, 400.0, 1.5e9))
    monkeypatch.setattr(app.cli.bench, "our_fill", fill)
    return folder


def test_carrying_beside_every_baseline(run_cli: Run, clips: Path) -> None:
    ran = run_cli("bench", "propagate", clips, "--every", "5")
    assert ran.code == 0, ran.err
    assert all(name in ran.out for name in ("Huecast", "two-sided", "hold", "DIS chain", "DIS frame by frame", "K = 5"))


def test_carrying_as_json(run_cli: Run, clips: Path) -> None:
    ran = run_cli("bench", "propagate", clips, "--every", "5", "--json", "--progress", "none")
    table = json.loads(ran.out)
    by_method = {score["method"]: score["errors"] for score in table["scores"]}
    assert by_method["Huecast"] == by_method["hold"]


def test_every_target_beside_what_was_measured(run_cli: Run, clips: Path) -> None:
    ran = run_cli("bench", "propagate", clips, "--every", "5", "--every", "10")
    assert ran.code == 0, ran.err
    assert "TPN as published" in ran.out
    rows = {line.split(" | ")[0].strip("| "): line for line in ran.out.splitlines()}
    assert "at most 1000 | 400 | yes" in rows["ms to the first new frame"]
    assert "at most 3.00 | 1.50 | yes" in rows["GB at 1920x1080"]
    assert "one-sided, K = 10, dB" in rows and "flicker, K = 5" in rows


def test_a_quick_run_measures_ours_and_the_baselines_alone(run_cli: Run, clips: Path) -> None:
    ran = run_cli("bench", "propagate", clips, "--every", "5", "--quick", "--json", "--progress", "none")
    table = json.loads(ran.out)
    assert {score["method"] for score in table["scores"]} >= {"Huecast", "hold"}
    assert not any("published" in score["method"] for score in table["scores"])
    assert table["job"]["frame_ms"] is None
    assert all(line["reached"] is None for line in table["targets"] if "DIS calls" in line["what"])
    energies = next(score["energies"] for score in table["scores"] if score["method"] == "Huecast")
    assert len(energies) == 11


def test_the_pipeline_and_the_long_shot(run_cli: Run, clips: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("propagation.bench.pipeline.FRAMES", 12)
    monkeypatch.setattr("propagation.bench.pipeline.FAR", range(5, 12))
    monkeypatch.setattr(app.cli.bench, "_fill", app.cli.bench.our_fill)
    ran = run_cli("bench", "pipeline", clips)
    assert ran.code == 0, ran.err
    assert "dense key, frame 0" in ran.out
    ran = run_cli("bench", "propagate", clips, "--long", "--clip", "orange", "-o", tmp_path / "long")
    assert ran.code == 3 and "has 14 frames" in ran.err
    assert run_cli("bench", "pipeline", clips, clips).code == 2


def test_hdr_beside_every_baseline(run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def run(folder: Path, methods: object, **more: object) -> types.SimpleNamespace:
        asked.update(folder=folder, **more)
        return types.SimpleNamespace(markdown=lambda: "| a table |")

    monkeypatch.setattr("propagation.bench.hdr.run", run)
    ran = run_cli("bench", "hdr", tmp_path, "--clip", "lobby", "--limit", "1")
    assert ran.code == 0, ran.err
    assert "| a table |" in ran.out
    assert (asked["folder"], asked["names"], len(asked["seeds"])) == (tmp_path, ["lobby"], 1)
    assert run_cli("bench", "hdr").code == 2


def test_an_ablation_is_trained_and_judged(run_cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def measure(network: str, folders: list[Path], minutes: float, data: Path, runs: Path, *rest: object) -> object:
        asked.update(network=network, folders=folders, minutes=minutes, data=data, runs=runs)
        return types.SimpleNamespace(markdown=lambda: "| a table |")

    monkeypatch.setattr("app.cli.ablation.measure", measure)
    ran = run_cli("bench", "ablation", "spn", tmp_path, "--minutes", "2", "--runs", tmp_path / "runs")
    assert ran.code == 0, ran.err
    assert "| a table |" in ran.out
    assert (asked["network"], asked["folders"], asked["minutes"]) == ("spn", [tmp_path], 2)
    assert run_cli("bench", "ablation").code == 2
    assert run_cli("bench", "ablation", "no-such-network").code == 2
    assert run_cli("bench", "ablation", "spn", "--minutes", "21").code == 2, "budgets of at most 20 minutes"


def test_an_ablation_needs_its_training_data(run_cli: Run, clips: Path, tmp_path: Path) -> None:
    ran = run_cli("bench", "ablation", "spn", "--data", tmp_path / "gone", "--runs", tmp_path / "runs")
    assert ran.code == 3
    assert "--data" in ran.err


def test_without_a_folder_the_demo_clip_is_measured(run_cli: Run, clips: Path) -> None:
    ran = run_cli("bench", "propagate", "--every", "7")
    assert ran.code == 0, ran.err
    assert "K = 7" in ran.out


def test_one_folder_of_clips_at_a_time(run_cli: Run, clips: Path) -> None:
    assert run_cli("bench", "propagate", clips, clips).code == 2


def test_a_folder_that_is_not_there(run_cli: Run, clips: Path, tmp_path: Path) -> None:
    ran = run_cli("bench", "propagate", tmp_path / "gone")
    assert ran.code == 3
    assert "gone" in ran.err


@dataclass(frozen=True)
class Loop:
    minutes: float = 45


@dataclass(frozen=True)
class Recipe:
    loop: Loop = Loop()


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
    """A recipe whose training is done at once."""
    import torch

    def train(data: Path, folder: Path, recipe: Recipe) -> tuple[types.SimpleNamespace, dict[str, float]]:
        folder.mkdir(parents=True)
        return types.SimpleNamespace(model=torch.nn.Linear(2, 3)), {"PSNR ab": recipe.loop.minutes}

    module = types.SimpleNamespace(NAME="spn-color", FOLDERS=("photos",), Recipe=Recipe, train=train)
    monkeypatch.setattr(app.cli.train, "RECIPES", {"spn-color": ("recipe", "Recipe")})
    monkeypatch.setattr(app.cli.train.importlib, "import_module", lambda name: module)
    return module


def test_training_writes_weights_that_say_what_they_are(
    run_cli: Run, recipe: types.SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "data" / "photos").mkdir(parents=True)
    (tmp_path / "data" / "photos" / "tree.jpg").touch()
    run_cli("train", "--help")  # imports the verb before its importer is replaced
    command = app.cli.train.command
    done = command.main(
        ["spn-color", "--data", str(tmp_path / "data"), "--runs", str(tmp_path / "runs"), "--minutes", "2"],
        standalone_mode=False,
    )
    assert done is None
    from propagation.weights import read_header

    header = read_header(tmp_path / "runs" / "spn-color" / "spn-color.safetensors")
    assert header.model == "spn-color"
    assert header.recipe == {"loop": {"minutes": 2}}
    assert header.data == [{"folder": "photos", "tiers": "A and B", "files": ["tree.jpg"]}]
    assert header.scores == {"PSNR ab": 2}


def test_the_header_leaves_out_panoramas_that_only_measure(tmp_path: Path) -> None:
    folder = tmp_path / "hdr" / "env_cc0_pmndrs"
    folder.mkdir(parents=True)
    for name in ("lobby.hdr", "forest.hdr", "city.hdr"):
        (folder / name).touch()
    (entry,) = app.cli.train.training_files(tmp_path, ("hdr/env_cc0_pmndrs",))
    assert entry == {"folder": "hdr/env_cc0_pmndrs", "tiers": "A, CC0", "files": ["city.hdr", "forest.hdr"]}


def test_training_data_that_is_not_there(run_cli: Run, tmp_path: Path) -> None:
    ran = run_cli("train", "spn-color", "--data", tmp_path / "gone", "--runs", tmp_path / "runs")
    assert ran.code == 3
    assert "--data" in ran.err
