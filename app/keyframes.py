"""Key frames and hints as a user hands them over: read, checked against the clip, brought to the work size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from propagation.errors import HintError, RangeError

if TYPE_CHECKING:
    from propagation.registration import Registration
    from propagation.video.frame import ColorTags

Float = NDArray[np.float32]

# A hint that covers less than half of a pixel at work size counts only where no neighbour is covered more: thin
# strokes survive the smaller size, and thick ones do not grow over the edge they were painted along.
_HALF = 0.5


@dataclass(frozen=True)
class Keyframe:
    """What the user says about one frame: a full edited picture (`key`) or colors where alpha > 0 (`hints`).

    The picture comes from `path`, or is given as `image`, (H, W, 3) or (H, W, 4) code values of the clip's own color.
    """

    index: int
    kind: Literal["key", "hints"]
    path: Path | None = None
    image: NDArray[np.uint8] | NDArray[np.uint16] | None = field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """Names it for a message."""
        return f"the {'key' if self.kind == 'key' else 'hints'} of frame {self.index}"


@dataclass(frozen=True)
class Painted:
    """A key frame at the clip's size.

    `ab`: (H, W, 2) float32. `strength`: (H, W) float32 in 0..1, everywhere 1 for a picture of the whole frame.
    """

    ab: Float
    strength: Float

    @property
    def is_whole(self) -> bool:
        """Whether the color of every pixel is said."""
        return bool(self.strength.min() >= 1)


def check_keyframes(keyframes: Iterable[Keyframe], frame_count: int) -> None:
    """Raises HintError for none at all or two on one frame, RangeError for a frame outside the clip."""
    seen: set[int] = set()
    for keyframe in keyframes:
        if not 0 <= keyframe.index < frame_count:
            raise RangeError(
                f"{keyframe.label} lies outside the clip, which has frames 0 to {frame_count - 1}",
                path=keyframe.path,
                advice="Frames count from 0 whatever the numbers in the file names; `info CLIP` shows the offset",
            )
        if keyframe.index in seen:
            raise HintError(
                f"frame {keyframe.index} is given twice",
                path=keyframe.path,
                advice="Give each frame one key or one hints picture; both in one picture works as hints",
            )
        seen.add(keyframe.index)
    if not seen:
        raise HintError("there is neither a key nor a hint", advice="Add --key N=IMAGE or --hints N=IMAGE")


def read_keyframe(
    keyframe: Keyframe, width: int, height: int, tags: ColorTags, lies: Registration | None = None
) -> Painted:
    """Reads a key frame in the clip's own color, `tags`; `lies`: how a key lies on its frame, where that was found.

    Raises MediaError where the file is none, HintError for another size than width x height, for hints without an
    alpha channel, and for hints where nothing is painted.
    """
    image = _image_of(keyframe)
    if lies is not None:
        ab, shown = lies.apply(_lab_of(image, tags))
        return Painted(ab, shown.astype(np.float32))
    if image.shape[:2] != (height, width):
        raise HintError(
            f"{keyframe.label} is {image.shape[1]}x{image.shape[0]} pixels and the clip is {width}x{height}",
            path=keyframe.path,
            advice="Save it at the clip's size; nothing is resampled silently",
        )
    return Painted(_lab_of(image, tags)[..., 1:], _strength(keyframe, image))


def register_key(keyframe: Keyframe, lightness: Float, tags: ColorTags) -> Registration:
    """How a full picture lies on its frame, `lightness` (H, W) as L*: moved, scaled, graded, or as it should.

    Raises MediaError where the file is none, HintError where it shows something else.
    """
    from propagation.registration import register

    key = np.ascontiguousarray(_lab_of(_image_of(keyframe), tags)[..., 0])
    return register(keyframe.index, key, np.ascontiguousarray(lightness), keyframe.path)


def _image_of(keyframe: Keyframe) -> NDArray[Any]:
    from propagation.video.images import read_image

    if keyframe.image is not None:
        return keyframe.image
    if keyframe.path is None:
        raise HintError(f"{keyframe.label} has neither a file nor a picture")
    return read_image(keyframe.path).image


def _lab_of(image: NDArray[Any], tags: ColorTags) -> Float:
    from propagation.color.lab import frame_to_lab

    return frame_to_lab(np.ascontiguousarray(image[..., :3]), tags)


def _strength(keyframe: Keyframe, image: NDArray[np.uint8] | NDArray[np.uint16]) -> Float:
    if keyframe.kind == "key":
        return np.ones(image.shape[:2], np.float32)
    if image.shape[2] < 4:
        raise HintError(
            f"{keyframe.label} has no alpha channel, so nothing says which pixels are hints",
            path=keyframe.path,
            advice="Save it as an RGBA PNG with alpha 0 where nothing is painted, or give a full frame with --key",
        )
    strength: Float = image[..., 3].astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    if not strength.any():
        raise HintError(
            f"{keyframe.label} holds no hint: alpha is 0 everywhere", path=keyframe.path, advice="Paint at least a dot"
        )
    return strength


def work_shape(height: int, width: int, size: int) -> tuple[int, int]:
    """Height and width at work size: the shorter side at most `size`, both even, as the protocol has it."""
    scale = min(1.0, size / min(height, width))
    tall, wide = (max(2, round(side * scale / 2) * 2) for side in (height, width))
    return tall, wide


def shrink(plane: Float, shape: tuple[int, int]) -> Float:
    """Area average of (H, W) or (H, W, C) at (height, width) `shape`."""
    import cv2

    if plane.shape[:2] == shape:
        return plane
    return np.asarray(cv2.resize(plane, shape[::-1], interpolation=cv2.INTER_AREA), np.float32)


def shrink_hints(painted: Painted, shape: tuple[int, int]) -> tuple[Float, Float]:
    """Hints at work size: ab averaged over what is painted, and the strength it was painted with.

    A hint keeps its strength however thin its stroke is; returns (h, w, 2) and (h, w) float32.
    """
    import cv2

    if painted.strength.shape == shape:
        return painted.ab, painted.strength
    inked = (painted.strength > 0).astype(np.float32)
    cover = shrink(inked, shape)
    weight = shrink(painted.strength, shape)
    values = shrink(painted.ab * painted.strength[..., None], shape) / np.maximum(weight, 1e-6)[..., None]
    kept = (cover >= _HALF) | ((cover > 0) & (cover >= cv2.dilate(cover, np.ones((3, 3), np.uint8)) - 1e-6))
    strength = np.where(kept, weight / np.maximum(cover, 1e-6), 0).astype(np.float32)
    return np.where(kept[..., None], values, 0).astype(np.float32), strength
