"""Large pictures in pieces: how much smaller a picture has to be to be worked on whole, and overlapping tiles whose
weights add up to one, so that no seam shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """Rows and columns of a picture, and the weight (h, w), 0 to 1, that a result has there in the whole."""

    rows: slice
    columns: slice
    weight: Floats


def reduction(shape: tuple[int, int], most_pixels: int) -> int:
    """The least whole number by which a picture (H, W) must be divided to have at most `most_pixels` pixels."""
    factor = 1
    while -(-shape[0] // factor) * -(-shape[1] // factor) > most_pixels:
        factor += 1
    return factor


def shrink_mean(image: Floats, factor: int) -> Floats:
    """Means of factor x factor pixels; at the lower and right edge the last row and column stand for what is missing.

    (H, W) to (ceil(H / factor), ceil(W / factor)).
    """
    h, w = image.shape
    padded = np.pad(image, ((0, -h % factor), (0, -w % factor)), mode="edge")
    return np.asarray(_blocks(padded, factor).mean((1, 3)), np.float32)


def shrink_hints(values: Floats, strength: Floats, factor: int) -> tuple[Floats, Floats]:
    """Hints (H, W, C) of strength (H, W) at a factor-th of the size.

    A block takes the mean of its hints by their strength, and the strength of its strongest: a dot stays a dot.
    """
    (h, w), channels = strength.shape, values.shape[2]
    missing = (0, -h % factor), (0, -w % factor)
    known = _blocks(np.pad(strength, missing), factor)
    total = known.sum((1, 3))
    out = np.zeros((*total.shape, channels), np.float32)
    for c in range(channels):
        weighted = _blocks(np.pad(values[..., c] * strength, missing), factor).sum((1, 3))
        np.divide(weighted, total, out=out[..., c], where=total > 0)
    return out, np.asarray(known.max((1, 3)), np.float32)


def tiles(shape: tuple[int, int], size: int, overlap: int) -> Iterator[Tile]:
    """Tiles of at most size x size pixels that cover a picture (H, W), neighbours sharing about `overlap` pixels, a
    quarter of the size at most.

    Their weights rise and fall linearly where they overlap and sum to one at every pixel.
    """
    rows, columns = (_spans(length, size, overlap) for length in shape)
    for y, down in rows:
        for x, across in columns:
            yield Tile(y, x, down[:, None] * across)


def _spans(length: int, size: int, overlap: int) -> list[tuple[slice, Floats]]:
    """The tiles' extents along one axis, with their weights along it."""
    count = 1 if length <= size else -(-(length - overlap) // (size - overlap))
    # All of one size, so that only neighbours overlap.
    size = -(-(length + (count - 1) * overlap) // count)
    starts = [round(i * (length - size) / (count - 1)) for i in range(count)] if count > 1 else [0]
    spans = []
    for i, start in enumerate(starts):
        stop = min(start + size, length)
        weight = np.ones(stop - start, np.float32)
        if i > 0:
            shared = starts[i - 1] + size - start
            weight[:shared] = _ramp(shared)
        if i + 1 < count:
            shared = stop - starts[i + 1]
            weight[-shared:] = _ramp(shared)[::-1]
        spans.append((slice(start, stop), weight))
    return spans


def _ramp(length: int) -> Floats:
    return np.asarray((np.arange(length) + 0.5) / length, np.float32)


def _blocks(image: Floats, factor: int) -> Floats:
    h, w = image.shape
    return image.reshape(h // factor, factor, w // factor, factor)
