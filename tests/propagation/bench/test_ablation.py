"""The ablation: every variant trained alike, judged together, and printed beside the whole network."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from propagation.bench import ablation
from propagation.spn import SpatialPropagationNetwork
from propagation.training import spn_ablation
from propagation.training.loop import LoopConfig, Run
from propagation.training.spn_color import Material, SpnColorRecipe, loss_of
from propagation.training.stills import StillSource
from propagation.video.images import write_image


def picture(seed: int, size: tuple[int, int] = (120, 90)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 6, 3)).astype(np.uint8)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR)


def test_a_table_says_what_each_part_brings(tmp_path: Path) -> None:
    trained: list[Path] = []

    def train(folder: Path, say) -> tuple[Run, dict[str, float]]:
        trained.append(folder)
        say("  went well ")
        return Run(nn.Linear(2, 3), folder, LoopConfig()), {"curve": 30.0}

    def judge(models):
        return {name: {"strokes": 25.0 - i} for i, name in enumerate(models)}

    told: list[tuple[int, int, str]] = []
    table = ablation.run(
        "net", {"whole": train, "without a part": train}, judge, tmp_path, 2, lambda *words: told.append(words)
    )
    assert trained == [tmp_path / "whole", tmp_path / "without-a-part"]
    assert (1, 3, "without a part: went well") in told and told[-1][2] == "judging"
    lines = table.markdown().splitlines()
    assert "2 minutes a variant" in lines[0]
    assert lines[2].startswith("| whole | 25.00 | 30.00 |")
    assert lines[3].startswith("| without a part | 24.00 (-1.00) | 30.00 (+0.00) |")
    assert json.loads(json.dumps(table.to_json()))["rows"][1]["parameters"] == 9


@pytest.mark.parametrize("name", list(spn_ablation.VARIANTS))
def test_every_variant_learns_with_all_it_has(name: str) -> None:
    """No parameter is left without a gradient, and what a variant lacks it has no parameters for."""
    torch.manual_seed(0)
    model = SpatialPropagationNetwork(spn_ablation.VARIANTS[name])
    source = StillSource([picture(1)], size=64, batch=1)
    loss = loss_of(model, source, SpnColorRecipe(), np.random.default_rng(0))
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, tuple(model.parameters())))
    whole = sum(p.numel() for p in SpatialPropagationNetwork().parameters())
    without_weights = ("whole", "without the first pass at full size")  # that pass shares the gates of the last
    assert (sum(p.numel() for p in model.parameters()) < whole) == (name not in without_weights)


def test_bare_colors_pass_through_scans_as_they_are() -> None:
    """Without confidences a picture that is hinted at everywhere in one color comes through in that color, all the
    same."""
    torch.manual_seed(0)
    for name in ("without division by confidence", "maximum of the directions"):
        model = SpatialPropagationNetwork(spn_ablation.VARIANTS[name]).eval()
        lightness, color = torch.rand(1, 1, 32, 48) * 100, torch.tensor([20.0, -30.0]).view(1, 2, 1, 1)
        with torch.inference_mode():
            out = model(lightness, color.expand(1, 2, 32, 48), torch.ones(1, 1, 32, 48))
        torch.testing.assert_close(out["values"], color.expand(1, 2, 32, 48), rtol=0, atol=1e-3)


def test_variants_train_from_one_material_and_are_judged_on_one_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    material = Material([picture(2, (220, 210))], [picture(3, (64, 48))])
    monkeypatch.setattr(Material, "load", classmethod(lambda *args: material))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    write_image(pictures / "one.png", picture(4))
    variants = spn_ablation.variants(tmp_path, tmp_path, minutes=1e-3)
    assert {"whole", "without lookup", "published"} < set(variants)
    chosen = {name: variants[name] for name in ("whole", "published")}
    monkeypatch.setattr(spn_ablation, "KINDS", (spn_ablation.KINDS[2],))
    table = ablation.run(
        "spn", chosen, lambda models: spn_ablation.judge(models, [pictures], None), tmp_path / "runs", 1e-3
    )
    assert [row.variant for row in table.rows] == ["whole", "published"]
    assert all(row.iterations >= 1 and len(row.scores) == 2 for row in table.rows)
    assert (tmp_path / "runs" / "whole" / "checkpoint.safetensors").exists()
