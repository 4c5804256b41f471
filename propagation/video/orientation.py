"""How a stored picture must be turned for display: the 3 x 3 display matrix of ISO/IEC 14496-12, clause 6.2."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray


@dataclass(frozen=True)
class Orientation:
    """Mirror left to right first (if `mirrored`), then turn `clockwise` degrees (0, 90, 180, 270)."""

    clockwise: int = 0
    mirrored: bool = False
    skewed: bool = False  # the matrix is no multiple of 90 degrees; it is then ignored

    @property
    def swaps_sides(self) -> bool:
        """Whether width and height change places."""
        return self.clockwise in (90, 270)

    def apply(self, image: NDArray[Any]) -> NDArray[Any]:
        """The picture (H, W, C) as it is to be seen; a contiguous array."""
        if self.mirrored:
            image = image[:, ::-1]
        return np.ascontiguousarray(np.rot90(image, -self.clockwise // 90))


def orientation_of(frame: VideoFrame) -> Orientation:
    """The orientation a decoded picture asks for."""
    # PyAV's stub calls this a TypedDict with one key; it is a mapping over `Type`.
    side_data = cast(Mapping[Type, Any], frame.side_data)
    if Type.DISPLAYMATRIX not in side_data:
        return Orientation()
    # x' = a x + c y, y' = b x + d y, with y pointing down; fixed point, only signs and zeros matter here.
    a, b, _, c, d, *_rest = struct.unpack("<9i", bytes(side_data[Type.DISPLAYMATRIX]))
    if a and d and not b and not c:
        return Orientation(180 if d < 0 else 0, mirrored=(a < 0) != (d < 0))
    if b and c and not a and not d:
        mirrored = (b > 0) == (c > 0)
        return Orientation(90 if (b > 0) != mirrored else 270, mirrored)
    return Orientation(skewed=True)
