"""What the networks are trained on: where it may come from, and that it is what it says."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from propagation.alignment import CLUES
from propagation.bench.panoramas import FOLDER, VALIDATION, training_panoramas
from propagation.bench.protocol import to_lab
from propagation.training import clips, spn_color, spn_published, tpn_belief, tpn_color, tpn_hdr, tpn_photos
from propagation.training.film import age
from propagation.training.hints import sample_hints
from propagation.training.losses import srgb_of_lab
from propagation.training.rollouts import WalkConfig, Walks
from propagation.training.stills import StillSource, flat_field, photo_paths
from propagation.weights import read_header, weights_path

PANORAMAS = f"hdr/{FOLDER}"
TRAINABLE = {"photos", "clips", PANORAMAS}


@pytest.mark.parametrize("recipe", [spn_color, spn_published, tpn_belief, tpn_color, tpn_hdr, tpn_photos])
def test_recipes_and_shipped_weights_name_no_folder_that_may_not_train(recipe):
    assert set(recipe.FOLDERS) <= TRAINABLE
    header = read_header(weights_path(recipe.NAME))
    assert header.model == recipe.NAME and header.scores and header.recipe
    assert {entry["folder"] for entry in header.data} <= TRAINABLE
    text = str(header.data)
    assert not any(word in text for word in ("validation", "kodak", "flower", "friday", "davis", "archive"))
    panoramas = {name for entry in header.data if entry["folder"] == PANORAMAS for name in entry["files"]}
    assert bool(panoramas) == (PANORAMAS in recipe.FOLDERS)
    assert not panoramas & {Path(name).name for name in VALIDATION}


def test_shipped_weights_name_files_that_are_in_those_folders(shared_data):
    panoramas = {path.name for path in training_panoramas(shared_data / "hdr").values()}
    for recipe in (spn_color, spn_published, tpn_color, tpn_hdr):
        for entry in read_header(weights_path(recipe.NAME)).data:
            there = {path.name for path in (shared_data / entry["folder"]).iterdir()}
            assert set(entry["files"]) == (panoramas if entry["folder"] == PANORAMAS else there)


def picture(seed: int, h: int = 90, w: int = 120) -> np.ndarray:
    noise = np.random.default_rng(seed).random((h, w, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 6)
    return np.rint((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)


def test_hints_show_the_true_color_or_a_mean_of_it():
    ab = np.ascontiguousarray(to_lab(picture(0))[..., 1:])
    kinds, levels = set(), set()
    for seed in range(40):
        values, strength = sample_hints(ab, np.random.default_rng(seed))
        assert len(np.unique(strength)) == 2 and strength.min() == 0 and strength.max() <= 1
        assert not values[strength == 0].any()
        levels.add(float(strength.max()) == 1)
        hinted = values[strength > 0]
        assert hinted.min() >= ab.min() - 1e-3 and hinted.max() <= ab.max() + 1e-3
        kinds.add(bool(np.array_equal(hinted, ab[strength > 0])))
    assert kinds == {True, False}, "dots and holes show the very pixel, patches and strokes a mean"
    assert levels == {True, False}, "some hints are less than sure"


def test_batches_are_drawn_alike_from_the_same_state_and_keep_color_true_under_wear():
    source = StillSource([picture(i) for i in range(3)], size=64, batch=4, worn=1.0)
    one, two = (source.draw(np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.lightness, two.lightness) and torch.equal(one.values, two.values)
    clean = StillSource(source.pictures, 64, 1, worn=0.0).draw(np.random.default_rng(3))
    worn = StillSource(source.pictures, 64, 1, worn=1.0).draw(np.random.default_rng(3))
    assert torch.equal(clean.color, worn.color) and not torch.equal(clean.lightness, worn.lightness)


def test_a_flat_field_has_the_color_of_the_nearest_hint_everywhere():
    for seed in range(20):
        lab, values, strength = flat_field(48, np.random.default_rng(seed))
        assert np.ptp(lab[..., 0]) < 5 and 0 <= lab[..., 0].min() and lab[..., 0].max() <= 100
        painted = strength > 0
        distances, nearest = distance_transform_edt(~painted, return_indices=True)
        assert np.array_equal(values[painted], lab[painted][:, 1:]) and not values[~painted].any()
        # Where two hints are about as far away either may win: squares are measured from their middles.
        colors = values[tuple(nearest)]
        assert (np.abs(colors - lab[..., 1:]).max(-1) == 0)[distances < 3].mean() > 0.9


def test_wear_stays_in_range_and_changes_the_picture():
    light = to_lab(picture(1))[..., 0]
    for seed in range(20):
        worn = age(light, np.random.default_rng(seed))
        assert worn.shape == light.shape and worn.dtype == np.float32
        assert worn.min() >= 0 and worn.max() <= 100


def moving(frames: int = 6) -> clips.Pictures:
    big = picture(2, 120, 160)
    return np.stack([big[10 : 10 + 90, 3 * t : 3 * t + 120] for t in range(frames)])


@pytest.mark.parametrize("size", [64, 128])
def test_walks_follow_the_motion_whichever_way_and_however_mirrored(size):
    """With the truth handed back as the result, the previous frame's candidate must stay near the truth."""
    walks = Walks([moving()], WalkConfig(size=size, walks=3, longest=5, unaligned=0, worn=0))
    rng = np.random.default_rng(0)
    still, moved = [], []
    before = None
    for _ in range(12):
        lightness, clues, color = walks.step(rng)
        assert clues.shape == (3, len(CLUES), size, size) and lightness.shape == (3, 1, size, size)
        here = slice(16, min(size, 90) - 16)
        previous = clues[:, CLUES.index("previous a") : CLUES.index("previous b") + 1]
        moved.append(float((previous - color)[..., here, here].abs().mean()))
        if before is not None:
            still.append(float((before - color)[..., here, here].abs().mean()))
        before = color
        walks.accept(color, torch.zeros_like(lightness))
    assert np.mean(moved) < 0.5 * np.mean(still)


def test_photographs_of_the_learning_curve_never_train(tmp_path):
    for i in range(100):
        (tmp_path / f"{i:03d}.jpg").touch()
    training, held_out = photo_paths(tmp_path)
    assert not set(training) & set(held_out) and len(training) + len(held_out) == 100 and held_out


def test_pictures_shrink_to_even_sides_and_never_grow():
    assert clips.shrink(picture(0, 301, 403), 100).shape[:2] == (100, 134)
    assert clips.shrink(picture(0, 40, 61), 100).shape[:2] == (40, 60)


def test_frames_come_from_the_reader_and_are_kept(tmp_path):
    folder, cache = tmp_path / "clips", tmp_path / "cache"
    (folder / "walk").mkdir(parents=True)
    for i in range(9):
        cv2.imwrite(str(folder / "walk" / f"{i:05d}.png"), np.full((20, 30, 3), 20 * i, np.uint8))
    first = clips.still_frames(folder, cache, 3)
    assert [int(f.mean()) for f in first] == [20, 80, 140]
    assert all(np.array_equal(a, b) for a, b in zip(first, clips.still_frames(folder, cache, 3), strict=True))
    (run,) = clips.sequences(clips.clip_paths(folder), cache, 4, 1)
    assert [int(f.mean()) // 20 for f in run] == [2, 3, 4, 5]
    assert Path(cache / "walk_shot_4_0of1.npy").exists()


def test_sequences_are_of_one_shot(tmp_path):
    (tmp_path / "clips" / "cut").mkdir(parents=True)
    for i in range(20):
        frame = np.roll(picture(3 if i < 7 else 4, 90, 160), 2 * i, axis=1)
        cv2.imwrite(str(tmp_path / "clips" / "cut" / f"{i:05d}.png"), frame[..., ::-1])
    (run,) = clips.sequences([tmp_path / "clips" / "cut"], tmp_path / "cache", 20, 1)
    wanted = [np.roll(picture(4, 90, 160), 2 * i, axis=1) for i in range(7, 20)]
    np.testing.assert_array_equal(run, np.stack(wanted))


def test_the_loss_sees_the_same_srgb_as_opencv():
    rgb = np.random.default_rng(5).random((40, 30, 3)).astype(np.float32)
    lab = torch.from_numpy(to_lab(np.rint(rgb * 255).astype(np.uint8)).transpose(2, 0, 1).copy())[None]
    found = srgb_of_lab(lab[:, :1], lab[:, 1:])[0].permute(1, 2, 0).numpy()
    wanted = cv2.cvtColor(np.ascontiguousarray(lab[0].permute(1, 2, 0).numpy()), cv2.COLOR_Lab2RGB)
    assert np.abs(found - wanted).max() < 4e-3
    # Far outside the gamut the picture clips; its gradient must still be a number.
    ab = torch.full((1, 2, 4, 4), 120.0, requires_grad=True)
    srgb_of_lab(torch.full((1, 1, 4, 4), 0.0), ab).sum().backward()
    assert ab.grad is not None and torch.isfinite(ab.grad).all()
