"""The spatial propagation network as published (Liu et al., NeurIPS 2017), set up for color: the row to compare with.

    lightness ── guidance network ── gates: 4 directions x 3 neighbours x 32 channels, half size
    hints ── conv 4x4, stride 2 ── 32 channels ── scans, maximum of four ── the same again ── twice the size, 2 convs

Layers and widths are those of the released face parsing model, the head that of the released segmentation model. Three
things differ: gates are divided by max(1, sum |g|) as in the group's later releases (dividing always by the sum leaves
a pixel no input of its own); there is no batch normalisation, whose statistics batches of two pictures do not give; and
gates start by carrying, since a color must get further in minutes of training than a mask's border in days.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.scan import Norm, scan4
from propagation.guidance import Gates, conv, enlarge, pad_to_stride, padded
from propagation.precision import channels_last
from propagation.spn import AB_SCALE
from propagation.weights import expected_tensors, load_weights, weights_path

STRIDE = 32  # five poolings
ROUNDS = 2


@dataclass(frozen=True)
class PublishedConfig:
    channels: int = 2  # of the property
    carried: int = 32  # channels that are propagated
    widths: tuple[int, int, int, int, int, int] = (16, 32, 64, 128, 256, 512)  # from full size down to 1/32
    head: int = 64
    norm: Norm = "max1"


class PublishedGuidance(nn.Module):
    """Lightness (B, 1, H, W), -1 to 1, H and W multiples of `STRIDE`, to features (B, widths[2], H/2, W/2)."""

    def __init__(self, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        self.down = nn.ModuleList([conv(a, b) for a, b in zip((1, *widths), widths, strict=False)])
        self.up = nn.ModuleList([conv(widths[i + 1], widths[i]) for i in (4, 3, 2)])

    def forward(self, lightness: Tensor) -> Tensor:
        x = lightness
        skips: list[Tensor] = []
        for layer in self.down:
            x = F.elu(layer(x if not skips else F.max_pool2d(x, 2)))
            skips.append(x)
        for layer, skip in zip(self.up, (skips[4], skips[3], skips[2]), strict=True):
            x = F.elu(layer(enlarge(x))) + skip
        return enlarge(x)


class PublishedSpn(nn.Module):
    """Dense property from sparse hints; inputs as `spn.SpatialPropagationNetwork`."""

    def __init__(self, config: PublishedConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PublishedConfig()
        features, carried = config.widths[2], config.carried
        self.guidance = PublishedGuidance(config.widths)
        # One layer of 12 x 32 maps in the paper; two here, so that horizontal gates come in the order of their scans.
        self.vertical, self.horizontal = conv(features, 6 * carried), conv(features, 6 * carried)
        self.enter = nn.Conv2d(config.channels + 1, carried, 4, 2, 1)
        self.head = nn.ModuleList([conv(carried, config.head), conv(config.head, config.channels)])
        with torch.no_grad():
            for layer in (self.vertical, self.horizontal):
                assert layer.bias is not None
                layer.weight.mul_(0.1)
                layer.bias.view(-1, 3)[:] = torch.tensor([0.0, 0.95, 0.0])

    @classmethod
    def load(cls, name: str = "spn-published") -> PublishedSpn:
        """The trained network of assets/weights. Raises WeightsError when it is missing, damaged or another one."""
        model = cls()
        model.load_state_dict(load_weights(weights_path(name), expected_tensors(model)))
        return channels_last(model.eval())

    def describe(self, lightness: Tensor) -> Gates:
        """Raw gates of a picture, each (B, 32, 3, ..) at half size as `kernels.scan` lays them out ("scanned")."""
        features = self.guidance(pad_to_stride(lightness, STRIDE) / 50.0 - 1.0)
        left, right = (self._gates(g) for g in self.horizontal(features.transpose(-1, -2)).chunk(2, 1))
        top, bottom = (self._gates(g) for g in self.vertical(features).chunk(2, 1))
        return left, right, top, bottom

    def fill(self, gates: Gates, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        """Carries hints, values (B, C, H, W) of strength (B, 1, H, W), 0 to 1; returns `values` (B, C, H, W).

        Where a hint is certain it stays, as in every method that this one is measured beside.
        """
        h, w = values.shape[-2:]
        room = (0, padded(w, STRIDE) - w, 0, padded(h, STRIDE) - h)
        hints = F.pad(torch.cat([values / AB_SCALE * strength, strength], 1), room)
        carried = self.enter(hints).float()
        for _ in range(ROUNDS):
            carried = scan4(carried, gates, merge="max", norm=self.config.norm, layout="scanned")
        dense = self.head[1](F.relu(self.head[0](enlarge(carried)))).float()[..., :h, :w] * AB_SCALE
        return {"values": dense + (values - dense) * strength}

    def forward(self, lightness: Tensor, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        return self.fill(self.describe(lightness), values, strength)

    def _gates(self, maps: Tensor) -> Tensor:
        return maps.float().unflatten(1, (self.config.carried, 3)).contiguous()
