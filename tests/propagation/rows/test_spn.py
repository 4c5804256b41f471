"""The fused passes of a fill against the whole tensors that define them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propagation.precision import channels_last
from propagation.rows import spn as spn_rows
from propagation.spn import SpatialPropagationNetwork

# In the property's units: far below what a viewer could see, and below what a change of the order of sums brings.
TOLERANCE = 0.002


@pytest.fixture(scope="module")
def network() -> SpatialPropagationNetwork:
    """Untrained, but with a correction and trusts that differ from pixel to pixel."""
    torch.manual_seed(3)
    model = SpatialPropagationNetwork().eval()
    with torch.no_grad():
        model.correction.out.weight.mul_(20)
        model.edges.weight.mul_(60)
    return channels_last(model)


def hints(shape: tuple[int, int, int], dense: bool) -> tuple[torch.Tensor, torch.Tensor]:
    b, h, w = shape
    values = torch.randn(b, 2, h, w) * 40
    strength = torch.rand(b, 1, h, w) if dense else (torch.rand(b, 1, h, w) > 0.97) * torch.rand(b, 1, h, w).round()
    strength[..., h // 2, w // 2] = 1
    return values, strength


@pytest.mark.parametrize("dense", [False, True], ids=["dots", "everywhere"])
@pytest.mark.parametrize("shape", [(1, 64, 96), (2, 49, 83), (1, 1, 40), (1, 40, 1), (1, 16, 16)])
def test_a_fused_fill_is_the_fill_of_whole_tensors(network, shape, dense):
    torch.manual_seed(sum(shape))
    values, strength = hints(shape, dense)
    with torch.no_grad():
        picture = network.describe(torch.rand(shape[0], 1, *shape[1:]) * 100)
        assert network._fuses(values)
        fused = network.fill(picture, values, strength)
        with torch.enable_grad():
            assert not network._fuses(values)
            whole = network.fill(picture, values, strength)
    for name in ("values", "reach", "error"):
        torch.testing.assert_close(fused[name], whole[name], rtol=0, atol=TOLERANCE)


def test_hints_that_are_no_block_of_memory_are_read_as_well(network):
    values, strength = hints((1, 40, 56), dense=False)
    apart = values.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    with torch.inference_mode():
        picture = network.describe(torch.rand(1, 1, 40, 56) * 100)
        one, other = (network.fill(picture, v, strength)["values"] for v in (values, apart))
    assert torch.equal(one, other)


def test_a_picture_with_more_places_than_the_lookup_has(network, monkeypatch):
    monkeypatch.setattr(type(network.lookup), "MOST_PLACES", 12)
    values, strength = hints((1, 72, 104), dense=False)
    with torch.no_grad():
        picture = network.describe(torch.rand(1, 1, 72, 104) * 100)
        assert picture.places == (3, 4)
        fused = network.fill(picture, values, strength)["values"]
        with torch.enable_grad():
            whole = network.fill(picture, values, strength)["values"]
    torch.testing.assert_close(fused, whole, rtol=0, atol=TOLERANCE)


def test_small_exponentials_keep_their_digits():
    x = np.linspace(-80, 0, 2000, dtype=np.float32)
    found = np.array([spn_rows._decay(v) for v in x], np.float64)
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=2e-4)
