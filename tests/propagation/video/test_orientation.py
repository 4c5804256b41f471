"""Pictures stored on their side are shown upright: the display matrix worked out point by point."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from propagation.video.orientation import Orientation
from propagation.video.reader import open_clip
from tests.media import make_clip

QUARTERS = [(rotation, mirrored) for rotation in (0, 90, 180, 270) for mirrored in (False, True)]


def stored_and_matrix(path: Path) -> tuple[NDArray[Any], tuple[int, ...]]:
    """The first picture as it lies in the file, and its display matrix; FFmpeg does not turn pictures itself."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        data = frame.side_data
        matrix = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
        if Type.DISPLAYMATRIX in data:
            matrix = struct.unpack("<9i", bytes(data[Type.DISPLAYMATRIX]))
        return frame.to_ndarray(format="rgb24"), matrix


def shown(stored: NDArray[Any], matrix: tuple[int, ...]) -> NDArray[Any]:
    """Every pixel moved by the matrix of ISO/IEC 14496-12: (p, q, 1) = (x, y, 1) M, then brought back to the origin."""
    height, width = stored.shape[:2]
    a, b, _, c, d, *_rest = (np.sign(value) for value in matrix)
    y, x = np.mgrid[:height, :width]
    p, q = a * x + c * y, b * x + d * y
    p, q = p - p.min(), q - q.min()
    turned = np.empty((q.max() + 1, p.max() + 1, stored.shape[2]), stored.dtype)
    turned[q, p] = stored
    return turned


@pytest.mark.parametrize(("rotation", "mirrored"), QUARTERS)
def test_pictures_are_shown_upright(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=3, rotation=rotation, mirrored=mirrored)
    stored, matrix = stored_and_matrix(path)
    wanted = shown(stored, matrix)
    with open_clip(path) as clip:
        image = clip.frame(0).image
        assert (clip.info.height, clip.info.width) == image.shape[:2] == wanted.shape[:2]
        assert np.abs(image.astype(int) - wanted).max() <= 4  # to_ndarray converts with swscale's coarse defaults
        assert image.flags.c_contiguous


def test_counterclockwise_and_clockwise_are_told_apart(tmp_path: Path) -> None:
    """FFmpeg counts angles counterclockwise, so its 90 needs a clockwise turn of 270."""
    with open_clip(make_clip(tmp_path / "clip.mp4", frames=3, rotation=90)) as clip:
        assert (clip.info.rotation, clip.info.mirrored) == (270, False)
        assert (clip.info.width, clip.info.height) == (48, 64)


def test_pixels_that_are_not_square_lie_on_their_side_too(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=3, rotation=90, sample_aspect=Fraction(4, 3))
    with open_clip(path) as clip:
        assert clip.info.sample_aspect == Fraction(3, 4)


def test_an_angle_between_is_ignored_and_told(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.mp4", frames=3, rotation=30)) as clip:
        assert (clip.info.width, clip.info.rotation) == (64, 0)
        assert any("rotation" in problem for problem in clip.info.problems)


def test_turning_and_mirroring_in_that_order() -> None:
    image = np.arange(6).reshape(2, 3, 1)
    np.testing.assert_array_equal(Orientation(90).apply(image)[..., 0], [[3, 0], [4, 1], [5, 2]])
    np.testing.assert_array_equal(Orientation(90, mirrored=True).apply(image)[..., 0], [[5, 2], [4, 1], [3, 0]])
