"""The guidance network: pictures in, propagation weights and merge weights out.

A light U-Net. Most of its work happens from half resolution down; a thin full-resolution branch keeps edges where the
picture has them. Gates leave in the layout that the scans read (`kernels.scan`, "scanned"): the head of the horizontal
directions runs on transposed features, so that no gate map is ever transposed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Four halvings: sizes are padded to a multiple of this and cropped again.
STRIDE = 16

# Upper bound of a pixel's three weights together. Closer to one, the input's share 1 - sum would drown in rounding, and
# quotients of two scans with it.
_MOST_CARRIED = 0.999

Gates = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class GuidanceConfig:
    inputs: int
    full: int = 16  # channels of the full-resolution branch; every one costs memory traffic at full size
    widths: tuple[int, int, int, int] = (32, 64, 96, 144)  # channels at 1/2, 1/4, 1/8, 1/16


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps (or divides by its stride) the size."""
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2)


def conv_of_plane(layer: nn.Module, x: Tensor) -> Tensor:
    """A convolution of pictures of one channel (B, 1, H, W), several times as fast as calling the layer.

    One channel has no layout of its own; torch then takes a way that costs conversions in every layer behind it. With a
    second channel of zeros it does not.
    """
    assert isinstance(layer, nn.Conv2d)
    pair = F.pad(x, (0, 0, 0, 0, 0, 1)).contiguous(memory_format=torch.channels_last)
    weight = F.pad(layer.weight, (0, 0, 0, 0, 0, 1)).contiguous(memory_format=torch.channels_last)
    return F.conv2d(pair, weight, layer.bias, layer.stride, layer.padding)


def _conv(layer: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = layer(x)
    return out


class Block(nn.Module):
    """Two 3x3 convolutions with a residual sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = conv(channels, channels), conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        # In place: no layer needs the sums before they were cut off.
        return F.relu_(self.second(F.relu_(self.first(x))).add_(x))


def enlarge(x: Tensor) -> Tensor:
    """Bilinear, twice the size."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def halve(x: Tensor) -> Tensor:
    """Means of 2x2 pixels, H and W even: `avg_pool2d` three times as fast."""
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


class Features(NamedTuple):
    """What the guidance network finds, at four sizes: (B, full, H, W), (B, w0, H/2, W/2), (B, w1, H/4, W/4) and, from
    the bottom of the U, (B, w3, H/16, W/16)."""

    full: Tensor
    half: Tensor
    quarter: Tensor
    sixteenth: Tensor


class Guidance(nn.Module):
    """(B, inputs, H, W), H and W multiples of `STRIDE`, to `Features`."""

    def __init__(self, config: GuidanceConfig) -> None:
        super().__init__()
        w0, w1, w2, w3 = config.widths
        self.stem = conv(config.inputs, config.full)
        self.down = nn.ModuleList(
            [
                nn.Conv2d(config.inputs, w0, 4, 2, 1),
                nn.Conv2d(w0, w1, 4, 2, 1),
                nn.Conv2d(w1, w2, 4, 2, 1),
                nn.Conv2d(w2, w3, 4, 2, 1),
            ]
        )
        self.encode = nn.ModuleList([Block(w) for w in config.widths])
        self.up = nn.ModuleList([conv(w3, w2, 1), conv(w2, w1, 1), conv(w1, w0, 1)])
        self.decode = nn.ModuleList([Block(w) for w in (w2, w1, w0)])
        self.top = conv(w0, config.full, 1)
        self.join = conv(config.full, config.full)

    def forward(self, picture: Tensor) -> Features:
        first = conv_of_plane if picture.shape[1] == 1 else _conv
        x = self.encode[0](F.relu_(first(self.down[0], picture)))
        skips = [x]
        for down, encode in zip(self.down[1:], self.encode[1:], strict=True):
            x = encode(F.relu_(down(x)))
            skips.append(x)
        decoded = []
        for up, decode, skip in zip(self.up, self.decode, reversed(skips[:-1]), strict=True):
            x = decode(enlarge(up(x)).add_(skip))
            decoded.append(x)
        full = F.relu_(first(self.stem, picture).add_(enlarge(self.top(x))))
        return Features(F.relu_(self.join(full).add_(full)), x, decoded[1], skips[-1])


class GateHead(nn.Module):
    """Full-resolution features to gates of `sets` gate sets in four directions, and to merge weights.

    Per pixel, direction and set a softmax over four logits (three neighbours and the pixel itself) gives the three
    weights; their sum stays below one, so that a pixel never quite loses its own input. `merges` softmaxes
    over the four directions weigh the directional results.
    """

    def __init__(self, channels: int, sets: int, merges: int) -> None:
        super().__init__()
        self.sets, self.merges = sets, merges
        self.vertical = conv(channels, 2 * sets * 4 + merges * 4)
        self.horizontal = conv(channels, 2 * sets * 4)
        with torch.no_grad():
            for layer in (self.vertical, self.horizontal):
                layer.weight.mul_(0.5)
                assert layer.bias is not None
                layer.bias.zero_()
                # Start by carrying: middle neighbour first, own input last (the weights sum to about 0.96).
                layer.bias[: 2 * sets * 4].view(-1, 4)[:] = torch.tensor([0.0, 1.0, 0.0, -1.5])

    def forward(self, features: Tensor) -> tuple[Gates, Tensor]:
        """features (B, C, H, W) -> gates (left, right, top, bottom first), each (B, sets, 3, ..), and (B, merges, 4,
        H, W)."""
        size, sets = self.sets * 4, self.sets
        across, down = self.horizontal(features.transpose(-1, -2)), self.vertical(features)
        if not torch.is_grad_enabled() and features.device.type == "cpu":
            from propagation.rows.gates import shares  # here because numba takes a second to import

            sources = ((across, 0), (across, size), (down, 0), (down, size))
            gates = [shares(logits, channel, sets, 3, _MOST_CARRIED) for logits, channel in sources]
            return (gates[0], gates[1], gates[2], gates[3]), shares(down, 2 * size, self.merges, 4, 1.0)
        # split and unbind, not slices: the gradient of a slice is a whole map of zeros.
        left, right = across.float().split(size, 1)
        top, bottom, merges = down.float().split((size, size, self.merges * 4), 1)
        gates = [self._weights(logits) for logits in (left, right, top, bottom)]
        return (gates[0], gates[1], gates[2], gates[3]), merges.unflatten(1, (self.merges, 4)).softmax(2)

    def _weights(self, logits: Tensor) -> Tensor:
        """(B, 4 sets, ..) to the weights of the three neighbours, (B, sets, 3, ..)."""
        shares = logits.unflatten(1, (self.sets, 4)).softmax(2)
        return (_MOST_CARRIED * shares.split((3, 1), 2)[0]).contiguous()


def padded(size: int, stride: int = STRIDE) -> int:
    """The least multiple of `stride` that holds `size`, and two of them at least: the bfloat16 convolution of oneDNN
    that halves a map of two columns reads memory that nobody wrote."""
    return max(-(-size // stride), 2) * stride


def pad_to_stride(x: Tensor, stride: int = STRIDE) -> Tensor:
    """Replicates the last row and column until H and W are `padded`."""
    h, w = x.shape[-2:]
    right, below = padded(w, stride) - w, padded(h, stride) - h
    return F.pad(x, (0, right, 0, below), mode="replicate") if right or below else x
