"""Sparse hints taken from a picture in color: what `hints sample` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app import coloring
from app.jobs import refuse_target


@dataclass(frozen=True)
class SampleSettings:
    """`count` hints of a `kind` (superpixels, patches, strokes) for `image`, in the colors of `reference`."""

    image: Path
    reference: Path
    out: Path
    kind: str = "superpixels"
    count: int = 300
    seed: int = 0
    force: bool = False


def sample_hints(settings: SampleSettings) -> int:
    """Writes the hints as an RGBA PNG, alpha 255 where there is one; returns how many pixels are.

    Superpixels are those of the image's lightness, strokes stay inside regions of the reference's color. Raises
    MediaError, HintError where the two differ in size, OutputError.
    """
    from propagation.errors import HintError
    from propagation.hints import GENERATORS, PATCH_SIDE_PX
    from propagation.video.images import read_image, write_image

    frame, reference = read_image(settings.image), read_image(settings.reference)
    (height, width), (other_height, other_width) = frame.image.shape[:2], reference.image.shape[:2]
    if (height, width) != (other_height, other_width):
        raise HintError(
            f"the reference is {other_width}x{other_height}, the picture {width}x{height}",
            path=settings.reference,
            advice="Give the same picture in color",
        )
    if settings.kind == "patches" and min(height, width) < PATCH_SIDE_PX:
        raise HintError(f"a picture of {width}x{height} has no room for a patch", path=settings.image)
    refuse_target(settings.out, settings.force, (settings.image, settings.reference))
    lab = coloring.lab_of(reference)
    seen = np.dstack([coloring.lightness_of(frame), lab[..., 1:]])
    hints = GENERATORS[settings.kind](seen, settings.count, np.random.default_rng(settings.seed))
    colored = coloring.recolor(reference, lab[..., 0], hints.ab).image[..., :3]
    alpha = np.where(hints.mask[..., None], np.iinfo(colored.dtype).max, 0).astype(colored.dtype)
    write_image(settings.out, np.where(alpha > 0, np.dstack([colored, alpha]), 0), overwrite=settings.force)
    return int(hints.mask.sum())
