"""Losses on property maps, in units of `spn.AB_SCALE`."""

from __future__ import annotations

from torch import Tensor


def mean_absolute(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean of |predicted - truth|."""
    return (predicted - truth).abs().mean()


def weighted_absolute(predicted: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean of |predicted - truth| (B, C, H, W) under weights (B, 1, H, W), which get no gradient."""
    weight = weight.detach()
    return ((predicted - truth).abs().mean(1, keepdim=True) * weight).sum() / (weight.sum() + 1.0)


def mean_squared(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean of (predicted - truth)^2."""
    return ((predicted - truth) ** 2).mean()


def log_squared(predicted: Tensor, truth: Tensor, floor: float = 1e-3) -> Tensor:
    """Mean over pictures of log(mean squared error + floor): what a mean of PSNR values rewards."""
    return ((predicted - truth) ** 2).flatten(1).mean(1).add(floor).log().mean()


def laplace_nll(expected: Tensor, predicted: Tensor, truth: Tensor, least: float = 0.01) -> Tensor:
    """Negative log-likelihood of the error under a Laplace distribution of scale `expected` (B, 1, H, W).

    The prediction is detached: the scale learns to describe the error, not to excuse it.
    """
    scale = expected + least
    error = (predicted.detach() - truth).abs().mean(1, keepdim=True)
    return (error / scale + scale.log()).mean()
