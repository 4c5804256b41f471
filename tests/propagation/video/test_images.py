"""Stills in and out: depth, channels, orientation, damage."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from propagation.color.tags import STILL_TAGS
from propagation.errors import LimitError, MediaError, MissingMediaError, OutputError, OutputExistsError
from propagation.video.image_header import read_header
from propagation.video.images import read_image, write_image
from tests.media import picture, write_png


def noise(channels: int, dtype: type, seed: int = 0) -> np.ndarray:
    shape = (31, 45) if channels == 1 else (31, 45, channels)
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_stills_are_read_as_they_are(tmp_path: Path, suffix: str, dtype: type, channels: int) -> None:
    pixels = noise(channels, dtype)
    frame = read_image(write_png(tmp_path / f"still{suffix}", pixels))
    wanted = np.repeat(pixels[..., None], 3, axis=2) if channels == 1 else pixels
    np.testing.assert_array_equal(frame.image, wanted)
    assert frame.image.dtype == dtype
    assert (frame.tags, frame.index, frame.pts) == (STILL_TAGS, 0, 0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_what_is_written_reads_back(tmp_path: Path, dtype: type, channels: int) -> None:
    pixels = noise(channels, dtype)
    write_image(tmp_path / "still.png", pixels)
    wanted = np.repeat(pixels[..., None], 3, axis=2) if channels == 1 else pixels
    np.testing.assert_array_equal(read_image(tmp_path / "still.png").image, wanted)


def test_jpeg(tmp_path: Path) -> None:
    smooth = cv2.GaussianBlur(noise(3, np.uint8), (0, 0), 6)
    frame = read_image(write_png(tmp_path / "still.jpg", smooth))
    assert np.abs(frame.image.astype(int) - smooth).max() < 12
    assert read_image(write_png(tmp_path / "grey.jpeg", smooth[..., 0])).image.shape == (31, 45, 3)


def test_png_with_a_palette_and_with_grey_and_alpha(tmp_path: Path) -> None:
    from PIL import Image  # comes with scikit-image; writes what OpenCV cannot

    rgb = picture(3)
    Image.fromarray(rgb).quantize(256).save(tmp_path / "palette.png")
    assert np.abs(read_image(tmp_path / "palette.png").image[..., :3].astype(int) - rgb).max() <= 2
    grey_alpha = np.dstack([rgb[..., 0], np.full(rgb.shape[:2], 77, np.uint8)])
    Image.fromarray(grey_alpha, "LA").save(tmp_path / "la.png")
    image = read_image(tmp_path / "la.png").image
    np.testing.assert_array_equal(image[..., :3], rgb)
    assert (image[..., 3] == 77).all()


def test_the_orientation_a_camera_noted_is_applied(tmp_path: Path) -> None:
    upright = cv2.GaussianBlur(noise(3, np.uint8), (0, 0), 6)
    path = write_png(tmp_path / "still.jpg", upright)
    data = path.read_bytes()
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)  # orientation 6: turn clockwise to see it
    exif = b"Exif\0\0MM\0*" + struct.pack(">I", 8) + struct.pack(">H", 1) + entry + struct.pack(">I", 0)
    path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    image = read_image(path).image
    assert image.shape == (45, 31, 3)
    assert np.abs(image.astype(int) - np.rot90(upright, -1)).max() < 12


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "text", "cut", "float"])
def test_what_is_no_still(tmp_path: Path, what: str) -> None:
    path = tmp_path / "still.png"
    if what == "folder":
        path.mkdir()
    elif what == "empty":
        path.touch()
    elif what == "text":
        path.write_text("not a picture")
    elif what == "cut":
        path.write_bytes(write_png(path, noise(3, np.uint8)).read_bytes()[:40])
    elif what == "float":
        path = tmp_path / "still.tiff"
        assert cv2.imwrite(str(path), np.zeros((5, 5, 3), np.float32))
    with pytest.raises(MissingMediaError if what == "missing" else MediaError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_every_cut_of_a_still_is_read_or_refused(tmp_path: Path, suffix: str) -> None:
    data = write_png(tmp_path / f"still{suffix}", noise(3, np.uint8)).read_bytes()
    path = tmp_path / f"cut{suffix}"
    for kept in [*range(1, 60), *range(60, len(data), len(data) // 20)]:
        path.write_bytes(data[:kept])
        try:
            assert read_image(path).image.shape == (31, 45, 3)
        except MediaError as error:
            assert error.path == path


@pytest.mark.parametrize(("suffix", "place", "code"), [(".png", 16, ">II"), (".tif", None, "<I")])
def test_a_still_that_claims_too_much_is_refused_by_its_header(
    tmp_path: Path, suffix: str, place: int | None, code: str
) -> None:
    path = write_png(tmp_path / f"still{suffix}", noise(3, np.uint8))
    data = bytearray(path.read_bytes())
    if place is not None:
        struct.pack_into(code, data, place, 60_000, 60_000)
    else:
        (start,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from("<H", data, entry)[0] in (256, 257):
                struct.pack_into("<HIHH", data, entry + 2, 3, 1, 60_000, 0)
    path.write_bytes(data)
    with pytest.raises(LimitError):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("channels", [1, 3])
def test_headers_tell_size_and_channels(tmp_path: Path, suffix: str, channels: int) -> None:
    header = read_header(write_png(tmp_path / f"still{suffix}", noise(channels, np.uint8)))
    assert header is not None
    assert (header.width, header.height, header.bits, header.channels) == (45, 31, 8, channels)


def test_depth_in_a_header(tmp_path: Path) -> None:
    for suffix in (".png", ".tif"):
        header = read_header(write_png(tmp_path / f"still{suffix}", noise(3, np.uint16)))
        assert header is not None and header.bits == 16


def test_an_existing_picture_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "still.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        write_image(path, noise(3, np.uint8))
    assert path.read_bytes() == b"mine"
    write_image(path, noise(3, np.uint8), overwrite=True)
    assert read_image(path).image.shape == (31, 45, 3)
    assert [file.name for file in tmp_path.iterdir()] == ["still.png"]


def test_only_png_is_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.png"):
        write_image(tmp_path / "still.jpg", noise(3, np.uint8))
    with pytest.raises(OutputError, match="float32"):
        write_image(tmp_path / "still.png", np.zeros((4, 4, 3), np.float32))
    assert not list(tmp_path.iterdir())
