"""EXR pictures: exact round trips, chromaticities, windows, layers, and what is refused before it is read."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from propagation.color.primaries import BT709, BT2020
from propagation.errors import LimitError, MediaError, OutputError
from propagation.video.exr import fits_half, read_exr, read_exr_header, write_exr


def light(height: int = 6, width: int = 8) -> np.ndarray:
    """Radiances over ten decades, negative ones among them, all of which half precision holds."""
    values = np.geomspace(1e-5, 6e4, height * width * 3).reshape(height, width, 3)
    values[0, 0] = (-0.5, 0.0, 2.0)
    return values.astype(np.float16).astype(np.float32)


def save(path: Path, channels: dict[str, np.ndarray], **header: object) -> Path:
    # The library reads channels as if they were contiguous.
    whole = {name: np.ascontiguousarray(channel) for name, channel in channels.items()}
    with OpenEXR.File({"type": OpenEXR.scanlineimage, **header}, whole) as file:
        file.write(str(path))
    return path


@pytest.mark.parametrize("compression", ["zip", "piz"])
@pytest.mark.parametrize("pixel_type", ["half", "float"])
def test_what_goes_in_comes_out(tmp_path: Path, compression: str, pixel_type: str) -> None:
    path = tmp_path / "a.exr"
    image = light() * (1 if pixel_type == "half" else np.float32(1.00001))
    written = write_exr(
        path, image, pixel_type=pixel_type, compression=compression, chromaticities=BT2020, white_nits=100.0
    )
    back = read_exr(path)
    assert written == pixel_type
    assert back.is_half == (pixel_type == "half")
    np.testing.assert_array_equal(back.image, image)
    assert back.chromaticities.is_like(BT2020)
    assert back.white_nits == 100.0
    with OpenEXR.File(str(path)) as file:  # what another program sees
        np.testing.assert_array_equal(file.channels()["RGB"].pixels, image)


def test_values_above_half_force_float_and_are_never_infinite(tmp_path: Path) -> None:
    image = light()
    image[1, 1] = (65504.0, 65520.0, 1e6)
    assert write_exr(tmp_path / "a.exr", image, pixel_type="half") == "float"
    np.testing.assert_array_equal(read_exr(tmp_path / "a.exr").image, image)
    with pytest.raises(OutputError, match="NaN or infinite"):
        write_exr(tmp_path / "b.exr", np.full((2, 2, 3), np.inf, np.float32))


def test_what_half_holds() -> None:
    assert fits_half(light())
    assert not fits_half(np.full((1, 1, 3), 1e5, np.float32))
    assert not fits_half(np.full((1, 1, 3), 0.1, np.float32))


def test_the_display_window_is_what_is_seen(tmp_path: Path) -> None:
    windows = {
        "dataWindow": (np.array([2, 1], np.int32), np.array([9, 6], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([8, 9], np.int32)),
    }
    path = save(tmp_path / "a.exr", {"RGB": light()}, **windows)
    picture = read_exr(path)
    assert picture.image.shape == (10, 9, 3)
    np.testing.assert_array_equal(picture.image[1:7, 2:9], light()[:, :7])
    assert not picture.image[0].any()
    assert not picture.image[:, :2].any()
    assert "outside the data window" in picture.notes[0]


def test_layers_grey_and_other_channels(tmp_path: Path) -> None:
    planes = {name: light()[..., i] for i, name in enumerate(("beauty.R", "beauty.G", "beauty.B"))}
    layered = read_exr(save(tmp_path / "layer.exr", {**planes, "Z": light()[..., 0]}))
    np.testing.assert_array_equal(layered.image, light())
    assert "Z" in layered.notes[0]
    grey = read_exr(save(tmp_path / "grey.exr", {"Y": light()[..., 0]}))
    np.testing.assert_array_equal(grey.image, np.repeat(light()[..., :1], 3, axis=2))
    with pytest.raises(MediaError, match="no channels R, G and B"):
        read_exr(save(tmp_path / "depth.exr", {"Z": light()[..., 0]}))


def test_a_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    path = save(tmp_path / "a.exr", {"RGB": light()})
    data = bytearray(path.read_bytes())
    for name in (b"dataWindow\0box2i\0", b"displayWindow\0box2i\0"):
        place = data.index(name) + len(name) + 4
        data[place : place + 16] = struct.pack("<4i", 0, 0, 15999, 3999)
    path.write_bytes(data)
    with pytest.raises(LimitError, match="times the file"):
        read_exr(path)


@pytest.mark.parametrize("keep", [6, 40, 200, 330])
def test_a_truncated_file_is_a_typed_error(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "a.exr", {"RGB": light()})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(MediaError):
        read_exr(path)


def test_real_files(shared_data: Path) -> None:
    folder = shared_data / "hdr" / "exr"
    desk = read_exr(folder / "Desk.exr")
    assert desk.image.shape == (874, 644, 3)
    assert desk.chromaticities == BT709
    carrots = read_exr_header(folder / "Carrots.exr")
    assert carrots.chromaticities is not None
    assert carrots.chromaticities.white == pytest.approx((0.32168, 0.33767), abs=1e-5)
    assert read_exr(folder / "Garden.exr").image.shape == (493, 874, 3)
    with pytest.raises(MediaError, match="deep"):
        read_exr(folder / "Balls.exr")
    with pytest.raises(MediaError, match="luma and chroma"):
        read_exr(folder / "Flowers.exr")
