"""The temporal network before training: plain doubt decides what is believed."""

from __future__ import annotations

import pytest
import torch

from propagation.alignment import CLUES
from propagation.tpn import TemporalPropagationNetwork


@pytest.fixture(scope="module")
def network() -> TemporalPropagationNetwork:
    torch.manual_seed(5)
    network = TemporalPropagationNetwork().eval()
    with torch.no_grad():
        for parameter in (network.belief.out.weight, network.belief.out.bias):
            parameter.zero_()
    return network


def clues(shape: tuple[int, int], **named: float | torch.Tensor) -> torch.Tensor:
    """Two candidates that agree with the frame and with each other, but for what is named."""
    maps = torch.zeros(1, len(CLUES), *shape)
    values: dict[str, float | torch.Tensor] = {"key lightness": 50, "previous lightness": 50, "key inside": 1}
    values |= {"previous inside": 1} | {name.replace("_", " "): value for name, value in named.items()}
    for name, value in values.items():
        maps[:, CLUES.index(name)] = value
    return maps


def run(network: TemporalPropagationNetwork, maps: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        return network(torch.full((1, 1, *maps.shape[2:]), 50.0), maps)


def trained(network: TemporalPropagationNetwork, maps: torch.Tensor) -> dict[str, torch.Tensor]:
    """As `run`, by the way that training takes."""
    return {k: v.detach() for k, v in network(torch.full((1, 1, *maps.shape[2:]), 50.0), maps).items()}


@pytest.mark.parametrize("shape", [(48, 64), (61, 83), (1, 9), (9, 1)])
def test_inference_gives_what_training_does(shape):
    torch.manual_seed(6)
    network = TemporalPropagationNetwork().eval()
    maps = clues(shape, **{name.replace(" ", "_"): 8 * torch.randn(shape) for name in CLUES if "inside" not in name})
    fused, plain = run(network, maps), trained(network, maps)
    for name, found in fused.items():
        assert (found - plain[name]).abs().max() < 1e-3, name


def test_a_frame_described_beforehand_gives_the_same():
    torch.manual_seed(7)
    network = TemporalPropagationNetwork().eval()
    light, maps = 100 * torch.rand(1, 1, 50, 70), clues((50, 70), key_a=20, previous_b=-30)
    with torch.inference_mode():
        wanted, found = network(light, maps), network(light, maps, network.describe(light))
    for name, each in wanted.items():
        assert torch.equal(found[name], each), name


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (33, 1), (50, 70)])
def test_any_size_gives_finite_maps_of_that_size(network, shape):
    maps = clues(shape, key_a=20, previous_a=20)
    for name, found in (run(network, maps) | trained(network, maps)).items():
        assert found.shape[2:] == shape and torch.isfinite(found).all(), name


def test_what_agrees_is_believed_and_comes_through(network):
    found = run(network, clues((64, 64), key_a=30, previous_a=30, key_b=-10, previous_b=-10))
    assert found["trust"].min() > 0.9
    assert trained(network, clues((64, 64), key_a=30, previous_a=30))["doubt"].max() < 0.1
    inner = found["values"][..., 8:-8, 8:-8]
    assert (inner[:, 0] - 30).abs().max() < 8 and (inner[:, 1] + 10).abs().max() < 8


def test_the_candidate_that_looks_like_the_frame_wins(network):
    maps = clues((64, 64), key_a=40, previous_a=-40, key_lightness=90)
    assert (run(network, maps)["values"][:, 0] < -25).all()
    maps = clues((64, 64), key_a=40, previous_a=-40, previous_lightness=10)
    assert (run(network, maps)["values"][:, 0] > 25).all()


def test_nothing_is_believed_where_both_have_failed(network):
    half = torch.ones(64, 64)
    half[:, 32:] = 0
    maps = clues((64, 64), key_lightness=50 * half, previous_lightness=50 * half, key_inside=half, previous_inside=half)
    trust = run(network, maps)["trust"][0, 0]
    assert trust[:, :28].min() > 0.9 and trust[:, 36:].max() < 0.1
