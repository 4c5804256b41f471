"""Parts of carrying switched off one at a time: each switch does what its row says, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from propagation.alignment import CLUES, Tracker
from propagation.bench import carry_parts
from propagation.bench.carry_parts import NOTHING_LEARNED, VARIANTS, WHOLE
from propagation.precision import fast_convolutions
from propagation.sequence import Carrier
from tests.app.conftest import make_clip


def seen(shape=(48, 64)) -> tuple[torch.Tensor, torch.Tensor]:
    """Lightness and clues of which each candidate has another color: key (20, 0), previous (0, -20)."""
    rng = np.random.default_rng(0)
    light = torch.from_numpy((30 + 40 * rng.random((1, 1, *shape))).astype(np.float32))
    clues = torch.zeros(1, len(CLUES), *shape)
    for name, value in {"key a": 20, "key inside": 1, "previous b": -20, "previous inside": 1}.items():
        clues[:, CLUES.index(name)] = value
    clues[:, CLUES.index("key lightness")] = clues[:, CLUES.index("previous lightness")] = light[:, 0]
    return light, clues


def carried(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values (2, h, w) and trust (h, w) of one step by a variant."""
    with torch.inference_mode():
        out = carry_parts._model(VARIANTS[name]).eval()(*seen())
    return out["values"][0].numpy(), out["trust"][0, 0].numpy()


def test_the_whole_is_the_shipped_network() -> None:
    with torch.inference_mode(), fast_convolutions():
        shipped = Carrier.load().model(*seen())["values"][0].numpy()
    assert np.abs(carried(WHOLE)[0] - shipped).max() < 0.5  # convolutions in bfloat16 there


def test_what_is_switched_off_has_no_say() -> None:
    values, _ = carried("without the key frame")
    assert np.abs(values[1] + 20).max() < 4 and np.abs(values[0]).max() < 4
    values, _ = carried("without the previous frame")
    assert values[0].mean() > 12 and np.abs(values[1]).max() < 4
    for name in ("without scans", NOTHING_LEARNED):
        _, trust = carried(name)
        assert trust.min() > 0.999


def test_nothing_learned_means_doubt_as_it_was_before_training() -> None:
    values, _ = carried(NOTHING_LEARNED)  # both look alike and nothing speaks against either: one half each
    np.testing.assert_allclose(values[0], 10, atol=1e-3)
    np.testing.assert_allclose(values[1], -10, atol=1e-3)


def test_tracks_without_anchors_stay_where_steps_lead() -> None:
    rng = np.random.default_rng(1)
    small = rng.uniform(20, 80, (12, 16)).astype(np.float32)
    light = np.kron(small, np.ones((8, 8), np.float32))
    tracker = Tracker(light, np.zeros((*light.shape, 2), np.float32), motion=carry_parts._Unanchored())
    step = tracker.follow(np.roll(light, 3, axis=1))
    assert step is not None
    inner = step.tracks[8:-8, 8:-8, 4]  # what leaves the frame is searched for at its border
    assert np.array_equal(inner, np.zeros_like(inner))


def test_a_row_a_variant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_clip(tmp_path / "orange.mp4", frames=14, color=(1.2, 1.0, 0.6))
    monkeypatch.setattr(carry_parts, "EVERY", 13)
    monkeypatch.setattr(carry_parts, "VARIANTS", {name: VARIANTS[name] for name in (WHOLE, "without matching")})
    table = carry_parts.run(tmp_path, limit=1)
    rows = [line.split(" | ") for line in table.markdown().splitlines() if line.startswith("| ")][2:]
    assert [row[0].strip("| ") for row in rows] == ["DIS chain", "DIS frame by frame", WHOLE, "without matching"]
    assert rows[2][2] == "" and rows[3][2][0] in "+-"
