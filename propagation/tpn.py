"""The temporal propagation network for colour: one step of carrying a property from a key frame along a clip.

The guidance network sees the new frame's lightness and the tracker's clues (`alignment.CLUES`): what the key frame
and the
previous frame say when moved here, and how far each can be trusted. It decides per pixel which to believe, or neither,
and emits the gates of three-way linear scans (Liu et al. 2018) that carry what is believed into what is not:

    property, trust ── scans in four directions, gates from both frames ── property / trust

Carrying the trust along and dividing by it makes every result a weighted mean of believed values; nothing is invented
and
nothing fades.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from propagation.alignment import CLUES
from propagation.guidance import GateHead, Guidance, GuidanceConfig, conv, pad_to_stride
from propagation.spn import AB_SCALE, TINY, normalised_scan


@dataclass(frozen=True)
class TpnConfig:
    guidance: GuidanceConfig = GuidanceConfig(1 + len(CLUES), full=16, widths=(24, 48, 72, 96), slope=0.1)


class TemporalPropagationNetwork(nn.Module):
    """lightness (B, 1, H, W) and clues (B, 12, H, W) to the property's next values (B, 2, H, W) and their expected
    error."""

    def __init__(self, config: TpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TpnConfig()
        self.guidance = Guidance(config.guidance)
        self.gates = GateHead(config.guidance.full, 1, 1)
        self.belief = conv(config.guidance.full, 4)  # logits of key, previous, neither; and the expected error
        # L* to -1..1, colours by AB_SCALE, logarithmic round trips and 0-1 maps as they are.
        lightness, colour, plain = (0.02, -1.0), (1 / AB_SCALE, 0.0), (1.0, 0.0)
        scales = [
            lightness,
            lightness,
            colour,
            colour,
            plain,
            plain,
            plain,
            lightness,
            colour,
            colour,
            plain,
            plain,
            (0.1, 0.0),
        ]
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.tensor([s for s, _ in scales]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor([s for _, s in scales]).view(1, -1, 1, 1), persistent=False)

    def forward(self, lightness: Tensor, clues: Tensor) -> dict[str, Tensor]:
        """Returns `values` (B, 2, H, W), `error` (B, 1, H, W), both in the property's units, and `trust` (B, 1, H,
        W), 0 to 1."""
        h, w = lightness.shape[-2:]
        seen = pad_to_stride(torch.cat([lightness, clues], 1))
        key, previous = seen[:, 2:4], seen[:, 8:10]
        full, _ = self.guidance(seen * self.scale + self.shift)
        gates, merges = self.gates(full)
        belief, error = self.belief(full).float().split((3, 1), 1)
        for_key, for_previous, neither = belief.softmax(1).split(1, 1)
        trust = for_key + for_previous
        believed = torch.cat([(key * for_key + previous * for_previous) / AB_SCALE, trust], 1)
        carried, weight = normalised_scan(believed, gates, merges).split((2, 1), 1)
        return {
            "values": (carried / weight.clamp(min=TINY))[..., :h, :w] * AB_SCALE,
            "error": F.softplus(error)[..., :h, :w] * (0.2 * AB_SCALE),
            "trust": trust[..., :h, :w],
        }
