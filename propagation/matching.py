"""Local matching: where motion is a few pixels off, the right color is found nearby by what it looks like.

Local attention on learned features, after non-local means (Buades et al. 2005): every pixel takes a mean of the moved
picture's values around it, weighted by how alike the two pictures are there. The weight is rational instead of
exponential, which a processor computes many at a time: 1 / (1 + squared distance of the features)^4.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels import cuda_match
from kernels.threads import run_parts
from propagation.guidance import conv


class LocalMatching(nn.Module):
    """Attention of each pixel to the (2 radius + 1)^2 pixels around it in another picture of the same view."""

    def __init__(self, radius: int = 2, size: int = 4) -> None:
        super().__init__()
        self.radius = radius
        self.enter, self.leave = conv(1, 16), conv(16, size)
        steps = torch.arange(-radius, radius + 1).float()
        squared = steps[:, None] ** 2 + steps[None] ** 2
        self.nearness = nn.Parameter(-squared.flatten() / 4.0)  # logarithm of what an offset weighs beforehand
        with torch.no_grad():
            self.leave.weight.mul_(8.0)  # features far enough apart to choose by, from the start

    def forward(self, now: Tensor, moved: Tensor, values: Tensor) -> Tensor:
        """now, moved (B, 1, H, W): two pictures, L* scaled to -1..1; values (B, C, H, W) of the moved one. Returns the
        values (B, C, H, W) that fit `now`."""
        features = self._features(torch.cat([now, moved], 1)).float()
        nearness = self.nearness.exp()
        if not torch.is_grad_enabled() and features.device.type == "cpu":
            return _match_fused(features, values, nearness)
        wanted, offered = features.chunk(2, 1)
        offered, values = (F.pad(x, (self.radius,) * 4, mode="replicate") for x in (offered, values))
        if not torch.is_grad_enabled() and cuda_match.serves(wanted, values):
            return cuda_match.match(wanted, offered, values, nearness)
        return match(wanted, offered, values, nearness)

    def _features(self, pair: Tensor) -> Tensor:
        """Of two pictures (B, 2, H, W), each by the same two layers, (B, 2 size, H, W): one convolution with weights of
        zero between the pictures, because several channels are many times as fast as one (`guidance.conv_of_plane`)."""
        x = pair.contiguous(memory_format=torch.channels_last)
        for layer in (self.enter, self.leave):
            w = layer.weight
            assert layer.bias is not None
            both = torch.cat([torch.cat([w, torch.zeros_like(w)], 1), torch.cat([torch.zeros_like(w), w], 1)])
            both = both.contiguous(memory_format=torch.channels_last)
            x = F.conv2d(x, both, layer.bias.repeat(2), padding=1)
            x = F.relu_(x) if layer is self.enter else x
        return x


def match(wanted: Tensor, offered: Tensor, values: Tensor, nearness: Tensor) -> Tensor:
    """Weighted means (B, C, H, W) of values (B, C, H + 2 r, W + 2 r) by features wanted (B, F, H, W) and offered (B, F,
    H + 2 r, W + 2 r), with a factor for each of the (2 r + 1)^2 offsets."""
    h, w = wanted.shape[-2:]
    reach = offered.shape[-1] - w + 1
    total, found = torch.zeros_like(wanted[:, :1]), torch.zeros_like(values[..., :h, :w])
    for (y, x), factor in zip(np.ndindex(reach, reach), nearness.unbind(), strict=True):
        distance = ((wanted - offered[..., y : y + h, x : x + w]) ** 2).sum(1, keepdim=True)
        weight = factor / (1.0 + distance) ** 4
        total = total + weight
        found = torch.addcmul(found, weight, values[..., y : y + h, x : x + w])
    return found / total


def _match_fused(features: Tensor, values: Tensor, nearness: Tensor) -> Tensor:
    """`match` in one pass over the rows; features (B, 2 F, H, W) wanted and offered, values (B, C, H, W)."""
    from propagation.rows.matching import match_rows  # here because numba takes a second to import

    b, _, h, w = features.shape
    out = torch.empty(b, values.shape[1], h, w)
    lines = (features.permute(0, 2, 3, 1).contiguous().numpy(), values.permute(0, 2, 3, 1).numpy())
    run_parts(match_rows, (*lines, nearness.numpy(), out.numpy()), b * h, b * h * w)
    return out
