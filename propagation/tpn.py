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
from propagation.spn import AB_SCALE, TINY, SpatialPropagationNetwork, normalised_scan

# Bound of the network's corrections to plain doubt: beyond it a belief is certain and would no longer learn.
_LARGEST = 2.5


@dataclass(frozen=True)
class TpnConfig:
    guidance: GuidanceConfig = GuidanceConfig(1 + len(CLUES))


class Doubt(nn.Module):
    """How little a candidate is to be believed, from what can be seen at once; the network adds what it knows better.

    A weighted sum, with learned weights, of the lightness difference to the frame, the round trips of its motion and
    whether it lay outside. It starts where a person would put it: a difference of 10 in L*, or of about 3 pixels,
    counts
    as much as a coin's toss between believing and not.
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
        self.guidance = Guidance(config.guidance)
        self.gates = GateHead(config.guidance.full, 1, 1)
        self.belief = conv(config.guidance.full, 3)  # corrections of key, previous, neither
        self.error = conv(config.guidance.full, 1)
        self.doubt_key, self.doubt_previous = Doubt(), Doubt()
        self.resignation = nn.Parameter(torch.tensor(2.0))  # doubt at which neither candidate is believed
        with torch.no_grad():
            self.belief.weight.mul_(0.3)
        # L* to -1..1, colours by AB_SCALE, logarithmic round trips and 0-1 maps as they are.
        lightness, colour, plain = (0.02, -1.0), (1 / AB_SCALE, 0.0), (1.0, 0.0)
        key = [lightness, colour, colour, plain, plain, plain]
        previous = [lightness, colour, colour, plain, plain, (0.1, 0.0)]
        scales = [lightness, *key, *previous]
        self.scale: Tensor
        self.shift: Tensor
        self.register_buffer("scale", torch.tensor([s for s, _ in scales]).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("shift", torch.tensor([s for _, s in scales]).view(1, -1, 1, 1), persistent=False)

    def inherit(self, spatial: SpatialPropagationNetwork) -> None:
        """Starts from a trained spatial network: its guidance, its last gates, and no opinion of its own beyond doubt.

        What carries colour inside one picture carries it into the holes of the next. From random gates training was
        seen to settle on carrying nothing.
        """
        with torch.no_grad():
            own = dict(self.guidance.named_parameters())
            for name, parameter in spatial.guidance.named_parameters():
                if own[name].shape == parameter.shape:
                    own[name].copy_(parameter)
                else:  # the layers that see the input: lightness comes first here, the clues start unheard
                    own[name].zero_()
                    own[name][:, :1].copy_(parameter)
            self.gates.load_state_dict(spatial.settle.state_dict())
            self.belief.weight.zero_()
            assert self.belief.bias is not None
            self.belief.bias.zero_()

    def forward(self, lightness: Tensor, clues: Tensor) -> dict[str, Tensor]:
        """Returns `values` and `carried` (B, 2, H, W), what the scans alone bring; `error`, `trust` and
        plain `doubt` (B, 1, H, W): the error in the property's units, the others 0 to 1.

        A pixel keeps what it believes as far as it believes it; the rest comes by the scans.
        """
        h, w = lightness.shape[-2:]
        seen = pad_to_stride(torch.cat([lightness, clues], 1)) * self.scale + self.shift
        full, _ = self.guidance(seen)
        gates, merges = self.gates(full)
        now, key_light, key, _, worst, key_in, light, previous, trip, inside, _ = seen.float().split(
            (1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1), 1
        )
        belief = _LARGEST * torch.tanh(self.belief(full).float() / _LARGEST)
        # Detached: estimating the error must not bend the features that colour depends on.
        error = self.error(full.detach()).float()
        doubt = torch.cat(
            [
                self.doubt_key(now - key_light, worst, key_in),
                self.doubt_previous(now - light, trip, inside),
                self.resignation.expand_as(now),
            ],
            1,
        )
        for_key, for_previous, neither = (belief - doubt).softmax(1).split(1, 1)
        believed = key * for_key + previous * for_previous
        # What enters the scans weighs by plain doubt alone: were it the network's own belief, gates that cannot carry
        # yet would teach it to believe everything, and then never learn to carry.
        plain_key, plain_previous, _ = (-doubt).softmax(1).split(1, 1)
        sure = plain_key + plain_previous
        # Squared over the share: a doubtful pixel's own guess must not outweigh what comes to it.
        seeds = torch.cat([(key * plain_key + previous * plain_previous) * sure, sure**2], 1)
        carried, weight = normalised_scan(seeds, gates, merges).split((2, 1), 1)
        carried = carried / weight.clamp(min=TINY)
        values = believed + neither * carried
        return {
            "values": values[..., :h, :w] * AB_SCALE,
            "error": F.softplus(error)[..., :h, :w] * (0.2 * AB_SCALE),
            "trust": 1.0 - neither[..., :h, :w],
            "carried": carried[..., :h, :w] * AB_SCALE,
            "doubt": 1.0 - sure[..., :h, :w],
        }
