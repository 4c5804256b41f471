"""Clips from panoramas: made from seeds, within their ranges, with truth and motion that fit the pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from propagation.bench.panoramas import (
    CAMERA_CURVES,
    FOLDER,
    VALIDATION,
    ClipRanges,
    expose,
    make_clip,
    training_panoramas,
    validation_panoramas,
)
from propagation.errors import MissingMediaError
from tests.propagation.hdr.scenes import scene

SMALL = ClipRanges(size=(48, 32), frames=6, pan_px=1.5)


def panorama() -> np.ndarray:
    return cv2.resize(scene(), (260, 170))


def test_the_same_seed_gives_the_same_clip_and_another_one_another() -> None:
    one, same, other = (make_clip(panorama(), "a", seed, SMALL) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.frames, same.frames)
    assert (one.frames != other.frames).any()
    assert (one.frames != make_clip(panorama(), "b", 1, SMALL).frames).any()


@pytest.mark.parametrize("seed", range(6))
def test_clips_keep_to_their_ranges(seed: int) -> None:
    clip = make_clip(panorama(), "a", seed, SMALL)
    assert clip.frames.shape == (6, 32, 48, 3)
    over = (clip.truth[0].max(axis=-1) > 1).mean()
    assert 0.015 < over < 0.16
    assert clip.exposures[0] == 1
    assert abs(np.log2(clip.exposures[-1])) <= 5 / 20
    zooms = [1 / np.sqrt(np.linalg.det(window[:, :2])) for window in clip.windows]
    turns = [np.degrees(np.arctan2(window[1, 0], window[0, 0])) for window in clip.windows]
    assert 0.8 <= min(zooms) <= max(zooms) <= 1.25
    assert max(map(abs, turns)) <= 5
    # The window never leaves the panorama.
    corners = np.array([[0, 0, 1], [47, 0, 1], [0, 31, 1], [47, 31, 1]])
    for window in clip.windows:
        assert (corners @ window.T >= 0).all()
        assert (corners @ window.T <= [259, 169]).all()


def test_the_motion_leads_to_the_same_light() -> None:
    clip = make_clip(panorama(), "a", 3, SMALL)
    x, y = np.meshgrid(np.arange(48, dtype=np.float32), np.arange(32, dtype=np.float32))
    to = np.stack([x, y], -1) + clip.motion(4, 1)
    moved = cv2.remap(clip.truth[1], to[..., 0], to[..., 1], cv2.INTER_LINEAR)
    inside = ((to >= 1) & (to <= [46, 30])).all(axis=-1)
    apart = np.abs(np.log10(moved + 1e-3) - np.log10(clip.truth[4] + 1e-3))[inside]
    assert np.median(apart) < 0.01


def test_clipped_pixels_are_bright_in_both() -> None:
    clip = make_clip(panorama(), "a", 0, SMALL)
    mask = clip.clipped(0)
    assert (clip.frames[0][mask].max(axis=-1) >= 250).all()
    assert (clip.truth[0][mask].max(axis=-1) > 1).all()


@pytest.mark.parametrize("name", sorted(CAMERA_CURVES))
def test_camera_curves_rise_from_black_to_white(name: str) -> None:
    signal = CAMERA_CURVES[name](np.linspace(0, 1, 1001))
    assert signal[0] == pytest.approx(0, abs=1e-9)
    assert signal[-1] == pytest.approx(1, abs=1e-9)
    assert (np.diff(signal) > 0).all()


def test_shot_noise_is_the_root_of_the_photons() -> None:
    light = np.full((200, 200, 3), 0.25, np.float32)
    codes = expose(light, 1.0, "gamma 2.2", 400.0, np.random.default_rng(0))
    spread = ((codes / 255) ** 2.2).std()
    assert spread == pytest.approx(np.sqrt(0.25 / 400), rel=0.05)


def test_training_and_validation_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    for name in ("bridge", "lobby", "sunset", "city", "park"):
        (tmp_path / FOLDER / f"{name}.hdr").write_bytes(b"")
    assert set(training_panoramas(tmp_path)) == {"city", "park"}
    with pytest.raises(MissingMediaError):
        validation_panoramas(tmp_path)


def test_the_real_panoramas_are_disjoint(shared_data: Path) -> None:
    training, validation = training_panoramas(shared_data / "hdr"), validation_panoramas(shared_data / "hdr")
    assert len(training) == 11
    assert len(validation) == len(VALIDATION) == 5
    assert not set(training) & set(validation)
