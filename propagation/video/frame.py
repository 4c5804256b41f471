"""What leaves the readers: a picture that knows its time and its colour tags, and what is known about a clip."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from propagation.color.tags import ColorTags

Image = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a clip, in display orientation.

    `image` is (H, W, 3) RGB or (H, W, 4) RGBA of full-range code values: uint8 where the source has up to 8 bits, else
    uint16 scaled to 0..65535. Alpha is straight, never premultiplied by us. `pts` counts in `time_base` seconds,
    `index` from 0 in display order.
    """

    image: Image
    pts: int
    tags: ColorTags
    index: int
    time_base: Fraction

    @property
    def time(self) -> Fraction:
        """Presentation time in seconds, exact."""
        return self.pts * self.time_base

    @property
    def bit_depth(self) -> int:
        """8 or 16: the bits the array holds, not the bits the source had."""
        return 8 * int(np.dtype(self.image.dtype).itemsize)


@dataclass(frozen=True)
class ClipInfo:
    """What is known about a clip, a sequence or a still without decoding it all.

    `width` and `height` are pixels in display orientation; `rotation` is the angle in degrees, clockwise, by which the
    stored picture has been turned for that. `pts` has `frame_count` strictly increasing entries in `time_base` seconds.
    `rate` is frames a second, the average where the rate varies. `sample_aspect` is the width of a pixel over its
    height, in display orientation. `bit_depth` is the source's bits a channel. For sequences `files` lists the pictures
    in order and `first_number` is the number in the first one's name. `problems` are sentences a person should read.
    """

    path: Path
    kind: Literal["video", "sequence", "still"]
    width: int
    height: int
    frame_count: int
    rate: Fraction
    time_base: Fraction
    pts: tuple[int, ...]
    tags: ColorTags
    bit_depth: int
    has_alpha: bool = False
    rotation: int = 0
    mirrored: bool = False
    sample_aspect: Fraction = Fraction(1)
    first_number: int = 0
    files: tuple[Path, ...] = ()
    codec: str = ""
    has_audio: bool = False
    problems: tuple[str, ...] = ()

    @property
    def duration(self) -> Fraction:
        """Seconds from the first frame to the end of the last, the last held for 1 / `rate`."""
        return (self.pts[-1] - self.pts[0]) * self.time_base + 1 / self.rate
