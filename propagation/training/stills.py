"""Random crops of photographs and of single frames, as (lightness, true colour, hints) batches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propagation.bench.protocol import to_lab
from propagation.training.film import age, grain
from propagation.training.hints import sample_hints

# Every 49th photograph never trains: the learning curve is drawn on them.
HELD_OUT_EVERY = 49


@dataclass(frozen=True)
class StillBatch:
    lightness: Tensor  # B, 1, H, W, 0 to 100
    color: Tensor  # B, 2, H, W: a* and b*
    values: Tensor  # B, 2, H, W: the hints' colours, 0 where there is none
    strength: Tensor  # B, 1, H, W


def photo_paths(folder: Path) -> tuple[list[Path], list[Path]]:
    """Photographs for training and for the learning curve."""
    files = sorted(f for f in folder.iterdir() if f.suffix.lower() in (".jpg", ".jpeg", ".png"))
    return [f for i, f in enumerate(files) if i % HELD_OUT_EVERY], files[::HELD_OUT_EVERY]


def load_rgb(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(f"{path} is not a readable picture")
    return np.ascontiguousarray(picture[..., ::-1])


def random_crop(rgb: NDArray[np.uint8], size: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A Lab crop (size, size, 3): random scale, aspect, mirrors, turn and saturation."""
    h, w = rgb.shape[:2]
    smallest = size / min(h, w)
    scale = float(np.exp(rng.uniform(np.log(min(1.0, max(smallest, 0.55))), np.log(max(1.0, smallest)))))
    aspect = float(np.exp(rng.uniform(-0.2, 0.2)))
    ch, cw = (min(d, max(8, round(size / scale * f))) for d, f in ((h, aspect**0.5), (w, aspect**-0.5)))
    y, x = int(rng.integers(h - ch + 1)), int(rng.integers(w - cw + 1))
    crop = cv2.resize(
        rgb[y : y + ch, x : x + cw], (size, size), interpolation=cv2.INTER_AREA if ch >= size else cv2.INTER_LINEAR
    )
    # Upside down and lying on its side a picture has the same edges, and nothing to learn by heart.
    for turn in (np.fliplr, np.flipud, lambda picture: picture.swapaxes(0, 1)):
        if rng.random() < 0.5:
            crop = turn(crop)
    lab = to_lab(np.ascontiguousarray(crop))
    lab[..., 1:] *= np.float32(rng.uniform(0.7, 1.3))
    return lab


def flat_field(
    size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A Lab crop (size, size, 3) of one lightness, nearly, with one to four hints, each the color of what is nearest to
    it: values (size, size, 2) and strength (size, size). No photograph has such a place without any edge, a sky in an
    old film has."""
    count = int(rng.integers(1, 5))
    places = rng.integers(0, size, (count, 2))
    colors = rng.uniform(-50, 50, (count, 2)).astype(np.float32)
    rows, columns = np.mgrid[:size, :size]
    nearest = np.argmin([(rows - y) ** 2 + (columns - x) ** 2 for y, x in places], axis=0)
    lab = np.empty((size, size, 3), np.float32)
    lab[..., 0] = np.clip(rng.uniform(0, 100) + grain(lab.shape, rng) * max(0.0, rng.uniform(-0.5, 0.5)), 0, 100)
    lab[..., 1:] = colors[nearest]
    strength, reach = np.zeros((size, size), np.float32), int(rng.integers(0, 6))
    for y, x in places:
        strength[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = 1
    return lab, lab[..., 1:] * strength[..., None], strength


class StillSource:
    """Draws training batches from pictures held in memory as 8-bit RGB; `worn` of them look like old film, `flat` of
    them are fields of one lightness."""

    def __init__(
        self,
        pictures: list[NDArray[np.uint8]],
        size: int = 192,
        batch: int = 6,
        worn: float = 0.35,
        flat: float = 0.02,
    ) -> None:
        self.pictures, self.size, self.batch, self.worn, self.flat = pictures, size, batch, worn, flat

    def draw(self, rng: np.random.Generator) -> StillBatch:
        """One batch; the same generator state gives the same batch."""
        lights, colors, values, strengths = [], [], [], []
        for _ in range(self.batch):
            if rng.random() < self.flat:
                lab, value, strength = flat_field(self.size, rng)
                light = lab[..., 0]
            else:
                lab = random_crop(self.pictures[int(rng.integers(len(self.pictures)))], self.size, rng)
                light = age(lab[..., 0], rng) if rng.random() < self.worn else lab[..., 0]
                value, strength = sample_hints(np.ascontiguousarray(lab[..., 1:]), rng)
            lights.append(light[None])
            colors.append(lab[..., 1:].transpose(2, 0, 1))
            values.append(value.transpose(2, 0, 1))
            strengths.append(strength[None])
        return StillBatch(
            *(
                torch.from_numpy(np.ascontiguousarray(np.stack(p), np.float32))
                for p in (lights, colors, values, strengths)
            )
        )
