"""HDR training clips: the same by number, cut-outs that move, no validation panorama among the sources."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propagation.bench.panoramas import VALIDATION, VALIDATION_SEEDS, ClipRanges
from propagation.errors import MissingMediaError
from propagation.training.hdr_material import SEED, HdrMaterial, HdrMaterialConfig, lay_cutout
from tests.propagation.hdr.scenes import scene

SMALL = HdrMaterialConfig(ranges=ClipRanges(size=(48, 40), frames=4, rotation_degrees=12.0, balance_stops=0.3))


def material(pictures: int = 2) -> HdrMaterial:
    rng = np.random.default_rng(0)
    found = [rng.integers(0, 256, (50, 60, 3)).astype(np.uint8) for _ in range(pictures)]
    return HdrMaterial({"one": scene(), "two": scene()[::-1]}, found, SMALL)


def test_clips_are_the_same_by_number() -> None:
    one, same, other = material().clip(3), material().clip(3), material().clip(4)
    np.testing.assert_array_equal(one.frames, same.frames)
    np.testing.assert_array_equal(one.truth, same.truth)
    assert one.frames.shape == (4, 40, 48, 3)
    assert (one.frames != other.frames).any()
    assert np.isfinite(one.truth).all()


def test_both_panoramas_and_several_curves_come_up() -> None:
    clips = [material().clip(n) for n in range(12)]
    assert {clip.name.split("-")[0] for clip in clips} == {"one", "two"}
    assert len({clip.curve for clip in clips}) >= 3


def test_a_cutout_covers_something_and_moves() -> None:
    light = np.ones((6, 60, 80, 3), np.float32)
    black = np.zeros((40, 40, 3), np.uint8)
    config = HdrMaterialConfig(cutout_side=(0.4, 0.5))
    for seed in range(20):
        covered = 1 - lay_cutout(light, black, config, np.random.default_rng(seed))[..., 0]
        amounts = covered.sum(axis=(1, 2))
        if amounts.min() > 50:
            break
    y, x = np.mgrid[:60, :80]
    centers = [(np.average(x, weights=w), np.average(y, weights=w)) for w in covered]
    steps = np.hypot(*np.diff(centers, axis=0).T)
    assert 0.05 < steps.max() <= config.cutout_px * np.sqrt(2) + 1
    assert ((covered >= 0) & (covered <= 1)).all()


def test_no_validation_panorama_comes_in(shared_data: Path) -> None:
    loaded = HdrMaterial.load(shared_data / "hdr", [], SMALL)
    assert len(loaded.sources) == 11
    assert not set(loaded.sources) & {Path(name).stem for name in VALIDATION}
    assert SEED not in VALIDATION_SEEDS


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingMediaError, match="training panoramas"):
        HdrMaterial.load(tmp_path, [])
