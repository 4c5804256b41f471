"""The published spatial network against the definition of its parts, written out again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kernels import reference
from propagation.bench.densify import fill_by
from propagation.bench.protocol import to_lab
from propagation.published.spn import STRIDE, PublishedSpn
from propagation.spn import AB_SCALE
from propagation.training.clips import shrink
from propagation.video.reader import open_clip
from tests.propagation.test_densify import FLOWER


@pytest.fixture(scope="module")
def network() -> PublishedSpn:
    torch.manual_seed(5)
    return PublishedSpn().eval()


def test_two_rounds_of_the_largest_of_four_scans_under_the_same_gates(network):
    """The literal loop in float64, on gates and hints that the network's own layers give."""
    torch.manual_seed(1)
    lightness, values = torch.rand(1, 1, 64, 96) * 100, torch.randn(1, 2, 64, 96) * 30
    strength = (torch.rand(1, 1, 64, 96) > 0.9).float()
    with torch.inference_mode():
        out = network(lightness, values, strength)["values"]
        gates = network.describe(lightness)
        x = network.enter(torch.cat([values / AB_SCALE * strength, strength], 1)).double()
        assert x.shape == (1, 32, 32, 48), "half size, 32 channels"
        ways = ((True, False), (True, True), (False, False), (False, True))
        for _ in range(2):
            scans = reference.forward(x, [g.double() for g in gates], ways, "max1", True)
            x = torch.stack(list(scans)).amax(0)
        wide = F.interpolate(x.float(), scale_factor=2.0, mode="bilinear", align_corners=False)
        dense = network.head[1](F.relu(network.head[0](wide))) * AB_SCALE
    torch.testing.assert_close(out, torch.where(strength > 0, values, dense), rtol=1e-3, atol=1e-3)


def test_each_channel_has_gates_of_its_own_in_every_direction(network):
    gates = network.describe(torch.rand(1, 1, 2 * STRIDE, 4 * STRIDE) * 100)
    half = (STRIDE, 2 * STRIDE)
    assert [tuple(g.shape) for g in gates] == [(1, 32, 3, *half[::-1])] * 2 + [(1, 32, 3, *half)] * 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 65)])
def test_any_size_keeps_its_hints(network, shape):
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(0, 30, (1, 2, *shape)).astype(np.float32))
    strength = torch.zeros(1, 1, *shape)
    strength[..., 0, 0] = 1
    with torch.inference_mode():
        out = network(torch.full((1, 1, *shape), 50.0), values, strength)["values"]
    assert out.shape == values.shape and torch.isfinite(out).all()
    torch.testing.assert_close(out[..., 0, 0], values[..., 0, 0], rtol=0, atol=1e-4)


def test_the_shipped_network_fills_a_frame_better_than_no_color_at_all():
    with open_clip(FLOWER) as clip:
        lab = to_lab(shrink(clip.frame(75).image, 120))
    mask = np.random.default_rng(0).random(lab.shape[:2]) < 0.02
    truth = np.ascontiguousarray(lab[..., 1:])
    found = fill_by(PublishedSpn.load(), lab[..., 0], mask, np.where(mask[..., None], truth, 0))
    np.testing.assert_allclose(found[mask], truth[mask], atol=1e-3)
    assert np.square(found - truth).mean() < 0.5 * np.square(truth).mean()
