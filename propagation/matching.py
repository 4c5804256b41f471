"""Local matching: where motion is a few pixels off, the right color is found nearby by what it looks like.

Local attention on learned features, as in non-local means (Buades et al. 2005): every pixel takes a mean of the moved
picture's values around it, weighted by how alike the two pictures are there.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from propagation.guidance import conv


class LocalMatching(nn.Module):
    """Attention of each pixel to the (2 radius + 1)^2 pixels around it in another picture of the same view."""

    def __init__(self, radius: int = 2, size: int = 4) -> None:
        super().__init__()
        self.radius = radius
        self.enter, self.leave = conv(1, 16), conv(16, size)
        self.sharpness = nn.Parameter(torch.tensor(20.0))
        steps = torch.arange(-radius, radius + 1).float()
        squared = steps[:, None] ** 2 + steps[None] ** 2
        self.nearness = nn.Parameter(-squared.flatten() / 4.0)

    def forward(self, now: Tensor, moved: Tensor, values: Tensor) -> Tensor:
        """now, moved (B, 1, H, W): two pictures, L* scaled to -1..1; values (B, C, H, W) of the moved one. Returns the
        values (B, C, H, W) that fit `now`."""
        h, w = now.shape[-2:]
        wanted, offered = self._features(torch.cat([now, moved])).chunk(2)
        offered, values = (F.pad(x, (self.radius,) * 4, mode="replicate") for x in (offered, values))
        places = [(y, x) for y in range(2 * self.radius + 1) for x in range(2 * self.radius + 1)]
        likeness = [((wanted - offered[..., y : y + h, x : x + w]) ** 2).sum(1) for y, x in places]
        weights = (self.nearness.view(-1, 1, 1) - self.sharpness * torch.stack(likeness, 1)).softmax(1)
        found = torch.zeros_like(values[..., :h, :w])
        for (y, x), weight in zip(places, weights.unbind(1), strict=True):
            found = torch.addcmul(found, weight[:, None], values[..., y : y + h, x : x + w])
        return found

    def _features(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.leave(F.relu(self.enter(pictures))).float()
        return features
