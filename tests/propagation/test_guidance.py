"""The guidance network's ways around slow layouts give what the plain layers do."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propagation.densify import Densifier, Hints
from propagation.guidance import GateHead, conv, conv_of_plane


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (4, 2), (1, 1)])
def test_a_convolution_of_one_channel_is_the_layers(kernel, stride):
    torch.manual_seed(3)
    layer, plane = conv(1, 6, kernel, stride), torch.randn(2, 1, 18, 26)
    torch.testing.assert_close(conv_of_plane(layer, plane), layer(plane))


def test_gates_of_inference_are_those_of_training():
    torch.manual_seed(4)
    head, features = GateHead(8, 2, 4), torch.randn(1, 8, 22, 30)
    gates, merges = head(features)
    with torch.inference_mode():
        fast, fast_merges = head(features)
    for plain, fused in zip((*gates, merges), (*fast, fast_merges), strict=True):
        torch.testing.assert_close(fused, plain.detach(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(120, 1), (1, 120), (200, 16), (256, 3)])
def test_thin_frames_never_show_memory_that_nobody_wrote(shape):
    """oneDNN's bfloat16 convolutions read it where a map is two columns wide."""
    densifier, values = Densifier.load(), np.zeros((*shape, 2), np.float32)
    strength = np.zeros(shape, np.float32)
    strength[shape[0] // 2, shape[1] // 2] = 1
    for count in range(1000, 20000, 1000):
        freed = [torch.full((count,), float("nan")) for _ in range(50)]
        del freed
        dense = densifier.fill(densifier.prepare(np.full(shape, 40, np.float32)), Hints(values, strength))
        assert np.isfinite(dense.values).all()
