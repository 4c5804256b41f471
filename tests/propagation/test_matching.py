"""Local matching: what it must find on pictures whose displacement is known, and its two computations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propagation.matching import LocalMatching, match


def test_the_fused_pass_is_the_same_as_the_plain_one():
    torch.manual_seed(0)
    matching = LocalMatching()
    now, moved, values = torch.randn(2, 1, 19, 33), torch.randn(2, 1, 19, 33), torch.randn(2, 3, 19, 33)
    plain = matching(now, moved, values)
    assert plain.requires_grad
    with torch.inference_mode():
        fused = matching(now, moved, values)
    torch.testing.assert_close(fused, plain.detach(), rtol=1e-4, atol=1e-5)


def test_features_that_agree_at_one_place_alone_take_its_value():
    rng = np.random.default_rng(1)
    offered = torch.from_numpy(rng.standard_normal((1, 4, 24, 34)).astype(np.float32)) * 30
    values = torch.from_numpy(rng.standard_normal((1, 2, 24, 34)).astype(np.float32))
    for y, x in ((0, 0), (1, 3), (4, 4)):
        wanted = offered[..., y : y + 20, x : x + 30]
        found = match(wanted, offered, values, torch.ones(25))
        torch.testing.assert_close(found, values[..., y : y + 20, x : x + 30], rtol=0, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1)])
def test_any_size_and_one_value_stays_that_value(shape):
    with torch.inference_mode():
        found = LocalMatching()(torch.randn(1, 1, *shape), torch.randn(1, 1, *shape), torch.full((1, 2, *shape), 7.0))
    torch.testing.assert_close(found, torch.full((1, 2, *shape), 7.0))
