"""Optical flow as tensor operations, for any device that torch computes on: dense inverse search (Kroeger et al. 2016).

    pyramid of both pictures ── from the smallest size to the finest of `FlowConfig`:
        patches of the source, half overlapping ── each takes the best of its own and its neighbours' motion
        ── a few Gauss-Newton steps, the source's gradients inverted once ── means of the patches' motions per pixel

Nothing waits for the device and no size depends on the data, so a call can be queued behind others or captured. Where
`kernels.cuda_patches` can run it does what is between one size and the next in two launches; `_Patches` is the same in
torch's own operations. Beside OpenCV's DIS, neighbours are compared all at once instead of one after the other, and
there is no variational refinement.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels import cuda_patches

PATCH, STRIDE = 8, 4  # pixels; every pixel lies in four patches
# Added to the patches' structure tensors, in squared units of L* a pixel: what noise alone puts there.
_NOISE = 0.05 * PATCH**2
# Differences in L* below which a pixel fits as well as it can.
_EQUAL = 0.4
# Own motion and those of the eight patches around.
_AROUND = 3


@dataclass(frozen=True)
class FlowConfig:
    """How far down and how hard a search goes."""

    finest: int  # halvings at which it ends
    steps: int  # Gauss-Newton steps of a round
    rounds: int = 1  # of comparing neighbours and stepping, at each size
    smallest: int = 2 * PATCH  # pixels of the shorter side at which it starts, at least
    sizes: int = 16  # at most


def patch_flow(source: Tensor, target: Tensor, config: FlowConfig, guess: Tensor | None = None) -> Tensor:
    """Motion (B, 2, H, W) in pixels, x first: what source (B, 1, H, W), L*, shows at (x, y) is at (x, y) + motion in
    target. `guess` (B, 2, H, W): motion to start from.
    """
    h, w = source.shape[-2:]
    halvings = config.finest
    while min(h, w) >> (halvings + 1) >= config.smallest and halvings + 1 < config.finest + config.sizes:
        halvings += 1
    unit = 1 << halvings
    margin = (0, -w % unit, 0, -h % unit)
    sources, targets = (_pyramid(F.pad(x, margin, mode="replicate"), halvings) for x in (source, target))
    flow = source.new_zeros(source.shape[0], 2, *sources[-1].shape[-2:])
    if guess is not None:
        flow = F.avg_pool2d(F.pad(guess, margin, mode="replicate"), unit) / unit
    for level in range(halvings, config.finest - 1, -1):
        flow = search(sources[level], targets[level], flow, config)
        if level > config.finest:
            flow = 2.0 * _enlarged(flow, 2)
    scale = 1 << config.finest
    return scale * _enlarged(flow, scale)[..., :h, :w]


def _pyramid(picture: Tensor, halvings: int) -> list[Tensor]:
    pictures = [picture]
    for _ in range(halvings):
        pictures.append(F.avg_pool2d(pictures[-1], 2))
    return pictures


def _enlarged(x: Tensor, factor: int) -> Tensor:
    if factor == 1:
        return x
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def search(source: Tensor, target: Tensor, flow: Tensor, config: FlowConfig) -> Tensor:
    """One size: motion (B, 2, h, w), in its pixels, from that found at the size before."""
    if cuda_patches.serves(source):
        start = _centers(flow, *_margin(*source.shape[-2:])).permute(0, 2, 3, 1)
        return cuda_patches.search(source, target, start, config.steps, config.rounds, _NOISE, _EQUAL)
    return search_by_operations(source, target, flow, config)


def search_by_operations(source: Tensor, target: Tensor, flow: Tensor, config: FlowConfig) -> Tensor:
    """What `cuda_patches.search` does, for any device."""
    patches = _Patches(source, target)
    motion = _centers(flow, *patches.margin).flatten(2).transpose(1, 2)
    for _ in range(config.rounds):
        motion = patches.best_around(motion)
        motion = patches.descend(motion, config.steps)
    return patches.mean(motion)


class _Patches:
    """A picture in patches, and another in which their motion is searched. P patches of K pixels each.

    Motions are (B, P, 2) in pixels.
    """

    def __init__(self, source: Tensor, target: Tensor) -> None:
        (b, _, h, w), device = source.shape, source.device
        self.size = (h, w)
        self.target = target
        self.margin = _margin(h, w)
        padded = F.pad(source, self.margin, mode="replicate")
        self.padded = (padded.shape[-2], padded.shape[-1])
        self.counts = ((self.padded[0] - PATCH) // STRIDE + 1, (self.padded[1] - PATCH) // STRIDE + 1)
        maps = torch.cat([padded, _gradients(padded)], 1)
        cut = F.unfold(maps, PATCH, stride=STRIDE).view(b, 3, PATCH**2, -1).transpose(2, 3)  # B, 3, P, K
        cut = cut - cut.mean(3, keepdim=True)  # a patch that is brighter as a whole has not moved
        self.wanted, gradients = cut[:, 0], cut[:, 1:]
        self.turn = _inverted(gradients)  # B, 2, P, K
        top, left = (torch.arange(n, device=device) * STRIDE - STRIDE for n in self.counts)
        inside = torch.arange(PATCH, device=device)
        y = (top[:, None, None, None] + inside[:, None]).expand(*self.counts, PATCH, PATCH).reshape(-1, PATCH**2)
        x = (left[None, :, None, None] + inside).expand(*self.counts, PATCH, PATCH).reshape(-1, PATCH**2)
        # Positions as `grid_sample` has them, -1 and 1 at the centers of the outermost pixels. Made where they are: a
        # copy from main memory would be waited for.
        self.to_unit = torch.cat([torch.full((1,), 2.0 / max(n - 1, 1), device=device) for n in (w, h)])
        self.places = torch.stack([x, y], -1) * self.to_unit - 1.0  # P, K, 2

    def differences(self, motion: Tensor) -> Tensor:
        """(B, .., P, K): the target where motions (B, .., P, 2) lead, less the source less its mean in the patch."""
        grid = self.places + (motion * self.to_unit)[..., None, :]
        found = F.grid_sample(
            self.target, grid.flatten(1, -3), mode="bilinear", padding_mode="border", align_corners=True
        )
        return found.view(grid.shape[:-1]) - self.wanted.view(-1, *[1] * (grid.ndim - 4), *self.wanted.shape[1:])

    def cost(self, motion: Tensor) -> Tensor:
        """(B, .., P): squared differences, whatever the brightness of the whole patch."""
        return self.differences(motion).var(-1, correction=0)

    def descend(self, motion: Tensor, steps: int) -> Tensor:
        """Gauss-Newton from a motion; a patch that ends further off than where it began, or elsewhere, stays."""
        start = motion
        for _ in range(steps):
            motion = motion - (self.differences(motion)[:, None] * self.turn).sum(3).transpose(1, 2)
        near = ((motion - start) ** 2).sum(2) < PATCH**2
        began, ended = self.cost(torch.stack([start, motion], 1)).unbind(1)
        return torch.where((near & (ended < began))[..., None], motion, start)

    def best_around(self, motion: Tensor) -> Tensor:
        """Of its own motion and those of the patches around it, the one by which each patch fits best."""
        field = motion.transpose(1, 2).unflatten(2, self.counts)
        shifts = F.unfold(F.pad(field, (1, 1, 1, 1), mode="replicate"), _AROUND).unflatten(1, (2, _AROUND**2))
        offered = shifts.permute(0, 2, 3, 1)  # B, 9, P, 2
        chosen = self.cost(offered).argmin(1)[:, None, :, None].expand(-1, 1, -1, 2)
        return offered.gather(1, chosen)[:, 0]

    def mean(self, motion: Tensor) -> Tensor:
        """(B, 2, h, w): means of the motions of the four patches around a pixel, by how well they fit it."""
        off = self.differences(motion)
        weight = 1.0 / (off - off.mean(2, keepdim=True)).abs().clamp(min=_EQUAL)  # B, P, K
        parts = torch.stack([weight * motion[..., 0:1], weight * motion[..., 1:2], weight], 1)
        summed = F.fold(parts.transpose(2, 3).flatten(1, 2), self.padded, PATCH, stride=STRIDE)
        h, w = self.size
        summed = summed[..., STRIDE : STRIDE + h, STRIDE : STRIDE + w]
        return summed[:, :2] / summed[:, 2:]


def _margin(height: int, width: int) -> tuple[int, int, int, int]:
    """Pixels left, right, above and below that put every pixel into four patches, those at the border too."""
    return STRIDE, STRIDE + -width % STRIDE, STRIDE, STRIDE + -height % STRIDE


def _centers(flow: Tensor, *margin: int) -> Tensor:
    """Each patch's mean (B, 2, rows, columns) of the motion (B, 2, h, w)."""
    return F.avg_pool2d(F.pad(flow, margin, mode="replicate"), PATCH, STRIDE)


def _gradients(picture: Tensor) -> Tensor:
    """(B, 2, H, W): central differences along x and y."""
    x, y = F.pad(picture, (1, 1, 0, 0), mode="replicate"), F.pad(picture, (0, 0, 1, 1), mode="replicate")
    return torch.cat([x[..., 2:] - x[..., :-2], y[..., 2:, :] - y[..., :-2, :]], 1) / 2.0


def _inverted(gradients: Tensor) -> Tensor:
    """Gradients (B, 2, P, K) times the inverse of their structure tensor: differences to motion."""
    xx, yy = ((g**2).sum(2, keepdim=True) + _NOISE for g in gradients.unbind(1))
    x, y = gradients.unbind(1)
    xy = (x * y).sum(2, keepdim=True)
    return torch.stack([yy * x - xy * y, xx * y - xy * x], 1) / (xx * yy - xy * xy)[:, None]
