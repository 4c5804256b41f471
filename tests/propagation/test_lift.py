"""Chroma at full size: a weighted mean of its neighbourhood that ends at the full picture's edges."""

from __future__ import annotations

import cv2
import numpy as np

from propagation.lift import lift_chroma


def test_equal_sizes_come_back_unchanged():
    ab = np.random.default_rng(0).normal(size=(7, 9, 2)).astype(np.float32)
    light = np.zeros((7, 9), np.float32)
    assert lift_chroma(ab, light, light) is ab


def test_never_leaves_the_range_of_what_it_was_given():
    rng = np.random.default_rng(1)
    ab = rng.normal(size=(20, 31, 2)).astype(np.float32) * 40
    out = lift_chroma(ab, rng.random((20, 31), np.float32) * 100, rng.random((53, 77), np.float32) * 100)
    assert out.shape == (53, 77, 2) and out.min() >= ab.min() and out.max() <= ab.max()


def test_colour_ends_at_the_edge_and_bilinear_does_not():
    full = np.where(np.arange(240) < 121, 20, 80).astype(np.float32)[None].repeat(160, 0)
    truth = np.where(full[..., None] < 50, np.float32([30, -10]), np.float32([-20, 40])).astype(np.float32)
    light, ab = (cv2.resize(x, (80, 53), interpolation=cv2.INTER_AREA) for x in (full, truth))
    lifted = np.abs(lift_chroma(ab, light, full) - truth).mean()
    bilinear = np.abs(cv2.resize(ab, (240, 160), interpolation=cv2.INTER_LINEAR) - truth).mean()
    assert lifted < 0.5 * bilinear


def test_a_shift_between_the_sizes_is_not_introduced():
    ramp = np.arange(64, dtype=np.float32)[None].repeat(64, 0)
    ab = cv2.resize(np.dstack([ramp, ramp.T]), (32, 32), interpolation=cv2.INTER_AREA)
    flat = np.zeros((64, 64), np.float32)
    lifted = lift_chroma(ab, np.zeros((32, 32), np.float32), flat)
    assert np.abs(lifted[8:-8, 8:-8] - np.dstack([ramp, ramp.T])[8:-8, 8:-8]).max() < 1.0
