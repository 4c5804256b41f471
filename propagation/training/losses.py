"""Losses on property maps, in units of `spn.AB_SCALE`."""

from __future__ import annotations

import torch
from torch import Tensor

# Linear sRGB from XYZ relative to D65 white (IEC 61966-2-1), and the white point itself.
_RGB_OF_XYZ = ((3.2406, -1.5372, -0.4986), (-0.9689, 1.8758, 0.0415), (0.0557, -0.2040, 1.0570))
_WHITE = (0.9505, 1.0, 1.0890)


def mean_absolute(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean of |predicted - truth|."""
    return (predicted - truth).abs().mean()


def weighted_absolute(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean of |predicted - truth| (B, C, H, W) under weights (B, 1, H, W), which get no gradient."""
    weight = weight.detach()
    return ((predicted - truth).abs().mean(1, keepdim=True) * weight).sum() / (weight.sum() + 1.0)


def weighted_squared(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean of (predicted - truth)^2 (B, C, H, W) under weights (B, 1, H, W), which get no gradient."""
    weight = weight.detach()
    return (((predicted - truth) ** 2).mean(1, keepdim=True) * weight).sum() / (weight.sum() + 1.0)


def mean_squared(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean of (predicted - truth)^2."""
    return ((predicted - truth) ** 2).mean()


def log_squared(predicted: Tensor, truth: Tensor, floor: float = 1e-3) -> Tensor:
    """Mean over pictures of log(mean squared error + floor): what a mean of PSNR values rewards."""
    return ((predicted - truth) ** 2).flatten(1).mean(1).add(floor).log().mean()


def energy_apart(predicted: Tensor, truth: Tensor, floor: float = 1e-3) -> Tensor:
    """Mean over pictures of |ln(predicted energy / true energy)|, energies being mean squares plus `floor`: a mean
    squared error alone is smallest where doubtful color is pale."""
    ours, theirs = ((each**2).flatten(1).mean(1) + floor for each in (predicted, truth))
    return (ours / theirs).log().abs().mean()


def laplace_nll(expected: Tensor, predicted: Tensor, truth: Tensor, least: float = 0.01) -> Tensor:
    """Negative log-likelihood of the error under a Laplace distribution of scale `expected` (B, 1, H, W).

    The prediction is detached: the scale learns to describe the error, not to excuse it.
    """
    scale = expected + least
    error = (predicted.detach() - truth).abs().mean(1, keepdim=True)
    return (error / scale + scale.log()).mean()


def srgb_of_lab(lightness: Tensor, ab: Tensor) -> Tensor:
    """L* (B, 1, H, W), 0 to 100, and a*, b* (B, 2, H, W) to sRGB (B, 3, H, W) in 0..1, clipped, with gradients."""
    a, b = ab.split(1, 1)
    fy = (lightness + 16) / 116
    f = torch.cat([fy + a / 500, fy, fy - b / 200], 1)
    cubic = f**3
    xyz = torch.where(f > 6 / 29, cubic, (f - 4 / 29) * (3 * (6 / 29) ** 2)) * ab.new_tensor(_WHITE).view(1, 3, 1, 1)
    linear = torch.einsum("kc,bchw->bkhw", ab.new_tensor(_RGB_OF_XYZ), xyz).clamp(0, 1)
    curved = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, curved, 12.92 * linear)
