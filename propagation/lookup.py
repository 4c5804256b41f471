"""Likeness of all places of a picture to each other: what lets color go to where the picture looks the same, however
far away (all pairs, as in An and Pellacini 2008, with learned likeness)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from propagation.guidance import conv


class Lookup(nn.Module):
    """Likeness of all places of a picture to each other: a cosine of learned features, less so with distance."""

    # More places than this are pooled: the table grows with their square.
    MOST_PLACES = 2048

    def __init__(self, inputs: int, heads: int, size: int = 24) -> None:
        super().__init__()
        self.heads, self.size = heads, size
        self.query, self.key = conv(inputs, heads * size, 1), conv(inputs, heads * size, 1)
        self.sharpness = nn.Parameter(torch.full((heads, 1, 1), 8.0))
        self.remoteness = nn.Parameter(torch.linspace(0.02, 0.3, heads).view(-1, 1, 1))  # per `STRIDE` pixels

    def forward(self, features: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """features (B, C, h, w) -> likeness (B, heads, T, T) in 0..1 and the rows and columns of the T places."""
        h, w = features.shape[-2:]
        pool = 1
        while -(-h // pool) * -(-w // pool) > self.MOST_PLACES:
            pool += 1
        if pool > 1:
            features = F.avg_pool2d(features, pool, ceil_mode=True)
        rows, columns = features.shape[-2:]
        query, key = (
            F.normalize(layer(features).float().flatten(2).unflatten(1, (self.heads, self.size)), dim=2)
            for layer in (self.query, self.key)
        )
        ys, xs = torch.meshgrid(*(torch.arange(n, device=features.device) for n in (rows, columns)), indexing="ij")
        places = torch.stack([ys.flatten(), xs.flatten()], 1).float() * pool
        distance = torch.cdist(places, places)
        cosine = key.transpose(2, 3) @ query
        likeness = (self.sharpness * (cosine - 1.0) - self.remoteness.abs() * distance).exp()
        # By columns in memory: a lookup takes those of the places that are hinted at.
        return likeness.transpose(2, 3), (rows, columns)
