"""Photographs in motion: they move as drawn, and only by what is drawn."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from propagation.likeness import find_shift
from propagation.training.losses import energy_apart
from propagation.training.moving_photos import MotionRanges, MovingPhotos, PhotoView
from propagation.training.rollouts import WalkConfig, Walks

STILL = MotionRanges(pan_px=0, turn=0, growth=0, most_cutouts=0, quality=(90, 95))


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    paths = []
    for seed in range(3):
        noise = np.random.default_rng(seed).random((150, 200, 3)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), 3)
        path = tmp_path / f"{seed}.png"
        cv2.imwrite(str(path), np.rint((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8))
        paths.append(path)
    return paths


def light(view: PhotoView, index: int) -> np.ndarray:
    return view.frame(index, np.random.default_rng(0))[0]


def test_a_scene_is_the_same_from_the_same_seed_and_lies_in_range(photos: list[Path]) -> None:
    one, two = (MovingPhotos(photos, 64).scene(10, 1.0, None, np.random.default_rng(4)) for _ in range(2))
    for index in (0, 5, 9):
        l1, ab1 = one.frame(index, np.random.default_rng(0))
        l2, ab2 = two.frame(index, np.random.default_rng(1))
        assert np.array_equal(l1, l2) and np.array_equal(ab1, ab2), "clean film needs no chance"
        assert l1.shape == (64, 64) and ab1.shape == (64, 64, 2) and l1.dtype == ab1.dtype == np.float32
        assert 0 <= l1.min() and l1.max() <= 100


def test_without_motion_nothing_changes(photos: list[Path]) -> None:
    view = MovingPhotos(photos, 64, STILL).scene(8, 1.0, None, np.random.default_rng(0))
    assert np.array_equal(light(view, 0), light(view, 7))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_camera_pans_by_what_the_layer_says(photos: list[Path], seed: int) -> None:
    ranges = MotionRanges(pan_px=4, turn=0, growth=0, faster=0, most_cutouts=0, quality=(90, 95))
    view = MovingPhotos(photos, 96, ranges).scene(9, 1.0, None, np.random.default_rng(seed))
    step = view.layers[0].step
    (x, y), alike = find_shift(light(view, 4), light(view, 5))
    assert alike > 0.9 and np.hypot(step[0] - x, step[1] - y) < 0.5, (step, x, y)


def test_cutouts_come_in_front_and_leave_the_rest(photos: list[Path]) -> None:
    ranges = MotionRanges(pan_px=0, turn=0, growth=0, most_cutouts=1, cutout_side=(0.5, 0.5), quality=(94, 95))
    for seed in range(20):
        view = MovingPhotos(photos, 64, ranges).scene(2, 1.0, None, np.random.default_rng(seed))
        if len(view.layers) == 2:
            break
    alone = PhotoView(view.layers[:1], view.size, view.saturation, view.quality, view.wear)
    changed = np.abs(light(view, 1) - light(alone, 1)) > 4
    cover = view.layers[1].cover
    assert cover is not None and cover[16, 16] == 1 and not cover[[0, 0, -1, -1], [0, -1, 0, -1]].any()
    assert 20 < changed.sum() < 32 * 32 * 1.5


def test_walks_go_through_photographs_alone_or_not_at_all(photos: list[Path]) -> None:
    config = WalkConfig(size=64, walks=2, longest=4, photos=1.0)
    walks = Walks([], config, MovingPhotos(photos, 64))
    lightness, clues, truth = walks.step(np.random.default_rng(0))
    assert lightness.shape == (2, 1, 64, 64) and clues.shape == (2, 12, 64, 64) and truth.shape == (2, 2, 64, 64)
    assert all(isinstance(walk.view, PhotoView) for walk in walks.walks)


def test_the_key_that_a_walk_moves_is_nearer_than_one_that_stands_still(photos: list[Path]) -> None:
    ranges = MotionRanges(turn=0, growth=0, most_cutouts=0, quality=(94, 95))
    errors = {}
    for name, unaligned in (("moved", 0.0), ("still", 1.0)):
        config = WalkConfig(size=96, walks=4, longest=8, unaligned=unaligned, worn=0, photos=1.0)
        walks, rng = Walks([], config, MovingPhotos(photos, 96, ranges)), np.random.default_rng(3)
        for _ in range(3):
            _, clues, truth = walks.step(rng)
            walks.accept(truth, torch.zeros_like(truth[:, :1]))
        errors[name] = float((clues[:, 1:3] - truth).abs().mean())
    assert errors["moved"] < 0.7 * errors["still"], errors


def test_energy_is_told_apart_by_its_logarithm_whichever_way() -> None:
    truth = torch.randn(3, 2, 8, 8, generator=torch.manual_seed(0))
    assert energy_apart(truth, truth) == 0
    for factor in (2.0, 0.5):
        assert abs(float(energy_apart(factor * truth, truth, floor=0.0)) - math.log(4)) < 1e-5
