"""Optical flow as tensor operations, on motion that is known and beside OpenCV's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from propagation.alignment import MotionEstimator, grid, luma8, warp
from propagation.device_tracker import ANCHOR, STEP
from propagation.patch_flow import FlowConfig, patch_flow
from tests.propagation.test_alignment import texture

H, W = 160, 224


def moved(turn: float, scale: float, shift: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A picture, the same after a known motion, and that motion (H, W, 2)."""
    big = cv2.resize(texture(H, W), None, fx=2, fy=2)
    there = cv2.getRotationMatrix2D((W / 2, H / 2), turn, scale)
    there[:, 2] += shift
    offset = np.float32((60, 50))
    source = warp(big, grid(H, W) + offset)
    back = cv2.invertAffineTransform(there)
    places = grid(H, W) @ np.float32(back[:, :2]).T + np.float32(back[:, 2])
    flow = grid(H, W) @ np.float32(there[:, :2]).T + np.float32(there[:, 2]) - grid(H, W)
    return source, warp(big, places + offset), flow


def flow_of(source: np.ndarray, target: np.ndarray, config: FlowConfig, guess: np.ndarray | None = None) -> np.ndarray:
    start = None if guess is None else torch.from_numpy(guess).permute(2, 0, 1)[None]
    pair = (torch.from_numpy(x)[None, None] for x in (source, target))
    return patch_flow(*pair, config, start)[0].permute(1, 2, 0).numpy()


def error(flow: np.ndarray, wanted: np.ndarray) -> float:
    """Mean distance where the target lies in the picture, away from the border."""
    inner = (slice(24, -24), slice(24, -24))
    return float(np.linalg.norm(flow - wanted, axis=-1)[inner].mean())


@pytest.mark.parametrize(("turn", "scale", "shift"), [(0, 1, (3, -2)), (2, 1.03, (-1, 4)), (0, 1, (11, 6))])
def test_known_motion_is_found_about_as_well_as_by_dis(turn, scale, shift):
    source, target, wanted = moved(turn, scale, shift)
    dis = error(MotionEstimator().flow(luma8(source), luma8(target), fine=False), wanted)
    assert error(flow_of(source, target, STEP), wanted) < max(0.25, 1.25 * dis)


def test_a_guess_is_refined():
    source, target, wanted = moved(2, 1.03, (-1, 4))
    assert error(flow_of(source, target, ANCHOR, wanted + np.float32((2, -2))), wanted) < 0.2


def test_a_frame_that_is_brighter_as_a_whole_has_not_moved():
    source = texture(H, W)[:H, :W]
    assert np.abs(flow_of(source, source + 12, STEP)).max() < 0.02


def test_a_pair_is_found_in_a_batch_as_alone():
    source, target, _ = moved(2, 1.03, (-1, 4))
    one, other = (torch.from_numpy(x)[None, None] for x in (source, target))
    both = patch_flow(torch.cat([one, other]), torch.cat([other, one]), STEP)
    assert torch.allclose(both[:1], patch_flow(one, other, STEP), atol=1e-3)
    assert torch.allclose(both[1:], patch_flow(other, one, STEP), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 90), (90, 17), (33, 1)])
@pytest.mark.parametrize("config", [STEP, ANCHOR])
def test_sizes_that_nothing_divides(shape, config):
    rng = np.random.default_rng(0)
    source, target = rng.random((2, *shape), np.float32) * 100
    flow = flow_of(source, target, config, np.zeros((*shape, 2), np.float32))
    assert flow.shape == (*shape, 2) and np.isfinite(flow).all()


def test_without_texture_the_guess_stands():
    flat, guess = np.full((64, 80), 50, np.float32), np.full((64, 80, 2), 3, np.float32)
    assert np.allclose(flow_of(flat, flat, ANCHOR, guess), guess, atol=1e-3)
