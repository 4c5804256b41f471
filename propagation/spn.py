"""The spatial propagation network for colour: sparse hints and a luminance picture to a dense property.

Everything that depends on the picture alone (`describe`) is computed once; `fill` costs scans and a small network at
half resolution, so that it can follow a brush.

    hints ── normalised scans, two passes, two gate sets ── correction at half resolution ── normalised scans ── dense
                       (gates from the guidance network)      (sees what the scans found)      (full resolution)

Scans follow Liu et al. 2017 (three-way, four directions). Two things differ from the published network: the property is
carried together with its confidence and divided by it (normalised convolution, Knutsson and Westin 1993), which makes
the result a weighted mean of the hints; and the four directions are merged by learned weights instead of a maximum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.scan import scan4
from propagation.guidance import Block, GateHead, Gates, Guidance, GuidanceConfig, conv, enlarge, pad_to_stride

# Confidences decay by a factor per pixel; 1e-25 keeps ratios exact over any distance that float32 can carry.
TINY = 1e-25
# Colours enter networks divided by this (a* and b* reach about +-110).
AB_SCALE = 50.0


@dataclass(frozen=True)
class SpnConfig:
    channels: int = 2  # of the property
    guidance: GuidanceConfig = GuidanceConfig(inputs=1)
    sets: int = 2  # gate sets of the first two passes: the correction sees two opinions
    features: int = 16  # guidance features handed to the correction
    correct: tuple[int, int, int] = (32, 48, 64)  # its channels at 1/2, 1/4, 1/8


@dataclass(frozen=True)
class Description:
    """What depends on the picture alone. Gate layout as `kernels.scan`; sizes are padded to `guidance.STRIDE`."""

    spread: Gates  # B, sets, 3, ..
    settle: Gates  # B, 1, 3, ..
    merges: tuple[Tensor, Tensor, Tensor]  # of the three passes: B, sets or 1, 4, H, W
    features: Tensor  # B, features, H/2, W/2


def normalised_scan(weighted: Tensor, gates: Gates, merges: Tensor) -> Tensor:
    """One pass of four scans of (B, S K, H, W), merged by weights (B, S, 4, H, W); S gate sets of K channels each."""
    return scan4(weighted, gates, merge="sum", weights=merges, norm="none", layout="scanned")


class Correction(nn.Module):
    """A small U-Net at half resolution that sees what the scans found and mends it."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        w0, w1, w2 = widths
        self.enter = conv(inputs, w0)
        self.down = nn.ModuleList([nn.Conv2d(w0, w1, 4, 2, 1), nn.Conv2d(w1, w2, 4, 2, 1)])
        self.bottom = Block(w2)
        self.middle = Block(w1)
        self.up = nn.ModuleList([conv(w2, w1, 1), conv(w1, w0, 1)])
        self.leave = conv(w0, w0)
        self.out = conv(w0, outputs)
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        half = F.relu(self.enter(x))
        quarter = F.relu(self.down[0](half))
        eighth = self.bottom(F.relu(self.down[1](quarter)))
        quarter = self.middle(quarter + enlarge(self.up[0](eighth)))
        half = F.relu(self.leave(half + enlarge(self.up[1](quarter))))
        out: Tensor = self.out(half)
        return out


class SpatialPropagationNetwork(nn.Module):
    """Dense property from sparse hints. Inputs: lightness L* (B, 1, H, W), 0 to 100; values (B, C, H, W); strength
    (B, 1, H, W), 0 to 1."""

    def __init__(self, config: SpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpnConfig()
        sets, c = config.sets, config.channels
        self.guidance = Guidance(config.guidance)
        self.spread = GateHead(config.guidance.full, sets, 2 * sets)
        self.settle = GateHead(config.guidance.full, 1, 1)
        self.features = conv(config.guidance.widths[0], config.features, 1)
        self.correction = Correction(config.features + sets * (c + 1) + c + 1, c + 2, config.correct)

    def describe(self, lightness: Tensor) -> Description:
        """Guidance, gates and features of a picture."""
        picture = pad_to_stride(lightness) / 50.0 - 1.0
        full, half = self.guidance(picture)
        spread, merges = self.spread(full)
        settle, last = self.settle(full)
        first, second = merges.split(self.config.sets, 1)
        return Description(spread, settle, (first, second, last), self.features(half))

    def fill(self, picture: Description, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        """Carries the hints over the picture.

        Returns `values` (B, C, H, W); `reach` (B, 1, H, W): log10 of the confidence that arrived, 0 at a hint and
        falling
        with distance and across edges; `error` (B, 1, H, W): the expected absolute error in the property's units; and
        `first` (B, sets, C, H, W): what the first passes found.
        """
        h, w = values.shape[-2:]
        c, sets = self.config.channels, self.config.sets
        values, strength = pad_to_stride(values / AB_SCALE), _pad_zero(strength)
        hints = torch.cat([values * strength, strength], 1).float()  # B, C + 1, H, W
        carried = hints.repeat(1, sets, 1, 1)
        for merges in picture.merges[:2]:
            carried = normalised_scan(carried, picture.spread, merges)
        weighted, amount = carried.unflatten(1, (sets, c + 1)).split((c, 1), 2)
        amount = amount.clamp(min=TINY)
        first = weighted / amount  # B, sets, C, H, W
        log_amount = amount.log10()
        clues = torch.cat([first.flatten(1, 2), log_amount.flatten(1, 2) / 8.0, hints], 1)
        mended = self.correction(torch.cat([picture.features.to(clues.dtype), F.avg_pool2d(clues, 2)], 1)).float()
        change, trust, error = enlarge(mended).split((c, 1, 1), 1)
        trust = torch.sigmoid(trust) * (1.0 - strength) + strength
        draft = first.mean(1) + change
        draft = draft + (values - draft) * strength
        settled, weight = normalised_scan(
            torch.cat([draft * trust, trust], 1), picture.settle, picture.merges[2]
        ).split((c, 1), 1)
        dense = settled / weight.clamp(min=TINY)
        return {
            "values": dense[..., :h, :w] * AB_SCALE,
            "reach": log_amount.mean(1)[..., :h, :w],
            "error": F.softplus(error)[..., :h, :w] * AB_SCALE,
            "first": first[..., :h, :w] * AB_SCALE,
        }

    def forward(self, lightness: Tensor, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        return self.fill(self.describe(lightness), values, strength)


def _pad_zero(x: Tensor) -> Tensor:
    from propagation.guidance import STRIDE

    h, w = x.shape[-2:]
    return F.pad(x, (0, -w % STRIDE, 0, -h % STRIDE))
