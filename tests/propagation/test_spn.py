"""The spatial network's parts that need no training to be right: what scans alone carry, and the lookup."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propagation.densify import Densifier, Hints
from propagation.lookup import Lookup
from propagation.spn import SpatialPropagationNetwork


@pytest.fixture(scope="module")
def network() -> SpatialPropagationNetwork:
    torch.manual_seed(3)
    return SpatialPropagationNetwork().eval()


@pytest.fixture(scope="module")
def densifier(network) -> Densifier:
    return Densifier(network)


def two_halves(height: int = 96, width: int = 128) -> np.ndarray:
    return np.where(np.arange(width) < width // 2, 30, 75).astype(np.float32)[None].repeat(height, 0)


def dots(shape: tuple[int, int], colors: dict[tuple[int, int], tuple[float, ...]]) -> Hints:
    channels = len(next(iter(colors.values())))
    values, strength = np.zeros((*shape, channels), np.float32), np.zeros(shape, np.float32)
    for (y, x), color in colors.items():
        values[y - 2 : y + 3, x - 2 : x + 3], strength[y - 2 : y + 3, x - 2 : x + 3] = color, 1
    return Hints(values, strength)


def test_a_mask_stays_between_what_was_marked(densifier):
    light = two_halves()
    hints = dots(light.shape, {(48, 20): (1.0,), (48, 100): (0.0,)})
    mask = densifier.fill(densifier.prepare(light), hints)
    assert mask.values.shape == (*light.shape, 1)
    assert mask.values.min() >= -1e-5 and mask.values.max() <= 1 + 1e-5
    assert mask.values[48, 20, 0] == 1 and mask.values[48, 100, 0] == 0


def test_log_radiance_is_carried_at_any_scale_and_offset(densifier):
    light = two_halves()
    prepared = densifier.prepare(light)
    base = {(20, 20): (0.0, 1.0, 2.0), (70, 100): (3.0, -1.0, 0.5), (20, 110): (1.0, 1.0, -4.0)}
    moved = {place: tuple(1000 * v + 500 for v in color) for place, color in base.items()}
    one, other = (densifier.fill(prepared, dots(light.shape, c)) for c in (base, moved))
    np.testing.assert_allclose(other.values, 1000 * one.values + 500, rtol=1e-4, atol=0.1)
    np.testing.assert_array_equal(one.reach, other.reach)


def test_one_value_marked_is_that_value_everywhere(densifier):
    light = (np.random.default_rng(0).random((50, 70)) * 100).astype(np.float32)
    hints = dots(light.shape, {(25, 30): (7.5, -2.0, 1e4)})
    dense = densifier.fill(densifier.prepare(light), hints)
    np.testing.assert_allclose(dense.values, np.broadcast_to((7.5, -2.0, 1e4), dense.values.shape), rtol=1e-4)


def test_likeness_is_that_of_a_literal_loop():
    torch.manual_seed(0)
    lookup = Lookup(6, 2, size=5)
    features = torch.randn(1, 6, 3, 4)
    with torch.inference_mode():
        likeness, places = lookup(features)
        query, key = (layer(features)[0].reshape(2, 5, 12) for layer in (lookup.query, lookup.key))
    assert places == (3, 4) and likeness.shape == (1, 2, 12, 12)
    for head in range(2):
        for i in range(12):
            for j in range(12):
                cosine = torch.cosine_similarity(query[head, :, i], key[head, :, j], dim=0)
                distance = ((i // 4 - j // 4) ** 2 + (i % 4 - j % 4) ** 2) ** 0.5
                wanted = torch.exp(lookup.sharpness[head] * (cosine - 1) - lookup.remoteness[head] * distance)
                assert float(likeness[0, head, i, j]) == pytest.approx(float(wanted.detach()), rel=1e-4)


def test_a_large_picture_is_looked_up_in_fewer_places():
    likeness, (rows, columns) = Lookup(6, 1, size=5)(torch.randn(1, 6, 68, 120))
    assert rows * columns <= Lookup.MOST_PLACES and likeness.shape[-2:] == (rows * columns,) * 2
    assert torch.isfinite(likeness).all()


def test_far_away_but_alike_beats_near_but_different():
    torch.manual_seed(1)
    kinds = torch.randn(2, 6)
    row = torch.tensor([0, 0, 0, 1, 1, 1, 1, 0, 0, 0])
    features = kinds[row].T[None, :, None].expand(1, 6, 4, 10)
    with torch.inference_mode():
        likeness, _ = Lookup(6, 2)(features)
    assert likeness[0, 0, 0, 9] > likeness[0, 0, 0, 3], "the first head hardly minds distance"
    assert likeness[0, 1, 0, 1] > likeness[0, 1, 0, 9], "the second one does"
