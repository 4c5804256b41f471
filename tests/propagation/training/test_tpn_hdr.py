"""`tpn-hdr`: trained on what it is given in use, judged on panoramas that it has not seen."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from propagation.alignment import CLUES
from propagation.bench import hdr
from propagation.bench.panoramas import FOLDER, VALIDATION, ClipRanges
from propagation.errors import MissingMediaError
from propagation.sequence import Carried
from propagation.tpn import TemporalPropagationNetwork
from propagation.training.hdr_material import HdrMaterial, HdrMaterialConfig
from propagation.training.loop import LoopConfig
from propagation.training.losses import weighted_squared
from propagation.training.tpn_color import loss_between
from propagation.training.tpn_hdr import HELD_OUT, LightView, LightWalks, TpnHdrRecipe, loss_of, materials, score, train
from propagation.weights import adopt, weights_path
from tests.propagation.hdr.scenes import scene

RANGES = ClipRanges(size=(64, 64), frames=4, clipped=(0.05, 0.25))
SMALL = HdrMaterialConfig(ranges=RANGES)
RECIPE = TpnHdrRecipe(loop=LoopConfig(minutes=0.01, warm_up=1, rate=1e-4), material=SMALL, shortest=2)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data collection of three training panoramas, two of them held out, the validation ones and a clip."""
    folder = tmp_path / "data" / "hdr" / FOLDER
    folder.mkdir(parents=True)
    measuring = [Path(name).name for name in VALIDATION if name.startswith(FOLDER)]
    for name in [*measuring, "mine.hdr", *(f"{name}.hdr" for name in HELD_OUT)]:
        cv2.imwrite(str(folder / name), np.ascontiguousarray(scene()[..., ::-1]))
    clip = tmp_path / "data" / "clips" / "walk"
    clip.mkdir(parents=True)
    for n in range(8):
        noise = np.random.default_rng(n).integers(0, 256, (40, 50, 3)).astype(np.uint8)
        cv2.imwrite(str(clip / f"{n:05d}.png"), noise)
    return tmp_path / "data"


def material(ranges: ClipRanges = RANGES) -> HdrMaterial:
    return HdrMaterial({"one": scene()}, [], HdrMaterialConfig(ranges=ranges, most_cutouts=0))


def test_no_panorama_trains_that_judges(data: Path) -> None:
    training, held_out = materials(data, data / "cache", RECIPE)
    assert training.sources == ["mine"]
    assert held_out.sources == sorted(HELD_OUT)


def test_no_panorama_of_the_collection_trains_that_judges(shared_data: Path, tmp_path: Path, data: Path) -> None:
    (data / "hdr").rename(tmp_path / "other")
    (data / "hdr").symlink_to(shared_data / "hdr")
    training, held_out = (set(each.sources) for each in materials(data, data / "cache", RECIPE))
    judging = {Path(name).stem for name in VALIDATION}
    assert len(training) == 9 and len(held_out) == 2
    assert not training & held_out and not (training | held_out) & judging


def test_no_panoramas_are_said(data: Path, tmp_path: Path) -> None:
    (data / "hdr").rename(tmp_path / "other")
    with pytest.raises(MissingMediaError, match="training panoramas"):
        materials(data, data / "cache", RECIPE)


class Listening:
    """A carrier that keeps what it is given."""

    def __init__(self) -> None:
        self.lightness: list[np.ndarray] = []
        self.keys: list[np.ndarray] = []

    def walk(self, lightness_of, order, start, key):  # type: ignore[no-untyped-def]
        self.keys.append(key.values)
        for index in order:
            self.lightness.append(lightness_of(index))
            yield Carried(index, key.values, key.confidence, key.error)


def test_a_walk_sees_what_the_network_is_given_in_use() -> None:
    clip = material().clip(0)
    used = Listening()
    list(hdr.tpn_alone(list(clip.frames), {0: clip.truth[0]}, used))  # type: ignore[arg-type]
    middle = np.float32(np.median(np.log10(np.maximum(clip.truth[0], 1e-4))))
    rng = np.random.default_rng(0)
    for channels, key in zip(((0, 1), (2, 1)), used.keys, strict=True):
        view = LightView(clip, channels, False, middle)
        np.testing.assert_allclose(view.frame(0, rng)[1], key, atol=1e-4)
        np.testing.assert_array_equal(view.frame(1, rng)[0], used.lightness[0])
        mirrored = replace(view, mirror=True)
        for one, other in zip(view.frame(2, rng), mirrored.frame(2, rng), strict=True):
            np.testing.assert_array_equal(one[:, ::-1], other)
        np.testing.assert_array_equal(view.clipped(2)[:, ::-1], mirrored.clipped(2))


def test_walks_begin_at_either_end_and_know_what_is_clipped() -> None:
    walks = LightWalks(material(), 4, 2)
    rng = np.random.default_rng(0)
    begun = set()
    for _ in range(6):
        lightness, clues, truth = walks.step(rng)
        assert (lightness.shape, clues.shape, truth.shape) == ((4, 1, 64, 64), (4, len(CLUES), 64, 64), (4, 2, 64, 64))
        clipped = walks.clipped()
        assert clipped.shape == (4, 1, 64, 64) and set(clipped.unique().tolist()) == {0, 1}
        assert float((lightness * clipped).sum() / clipped.sum()) > 80, "white or nearly, in one channel at least"
        begun |= {(walk.order[0], walk.order[1] - walk.order[0]) for walk in walks.walks}
        walks.accept(truth, torch.zeros_like(lightness))
    assert begun == {(0, 1), (3, -1)}


def test_walks_follow_the_motion() -> None:
    """With the truth handed back, the previous frame's candidate is nearer to the truth than the previous frame is."""
    walks = LightWalks(material(replace(RANGES, size=(96, 96), frames=8, pan_px=6.0, rotation_degrees=0.0)), 2, 7)
    rng = np.random.default_rng(1)
    moved, still = [], []
    before = None
    for _ in range(7):
        lightness, clues, truth = walks.step(rng)
        previous = clues[:, CLUES.index("previous a") : CLUES.index("previous b") + 1]
        moved.append(float((previous - truth)[..., 16:-16, 16:-16].abs().mean()))
        if before is not None:
            still.append(float((before - truth)[..., 16:-16, 16:-16].abs().mean()))
        before = truth
        walks.accept(truth, torch.zeros_like(lightness))
    assert np.mean(moved) < 0.6 * np.mean(still)


def test_clipped_pixels_count_once_more() -> None:
    torch.manual_seed(0)
    model = TemporalPropagationNetwork()
    plain, more = (replace(RECIPE, clipped_weight=w) for w in (0.0, 1.0))
    losses = [loss_of(model, LightWalks(material(), 2, 3), r, np.random.default_rng(2)) for r in (plain, more)]
    assert losses[1].item() > losses[0].item()
    values, mask = torch.zeros(1, 2, 2, 2), torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]])
    truth = torch.full((1, 2, 2, 2), 2.0)
    truth[..., 1, 1] = 100.0
    assert float(weighted_squared(values, truth, mask)) == pytest.approx(3 * 4 / (3 + 1)), "a mean but for the 1"
    out = {"values": truth, "carried": truth, "error": torch.zeros(1, 1, 2, 2), "doubt": torch.ones(1, 1, 2, 2)}
    assert float(loss_between(out, truth, plain)) < float(loss_between({**out, "values": values}, truth, plain))


class Off(torch.nn.Module):
    """The key moved to where it belongs, and 50 units too high."""

    def forward(self, lightness: torch.Tensor, clues: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"values": clues[:, 1:3] + 50, "error": torch.zeros_like(lightness)}


def test_the_score_is_in_decades_of_light() -> None:
    flat = HdrMaterial({"flat": np.full((300, 400, 3), 0.5, np.float32)}, [], SMALL)
    found = score(Off(), flat, RANGES.frames)
    assert found["RMSE"] == pytest.approx(50 / 30, rel=1e-4)
    assert found["clipped RMSE"] == pytest.approx(50 / 30, rel=1e-4)


def test_training_starts_from_the_network_for_color_and_goes_on(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "tpn-hdr"
    run, scores = train(data, folder, RECIPE)
    assert run.iterations >= 1 and set(scores) == {"clipped RMSE", "RMSE"}
    assert all(np.isfinite(value) and value < 3 for value in scores.values())
    begun = TemporalPropagationNetwork()
    adopt(begun, weights_path("tpn-color"))
    distances = [(a - b).abs().max().item() for a, b in zip(begun.parameters(), run.model.parameters(), strict=True)]
    assert 0 < max(distances) < 0.1
    # A busy machine, or the first compilation, may have spent more than the recipe's minutes.
    minutes = run.seconds / 60 + 0.01
    on, _ = train(data, folder, replace(RECIPE, loop=replace(RECIPE.loop, minutes=minutes)))
    assert on.iterations > run.iterations
    assert len(list(csv.DictReader((folder / "curve.csv").open()))) == 2
