"""Blurs, gradients and changes of size by matrices are OpenCV's, at borders and odd sizes too."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from propagation.hdr import separable

SHAPES = [(41, 57), (64, 96), (1, 9), (9, 1), (2, 3), (5, 30)]
# Sums of up to 25 float32 products of numbers below 1000, in another order.
TOLERANCE = {"rtol": 1e-5, "atol": 2e-3}


def picture(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)


def by_matrices(made: separable.Separable, image: np.ndarray) -> np.ndarray:
    return made(torch.from_numpy(image)[None, None])[0, 0].numpy()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("sigma", [1.0, 2.0, 2.5, 3.0])
def test_blurs(shape, sigma):
    image = picture(shape)
    wanted = cv2.GaussianBlur(image, (0, 0), sigma).reshape(shape)
    np.testing.assert_allclose(by_matrices(separable.blurred(shape, sigma, "cpu"), image), wanted, **TOLERANCE)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients(shape):
    image = np.rint(picture(shape))
    for made, way in zip(separable.slopes(shape, "cpu"), ((1, 0), (0, 1)), strict=True):
        wanted = cv2.Scharr(image.astype(np.uint8), cv2.CV_32F, *way).reshape(shape) / 32
        np.testing.assert_allclose(by_matrices(made, image), wanted, **TOLERANCE)


@pytest.mark.parametrize("shape", SHAPES)
def test_changes_of_size(shape):
    h, w = shape
    for to, interpolation in (((max(1, h // 2), max(1, w // 2)), cv2.INTER_AREA), ((4 * h, 4 * w), cv2.INTER_LINEAR)):
        image = picture(shape)
        wanted = cv2.resize(image, to[::-1], interpolation=interpolation).reshape(to)
        made = separable.resized(shape, to, interpolation, "cpu")
        np.testing.assert_allclose(by_matrices(made, image), wanted, **TOLERANCE)


def test_several_maps_at_once():
    maps = torch.rand(1, 3, 20, 31)
    made = separable.blurred((20, 31), 2.0, "cpu")
    for one, other in zip(made(maps)[0], maps[0], strict=True):
        assert torch.allclose(one, made(other), atol=1e-6)
