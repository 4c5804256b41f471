"""Random hints for training: what a person (or a sampler) might put on a frame, cheap enough to draw for every crop."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def sample_hints(ab: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Hints for a crop whose true colors are ab (H, W, 2): values (H, W, 2) and strength (H, W), 0 to 1.

    A third are dots (scattered, or one a cell of a jittered grid as superpixel samples are), a quarter 6x6 patches in
    their mean color, a quarter brush strokes that stay on one color; their density is log-uniform, so that few and many
    weigh alike. The rest are colored pictures with holes, as carrying leaves them, also less than sure.
    """
    kind = rng.random()
    if kind < 0.34:
        return _dots(ab, rng)
    if kind < 0.59:
        return _patches(ab, rng)
    return _strokes(ab, rng) if kind < 0.85 else _holes(ab, rng)


def _log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _dots(ab: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    h, w = ab.shape[:2]
    strength = np.zeros((h, w), np.float32)
    spacing = np.sqrt(_log_uniform(60, 8000, rng))
    if rng.random() < 0.3:
        count = max(1, int(h * w / spacing**2))
        strength[rng.integers(0, h, count), rng.integers(0, w, count)] = 1
    else:
        ys, xs = np.arange(-rng.random() * spacing, h, spacing), np.arange(-rng.random() * spacing, w, spacing)
        grid = np.stack(np.meshgrid(ys, xs, indexing="ij"), -1).reshape(-1, 2)
        grid = (grid + rng.random(grid.shape) * spacing).astype(int)
        inside = grid[(grid >= 0).all(1) & (grid[:, 0] < h) & (grid[:, 1] < w)]
        strength[inside[:, 0], inside[:, 1]] = 1
    if not strength.any():
        strength[rng.integers(h), rng.integers(w)] = 1
    return ab * strength[..., None], strength


def _patches(ab: Floats, rng: np.random.Generator, side: int = 6) -> tuple[Floats, Floats]:
    h, w = ab.shape[:2]
    strength, values = np.zeros((h, w), np.float32), np.zeros_like(ab)
    for _ in range(max(1, int(h * w / _log_uniform(130, 6000, rng)))):
        y, x = rng.integers(h - side + 1), rng.integers(w - side + 1)
        values[y : y + side, x : x + side] = ab[y : y + side, x : x + side].mean((0, 1))
        strength[y : y + side, x : x + side] = 1
    return values, strength


def _strokes(ab: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Smooth random walks that turn away where the colour leaves the stroke's first one, painted in their mean
    colour."""
    h, w = ab.shape[:2]
    strength, values = np.zeros((h, w), np.float32), np.zeros_like(ab)
    smooth = cv2.blur(ab, (5, 5))
    for _ in range(max(1, int(h * w / _log_uniform(3000, 12000, rng)))):
        y, x, angle = rng.integers(h), rng.integers(w), rng.uniform(0, 2 * np.pi)
        near = (np.abs(smooth - smooth[y, x]).sum(-1) < rng.uniform(5, 14)).astype(np.uint8)
        line, width = np.zeros((h, w), np.uint8), int(rng.integers(2, 9))
        py, px = float(y), float(x)
        for _ in range(int(rng.integers(8, 80))):
            ny, nx = py + np.sin(angle), px + np.cos(angle)
            if not (0 <= ny < h and 0 <= nx < w) or not near[int(ny), int(nx)]:
                angle += np.pi / 2 + rng.uniform(-0.5, 0.5)
                continue
            cv2.line(line, (int(px), int(py)), (int(nx), int(ny)), 1, width)
            py, px, angle = ny, nx, angle + rng.normal(0, 0.15)
        painted = (line & near).astype(bool)
        painted[y, x] = True
        strength[painted], values[painted] = 1, ab[painted].mean(0)
    return values, strength


def _holes(ab: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Everything is known but blobs, a tenth to nine tenths of the picture; half the time nothing is quite certain."""
    h, w = ab.shape[:2]
    size = _log_uniform(3, 24, rng)
    noise = cv2.GaussianBlur(rng.standard_normal((h, w)).astype(np.float32), (0, 0), size)
    known = noise > np.quantile(noise, rng.uniform(0.1, 0.9))
    strength = known.astype(np.float32) * np.float32(1.0 if rng.random() < 0.5 else rng.uniform(0.2, 1.0))
    return ab * known[..., None], strength
