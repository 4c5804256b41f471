"""What old film and bad copies do to a luminance picture: grain, blur, scratches, compression, another tone curve."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Wear:
    """How a whole clip is worn: L* of grain, pixels of blur, share by which exposure flickers."""

    grain: float
    blur: float
    flicker: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Wear:
        """From nearly clean to badly worn."""
        return cls(float(rng.uniform(0, 5)), float(rng.uniform(0, 1.2)), float(rng.uniform(0, 0.04)))

    def on(self, lightness: Floats, rng: np.random.Generator) -> Floats:
        """L* (H, W), 0 to 100, of one of its frames."""
        light = lightness
        if self.blur > 0.3:
            light = np.asarray(cv2.GaussianBlur(light, (0, 0), self.blur), np.float32)
        exposure = np.float32(1 + self.flicker * rng.standard_normal())
        worn = light * exposure + grain(light.shape, rng) * np.float32(self.grain)
        return np.clip(worn, 0, 100).astype(np.float32)


def age(lightness: Floats, rng: np.random.Generator) -> Floats:
    """L* (H, W), 0 to 100, after a random mixture of wear; colour stays what it was, only the guide suffers."""
    out = lightness
    if rng.random() < 0.5:
        toned = 100 * np.clip(out / 100, 0, 1) ** np.exp(rng.uniform(-0.4, 0.4))
        out = np.asarray(toned, np.float32)
    if rng.random() < 0.4:
        out = np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.6)), np.float32)
    if rng.random() < 0.6:
        out = out + grain(out.shape, rng) * np.float32(rng.uniform(0.5, 6))
    if rng.random() < 0.25:
        out = scratch(out, rng)
    if rng.random() < 0.4:
        quality = int(rng.integers(15, 70))
        coded = cv2.imencode(".jpg", np.clip(out * 2.55, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])[
            1
        ]
        out = np.asarray(cv2.imdecode(coded, cv2.IMREAD_GRAYSCALE), np.float32) / np.float32(2.55)
    return np.clip(out, 0, 100).astype(np.float32)


def grain(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Unit-variance noise with the softness of film grain, (H, W)."""
    noise = rng.standard_normal(shape[:2], np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.3, 1.2)), np.float32)
    return (noise / max(1e-6, float(noise.std()))).astype(np.float32)


def scratch(lightness: Floats, rng: np.random.Generator) -> Floats:
    """A few nearly vertical scratches and some dust, bright or dark."""
    out = lightness.copy()
    h, w = out.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        x, level = int(rng.integers(w)), float(rng.choice([5.0, 95.0]))
        cv2.line(out, (x, 0), (x + int(rng.integers(-4, 5)), h), level, 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 12))):
        cv2.circle(
            out,
            (int(rng.integers(w)), int(rng.integers(h))),
            int(rng.integers(1, 3)),
            float(rng.choice([5.0, 95.0])),
            -1,
        )
    return out
