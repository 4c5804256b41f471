"""A picture on its way into a project as the key of a frame: laid onto the frame, with what was found about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app import coloring
from app.keyframes import Keyframe, read_keyframe, register_key
from propagation.video.frame import Frame
from propagation.video.images import read_image


def read_picture_for(frame: Frame, path: Path) -> tuple[NDArray[Any], str]:
    """The picture in `path` as it lies on `frame`, RGB or RGBA code values, and a sentence about what was done.

    A picture that fits, and one with an alpha channel, which holds hints, come as they are with an empty sentence. What
    a moved picture does not show of the frame is transparent. Raises MediaError where the file is no picture, HintError
    where it shows something else.
    """
    image = read_image(path).image
    if image.shape[2] == 4 and (image[..., 3] < np.iinfo(image.dtype).max).any():
        return image, ""
    key = Keyframe(frame.index, "key", path, image)
    lab = coloring.lab_of(frame)
    lies = register_key(key, lab[..., 0], frame.tags)
    if lies.fits:
        return image, lies.remark()
    height, width = lab.shape[:2]
    painted = read_keyframe(key, width, height, frame.tags, lies)
    laid = coloring.recolor(frame, lab[..., 0], painted.ab).image[..., :3]
    if painted.is_whole:
        return laid, lies.remark()
    shown = np.rint(painted.strength * np.iinfo(laid.dtype).max).astype(laid.dtype)
    return np.dstack([laid, shown]), lies.remark()
