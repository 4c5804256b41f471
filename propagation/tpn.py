"""The temporal propagation network for color: one step of carrying a property from a key frame along a clip.

    clues ─ matching ─ belief: key, matched key, previous or none ─┬─ believed color ─────────────────────────┐
                                                                   └─ as hints, half size ─ spatial network ─┴─ color

The tracker's clues (`alignment.CLUES`) say what the key frame and the previous frame show when moved here, and how far
each can be trusted; local matching mends the moved key where it is a few pixels off. A small network decides per pixel
which to believe, or none. What is believed becomes the hints of a spatial propagation network (`propagation.spn`) at
half size, whose three-way linear scans (Liu et al. 2018), gated by the new frame, carry it into what is not; what is
believed of the key itself is never resampled, and makes up half of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.threads import run_parts
from propagation.alignment import CLUES
from propagation.guidance import STRIDE, enlarge, halve, pad_to_stride, padded
from propagation.matching import LocalMatching
from propagation.spn import AB_SCALE, Correction, Description, SpatialPropagationNetwork, SpnConfig

# Bound of the network's corrections to plain doubt: beyond it a belief is certain and would no longer learn.
_LARGEST = 4.0


@dataclass(frozen=True)
class TpnConfig:
    spatial: SpnConfig = SpnConfig(enter=False)  # its hints are maps, not dots
    enter: int = 32  # channels of the belief network at half size
    belief: tuple[int, int, int] = (48, 64, 96)  # at 1/4, 1/8, 1/16
    # Of what it believes, the share that a pixel keeps; the rest it takes from the scans as all others do. The noise of
    # a key is not that of the frame: a mean over the neighborhood, within its edges, is nearer to the truth.
    kept: float = 0.5


class Doubt(nn.Module):
    """How little a candidate is to be believed, from what can be seen at once; the network adds what it knows better.

    A weighted sum, with learned weights, of the lightness difference to the frame, the round trips of its motion and
    whether it lay outside. It starts where a person would put it: a difference of 10 in L*, or of about 3 pixels,
    counts as much as a coin's toss between believing and not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([10.0, 1.5, 4.0]))

    def forward(self, difference: Tensor, round_trip: Tensor, inside: Tensor) -> Tensor:
        """All (B, 1, H, W): |difference| of L* / 50, log(1 + pixels), 0 or 1."""
        by_light, by_motion, by_border = self.weights.unbind()
        return by_light * difference.abs() + by_motion * round_trip + by_border * (1.0 - inside)


class TemporalPropagationNetwork(nn.Module):
    """lightness (B, 1, H, W) and clues (B, 12, H, W) to the property's next values (B, 2, H, W) and expected error."""

    def __init__(self, config: TpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or TpnConfig()
        self.spatial = SpatialPropagationNetwork(config.spatial)
        self.matching = LocalMatching()
        # Beside what it sees, the differences that matter: averaged over pixels their signs would cancel.
        self.enter = nn.Conv2d(1 + len(CLUES) + 3 + 3, config.enter, 3, 1, 1)
        self.shrink = nn.Conv2d(config.enter, config.belief[0], 4, 2, 1)
        self.belief = Correction(config.belief[0] + config.spatial.features, 5, config.belief)
        self.doubt_key, self.doubt_matched, self.doubt_previous = Doubt(), Doubt(), Doubt()
        self.resignation = nn.Parameter(torch.tensor(2.0))  # doubt at which no candidate is believed
        # L* to -1..1, colors by AB_SCALE, logarithmic round trips and 0-1 maps as they are.
        lightness, color, plain = (0.02, -1.0), (1 / AB_SCALE, 0.0), (1.0, 0.0)
        key = [lightness, color, color, plain, plain, plain]
        previous = [lightness, color, color, plain, plain, (0.1, 0.0)]
        scales = [lightness, *key, *previous]
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.tensor([s for s, _ in scales]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor([s for _, s in scales]).view(1, -1, 1, 1), persistent=False)

    def describe(self, lightness: Tensor) -> Description:
        """What `forward` needs of the frame (B, 1, H, W) alone: it can be found before the clues are there."""
        return self.spatial.describe(halve(pad_to_stride(lightness, 2 * STRIDE)))

    def forward(self, lightness: Tensor, clues: Tensor, picture: Description | None = None) -> dict[str, Tensor]:
        """Returns `values` (B, 2, H, W), `error` in the property's units and `trust`, 0 to 1 (B, 1, H, W). With
        gradients also `carried` (B, 2, H, W), what the spatial network alone brings, and plain `doubt` (B, 1, H, W), 0
        to 1. `picture`: what `describe` has found of a single frame, where it was asked before.

        A pixel keeps a share of what it believes (`TpnConfig.kept`), as far as it believes it; the rest comes by the
        scans.
        """
        if not torch.is_grad_enabled() and lightness.device.type == "cpu":
            return self._forward_fused(lightness, clues, picture)
        h, w = lightness.shape[-2:]
        seen = torch.addcmul(self.shift, pad_to_stride(torch.cat([lightness, clues], 1), 2 * STRIDE), self.scale)
        now, key_light, key, _, worst, key_in, light, previous, trip, inside, _ = seen.split(
            (1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1), 1
        )
        differences = torch.cat(
            [(now - key_light).abs(), (now - light).abs(), (key - previous).abs().sum(1, keepdim=True)], 1
        )
        picture = picture or self.describe(lightness)
        belief, error, found = self._judge(torch.cat([halve(seen), halve(differences)], 1), picture)
        belief = enlarge(belief)
        matched_light, matched = enlarge(found).split((1, 2), 1)
        doubt = torch.cat(
            [
                self.doubt_key(now - key_light, worst, key_in),
                self.doubt_matched(now - matched_light, worst, key_in),
                self.doubt_previous(now - light, trip, inside),
                self.resignation.expand_as(now),
            ],
            1,
        )
        for_key, for_matched, for_previous, none = (belief - doubt).softmax(1).split(1, 1)
        sure = 1.0 - none
        believed = (key * for_key + matched * for_matched + previous * for_previous) / (sure + 1e-6)
        # Squared: a doubtful pixel's own guess must not outweigh what comes to it.
        weighted, strength = halve(torch.cat([believed * sure**2, sure**2], 1)).split((2, 1), 1)
        hints = weighted / (strength + 1e-6)
        filled = self.spatial.fill(picture, hints * AB_SCALE, strength)
        carried = enlarge(filled["values"]) / AB_SCALE
        own = self.config.kept * sure
        values = believed * own + (1.0 - own) * carried
        plain = (-doubt.detach()).softmax(1)[:, 3:]
        return {
            "values": values[..., :h, :w] * AB_SCALE,
            "error": enlarge(error)[..., :h, :w],
            "trust": sure[..., :h, :w],
            "carried": carried[..., :h, :w] * AB_SCALE,
            "doubt": plain[..., :h, :w],
        }

    def _forward_fused(self, lightness: Tensor, clues: Tensor, picture: Description | None) -> dict[str, Tensor]:
        """`values`, `error` and `trust` as above, a picture at a time, with the work at full size in few passes."""
        from propagation.rows import belief as rows  # here because numba takes a second to import

        frames = [
            self._one_fused(rows, light, of_frame, picture or self.describe(light[None, None]))
            for light, of_frame in zip(lightness[:, 0], clues, strict=True)
        ]
        return {name: torch.stack([frame[name] for frame in frames]) for name in frames[0]}

    def _one_fused(
        self, rows: ModuleType, lightness: Tensor, clues: Tensor, picture: Description
    ) -> dict[str, Tensor]:
        """lightness (H, W) and clues (12, H, W) of one frame."""
        h, w = lightness.shape
        size = (padded(h, 2 * STRIDE) // 2, padded(w, 2 * STRIDE) // 2)
        seen = (lightness.numpy(), clues.numpy(), self.scale.flatten().numpy(), self.shift.flatten().numpy())
        half = torch.empty(1, *size, 16)
        run_parts(rows.see, (*seen, half[0].numpy()), size[0], h * w)
        belief, error, found = self._judge(half.permute(0, 3, 1, 2), picture)
        doubts = torch.stack([d.weights for d in (self.doubt_key, self.doubt_matched, self.doubt_previous)])
        kept, hints = torch.empty(3, h, w), torch.empty(3, *size)
        judged = (belief[0].contiguous().numpy(), found[0].contiguous().numpy(), doubts.numpy())
        arguments = (*seen, *judged, np.float32(self.resignation), kept.numpy(), hints.numpy())
        run_parts(rows.believe, arguments, size[0], h * w)
        weighted, strength = hints[None].split((2, 1), 1)
        filled = self.spatial.fill(picture, weighted / (strength + 1e-6) * AB_SCALE, strength)
        values = torch.empty(h, w, 2)
        carried = filled["values"][0].contiguous().numpy() / np.float32(AB_SCALE)
        shares = (np.float32(self.config.kept), np.float32(AB_SCALE))
        run_parts(rows.settle, (kept.numpy(), carried, *shares, values.numpy()), h, h * w)
        return {
            "values": values.permute(2, 0, 1),
            "error": enlarge(error)[0, :, :h, :w],
            "trust": 1.0 - kept[2:],
        }

    def _judge(self, half: Tensor, picture: Description) -> tuple[Tensor, Tensor, Tensor]:
        """From the clues at half size: corrections of the three candidates and none (B, 4, H, W), bounded, and the
        expected error (B, 1, H, W), both at half size; what matching found (B, 3, H, W)."""
        small, small_key = half[:, :1], half[:, 1:4]
        found = self.matching(small, small_key[:, :1], small_key)
        # In one layout: a mixture is put together value by value.
        near = found.contiguous(memory_format=torch.channels_last)
        seen = F.relu_(self.shrink(F.relu_(self.enter(torch.cat([half, near], 1)))))
        judged = enlarge(self.belief(torch.cat([seen, enlarge(picture.features)], 1)).float())
        belief, error = judged.split((4, 1), 1)
        belief = _LARGEST * torch.tanh(belief / _LARGEST)
        return belief, F.softplus(error) * (0.2 * AB_SCALE), found
