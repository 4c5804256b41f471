"""The temporal propagation network as published (Liu et al., Switchable Temporal Propagation Network, ECCV 2018).

    luminance of two frames ── guidance ── gates of four three-way scans, for every channel
    property of one frame ──── encoder ──── scans, summed ──── decoder ──── property of the other

No motion, no matching, no memory: U_B = G U_A with a linear map G that the two pictures alone decide. The reverse map
comes from the same gates by a *switch*. The paper asks for maps that can be run backwards and keep the style energy
|U|^2, that is for orthogonal ones, G_BA = G_AB^T, and trains both ways at once instead of enforcing it.

The paper leaves layers open. Here the encoder is one convolution to half size and the decoder its transpose, both
without bias, and the four directions are summed: then G is linear as written, grey stays grey, and the exact switch
is the transpose of the whole network rather than of its scans alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from kernels.scan import scan4, scan4_adjoint
from propagation.guidance import Block, Gates, conv, enlarge, pad_to_stride
from propagation.precision import channels_last, fast_convolutions
from propagation.weights import expected_tensors, load_weights, weights_path

Floats = NDArray[np.float32]

# How a network that knows the way from A to B goes from B to A.
#   one-way   not at all: trained from A to B alone; asked for B to A, it looks at the pair in the other order
#   two-way   it looks at the pair in the other order, and is trained on both
#   opposing  the same gates, those of opposing directions exchanged (the paper's switch, which is near the transpose)
#   adjoint   the same gates, every scan replaced by its exact transpose
Switch = Literal["one-way", "two-way", "opposing", "adjoint"]
SWITCHES: tuple[Switch, ...] = ("one-way", "two-way", "opposing", "adjoint")
NAME = "tpn-published"


@dataclass(frozen=True)
class PublishedTpnConfig:
    switch: Switch = "adjoint"
    channels: int = 16  # of the encoded property: twice what half the size needs to hold a color without loss
    widths: tuple[int, int, int, int] = (24, 48, 64, 96)  # of the guidance network at 1/2, 1/4, 1/8, 1/16


class PairGuidance(nn.Module):
    """A symmetric encoder-decoder with summed skips: two luminance pictures (B, 2, H, W) to features at half size."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        inputs = (2, *widths[:-1])
        self.down = nn.ModuleList([nn.Conv2d(i, o, 4, 2, 1) for i, o in zip(inputs, widths, strict=True)])
        self.encode = nn.ModuleList([Block(w) for w in widths])
        self.up = nn.ModuleList([conv(widths[i], widths[i - 1], 1) for i in (3, 2, 1)])
        self.decode = nn.ModuleList([Block(widths[i - 1]) for i in (3, 2, 1)])

    def forward(self, pictures: Tensor) -> Tensor:
        x, skips = pictures, []
        for down, encode in zip(self.down, self.encode, strict=True):
            x = encode(F.elu(down(x)))
            skips.append(x)
        for up, decode, skip in zip(self.up, self.decode, reversed(skips[:-1]), strict=True):
            x = decode(enlarge(up(x)) + skip)
        return x  # B, widths[0], H/2, W/2


class PublishedTpn(nn.Module):
    """Property of one frame to that of another. H and W are multiples of `propagation.guidance.STRIDE`."""

    def __init__(self, config: PublishedTpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or PublishedTpnConfig()
        c = config.channels
        self.guidance = PairGuidance(config.widths)
        self.vertical = conv(config.widths[0], 2 * 3 * c)
        self.horizontal = conv(config.widths[0], 2 * 3 * c)
        self.encoder = nn.Parameter(_lossless(c))
        with torch.no_grad():
            for head in (self.vertical, self.horizontal):
                head.weight.mul_(0.5)
                assert head.bias is not None
                head.bias.zero_()  # gates near zero: training starts from a network that holds the key's colors

    def look(self, first: Tensor, second: Tensor) -> Gates:
        """Raw gates (four of B, channels, 3, .., layout "scanned", half size) for L* of two frames, each (B, 1, H, W),
        0 to 100. The order matters."""
        features = self.guidance(torch.cat([first, second], 1) / 50.0 - 1.0)
        c = self.config.channels
        left, right = self.horizontal(features.transpose(-1, -2)).float().unflatten(1, (2, c, 3)).unbind(1)
        top, bottom = self.vertical(features).float().unflatten(1, (2, c, 3)).unbind(1)
        return left, right, top, bottom

    def carry(self, gates: Gates, values: Tensor) -> Tensor:
        """`values` (B, 2, H, W) of the first frame on the second: G_AB U."""
        return self._decode(scan4(self._encode(values), gates, merge="sum", norm="max1", layout="scanned"))

    def carry_back(self, gates: Gates, values: Tensor) -> Tensor:
        """`values` (B, 2, H, W) of the second frame on the first, by the switch of the same gates: G_BA U.

        Raises ValueError for a network without a switch: it needs the guidance of the pair in the other order.
        """
        if self.config.switch == "adjoint":
            scanned = scan4_adjoint(self._encode(values), gates, merge="sum", norm="max1", layout="scanned")
            return self._decode(scanned)
        if self.config.switch == "opposing":
            left, right, top, bottom = gates
            return self.carry((right, left, bottom, top), values)
        raise ValueError(f"a {self.config.switch} network has no switch")

    def forward(self, first: Tensor, second: Tensor, values: Tensor) -> Tensor:
        """`values` (B, 2, H, W) of the first frame on the second."""
        return self.carry(self.look(first, second), values)

    def both(self, first: Tensor, second: Tensor, of_first: Tensor, of_second: Tensor) -> tuple[Tensor, Tensor]:
        """(G_AB U_A, G_BA U_B): the property of each frame on the other one."""
        gates = self.look(first, second)
        if self.config.switch in ("one-way", "two-way"):
            return self.carry(gates, of_first), self.forward(second, first, of_second)
        return self.carry(gates, of_first), self.carry_back(gates, of_second)

    def _encode(self, values: Tensor) -> Tensor:
        with _exact(values):
            return F.conv2d(values.float(), self.encoder, stride=2, padding=1)  # B, channels, H/2, W/2

    def _decode(self, scanned: Tensor) -> Tensor:
        with _exact(scanned):
            # A quarter: the mean of the four directions.
            return F.conv_transpose2d(scanned / 4.0, self.encoder, stride=2, padding=1)


def _exact(tensor: Tensor) -> torch.autocast:
    """Colors are never rounded to 16 bits, whatever the convolutions around them are computed in."""
    return torch.autocast(tensor.device.type, enabled=False)


def _lossless(channels: int) -> Tensor:
    """(channels, 2, 4, 4): a convolution whose transpose undoes it. Each 2x2 pixels of two planes are eight numbers,
    mixed by an orthogonal matrix into eight channels, again and again until the channels are full."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.zeros(channels, 2, 4, 4)
    copies = max(1, channels // 8)
    for copy in range(copies):
        mix = torch.linalg.qr(torch.randn(8, 8, generator=generator)).Q / copies**0.5
        weights[8 * copy : 8 * copy + 8, :, 1:3, 1:3] = mix[: channels - 8 * copy].view(-1, 2, 2, 2)
    return weights


class PublishedCarrier:
    """The trained network as a way to carry a key along a clip: from the key straight to every frame, or step by step.

    Straight, nothing adds up and every frame is as far as it is; step by step motion is small and errors multiply.
    """

    def __init__(self, model: PublishedTpn, device: str = "cpu", *, stepwise: bool = False) -> None:
        self.model = channels_last(model.to(device).eval())
        self.device, self.stepwise = device, stepwise

    @classmethod
    def load(cls, name: str = NAME, device: str = "cpu", *, stepwise: bool = False) -> PublishedCarrier:
        """The trained network `name` of assets/weights. Raises WeightsError when it is missing, damaged or another
        one."""
        model = PublishedTpn()
        model.load_state_dict(load_weights(weights_path(name), expected_tensors(model)))
        return cls(model, device, stepwise=stepwise)

    def __call__(
        self, lightness: Sequence[Floats], keys: Mapping[int, Floats], count: int
    ) -> Iterator[tuple[int, Floats]]:
        """(frame, (H, W, 2)) for the frames after the first key of `keys`, in order; `lightness` (H, W), L* 0..100."""
        (came, values), *_ = sorted(keys.items())
        carried, light = self._tensor(values), self._tensor(lightness[came][..., None])
        height, width = values.shape[:2]
        for frame in range(came + 1, count):
            now = self._tensor(lightness[frame][..., None])
            with torch.inference_mode(), fast_convolutions(self.device):
                out = self.model(light, now, carried)
            if self.stepwise:
                carried, light = out, now
            picture = out[0, :, :height, :width].permute(1, 2, 0).cpu().numpy()
            yield frame, np.ascontiguousarray(picture)

    def _tensor(self, image: Floats) -> Tensor:
        """(H, W, C) to (1, C, H, W), padded to the network's stride."""
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None]
        return pad_to_stride(tensor.to(self.device))
