"""HDR key frames as they are handed over: read, and refused or repaired with a word about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from propagation.color.primaries import Chromaticities
from propagation.errors import HintError
from propagation.video.hdr_images import Encoding, HdrImage, converted, read_hdr

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HdrKey:
    """A key for frame `index`. `picture` is the file's, exactly, and goes out like that; `light` (H, W, 3) is what is
    carried: in the clip's primaries, nothing below zero. `notes`: what was repaired or left out."""

    index: int
    path: Path
    picture: HdrImage
    light: Floats
    notes: tuple[str, ...] = ()


def read_key(
    index: int, path: Path, width: int, height: int, primaries: Chromaticities, encoding: Encoding | None = None
) -> HdrKey:
    """The HDR key at `path` for a clip of width x height pixels and `primaries`.

    Raises MissingMediaError, MediaError and LimitError from reading, HintError for another size, for NaN or infinite
    values, and for a picture without light. Negative values, which wide primaries and resampling make, count as no
    light in what is carried, and stay in the key itself.
    """
    picture = read_hdr(path, encoding)
    image = picture.image
    found = (image.shape[1], image.shape[0])
    if found != (width, height):
        raise HintError(_size_words(index, found, (width, height)), path=path, advice=_SIZE_ADVICE)
    bad = ~np.isfinite(image).all(axis=-1)
    if bad.any():
        y, x = (int(places[0]) for places in np.nonzero(bad))
        raise HintError(
            f"the key of frame {index} holds NaN or infinite values in {int(bad.sum())} pixels, the first at {x}, {y}",
            path=path,
            advice="Repair them in the program it comes from; what they were is not guessed",
        )
    if not (image > 0).any():
        raise HintError(f"the key of frame {index} holds no light: nothing in it is above zero", path=path)
    notes = [f"{path.name}: {note}" for note in picture.notes]
    negative = float((image < 0).any(axis=-1).mean())
    if negative:
        notes.append(f"{path.name}: {negative:.1%} of its pixels have negative values; for carrying they count as 0")
    light = np.maximum(converted(image, picture.chromaticities, primaries), 0)
    return HdrKey(index, path, picture, light, tuple(notes))


def check_alike(keys: list[HdrKey]) -> None:
    """Raises HintError where keys have different primaries or white luminances: one clip has one of each."""
    first = keys[0]
    for key in keys[1:]:
        same_primaries = key.picture.chromaticities.is_like(first.picture.chromaticities)
        if not same_primaries or key.picture.white_nits != first.picture.white_nits:
            raise HintError(
                f"the keys of frames {first.index} and {key.index} contradict each other: they state different "
                f"{'luminances of white' if same_primaries else 'primaries'}",
                path=key.path,
                advice="Save all keys alike",
            )


_SIZE_ADVICE = "Save it at the clip's size; nothing is resampled silently"


def _size_words(index: int, found: tuple[int, int], wanted: tuple[int, int]) -> str:
    words = f"the key of frame {index} is {found[0]}x{found[1]} pixels and the clip is {wanted[0]}x{wanted[1]}"
    apart = abs(np.log((found[0] / found[1]) / (wanted[0] / wanted[1])))
    if found == wanted[::-1]:
        return f"{words}: it lies on its side"
    return f"{words}, of another aspect" if apart > 0.01 else words
