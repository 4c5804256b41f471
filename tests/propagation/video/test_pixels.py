"""Coded values to RGB and back, against the equations of H.273 worked out here in float64."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from propagation.video.frame import Frame
from propagation.video.pixels import to_coded
from propagation.video.reader import open_clip
from tests.media import make_clip, make_planes, picture

WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
# Code values of 8 or 16-bit RGB; 0.51 is rounding plus swscale's fixed-point arithmetic.
TOLERANCE = {8: 0.51, 16: 0.55}


def signals(planes: list[NDArray[Any]], bits: int, full: bool, matrix: int) -> NDArray[np.float64]:
    """R'G'B' 0..1 of coded Y, Cb, Cr; H.273 (07/2021) equations 20 to 28 and 38 to 40, solved for RGB."""
    red, blue = WEIGHTS[matrix]
    unit = 2.0 ** (bits - 8)
    luma, cb, cr = (plane.astype(np.float64) for plane in planes)
    middle = 2.0 ** (bits - 1)
    if full:
        peak = 2.0**bits - 1
        luma, cb, cr = luma / peak, (cb - middle) / peak, (cr - middle) / peak
    else:
        luma, cb, cr = (luma - 16 * unit) / (219 * unit), (cb - middle) / (224 * unit), (cr - middle) / (224 * unit)
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / (1 - red - blue)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1)


def coded_blocks(bits: int, seed: int) -> list[NDArray[Any]]:
    """Three planes of random 8 x 8 blocks within the legal range, with black and white among them; (48, 64)."""
    unit = 2 ** (bits - 8)
    rng = np.random.default_rng(seed)
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    planes = []
    for low, high, first, second in ((16, 235, 16, 235), (60, 196, 128, 128), (60, 196, 128, 128)):
        small = rng.integers(low * unit, high * unit + 1, (6, 8))
        small[0, 0], small[0, 1] = first * unit, second * unit
        planes.append(np.kron(small, np.ones((8, 8), int)).astype(dtype))
    return planes


def subsampled(planes: list[NDArray[Any]], pixel_format: str) -> list[NDArray[Any]]:
    rows = 2 if "420" in pixel_format else 1
    columns = 1 if "444" in pixel_format else 2
    return [planes[0], *(plane[::rows, ::columns] for plane in planes[1:])]


FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le", "yuv444p16le"]


def depth_of(pixel_format: str) -> int:
    digits = pixel_format.removesuffix("le").rpartition("p")[2]
    return int(digits) if digits else 8


@pytest.mark.parametrize("matrix", [1, 6, 7, 9])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_yuv_is_read_with_the_matrix_and_range_stated(
    tmp_path: Path, pixel_format: str, full: bool, matrix: int
) -> None:
    bits = depth_of(pixel_format)
    planes = coded_blocks(bits, seed=matrix)
    tags = (1, 1, matrix, 2 if full else 1)
    path = make_planes(tmp_path / "clip.mkv", subsampled(planes, pixel_format), pixel_format, tags=tags)
    with open_clip(path) as clip:
        assert (clip.info.tags.matrix, clip.info.tags.range, clip.info.bit_depth) == (matrix, int(full), bits)
        assert clip.info.tags.guessed == ()
        image = clip.frame(0).image
    out_bits = 8 if bits == 8 else 16
    assert image.dtype == (np.uint8 if bits == 8 else np.uint16)
    # The middles of the blocks, where chroma is not mixed with the neighbours'.
    wanted = signals([plane[4::8, 4::8] for plane in planes], bits, full, matrix) * (2**out_bits - 1)
    assert np.abs(image[4::8, 4::8] - wanted).max() <= TOLERANCE[out_bits]
    if not full:
        assert (image[4, 4] == 0).all()
        assert (image[4, 12] == 2**out_bits - 1).all()


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_every_code_of_a_deep_source_stays_apart(tmp_path: Path, bits: int) -> None:
    """Nothing passes through 8 bits: as many grey levels leave as went in."""
    levels = np.linspace(16 * 2 ** (bits - 8), 235 * 2 ** (bits - 8), 64 * 48).astype("<u2").reshape(48, 64)
    chroma = np.full((48, 64), 2 ** (bits - 1), "<u2")
    path = make_planes(tmp_path / "clip.mkv", [levels, chroma, chroma], f"yuv444p{bits}le", tags=(1, 1, 1, 1))
    with open_clip(path) as clip:
        image = clip.frame(0).image
    assert len(np.unique(image[..., 1])) == len(np.unique(levels))


@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("full", [False, True], ids=["limited", "full"])
def test_grey_becomes_three_equal_channels(tmp_path: Path, bits: int, full: bool) -> None:
    dtype = np.uint8 if bits == 8 else np.dtype("<u2")
    unit = 2 ** (bits - 8)
    codes = np.linspace(16 * unit, 235 * unit, 64 * 48).astype(dtype).reshape(48, 64)
    name = "gray" if bits == 8 else f"gray{bits}le"
    path = make_planes(tmp_path / "clip.mkv", [codes], name, tags=(1, 1, 2, 2 if full else 1))
    with open_clip(path) as clip:
        frame = clip.frame(0)
    peak = 255 if bits == 8 else 65535
    low, span = (0, 2**bits - 1) if full else (16 * unit, 219 * unit)
    wanted = (codes.astype(np.float64) - low) / span * peak
    assert frame.tags.range == int(full)
    assert np.abs(frame.image[..., 0] - wanted).max() <= 0.51
    assert (frame.image == frame.image[..., :1]).all()


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_deep_rgb_keeps_its_ends_and_every_level(tmp_path: Path, bits: int) -> None:
    peak = 2**bits - 1
    codes = np.linspace(0, peak, 64 * 48).astype("<u2").reshape(48, 64)
    planes = [codes, codes[::-1].copy(), codes[:, ::-1].copy()]  # green, blue, red
    path = make_planes(tmp_path / "clip.mkv", planes, f"gbrp{bits}le")
    with open_clip(path) as clip:
        frame = clip.frame(0)
    wanted = np.stack([planes[2], planes[0], planes[1]], axis=-1) * (65535 / peak)
    assert np.abs(frame.image - wanted).max() <= 0.51
    assert (frame.tags.matrix, frame.tags.range, frame.tags.transfer) == (0, 1, 13)


def test_rgb_of_8_bits_is_untouched(tmp_path: Path) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    bgr0 = np.dstack([rgb[..., ::-1], np.zeros((48, 64, 1), np.uint8)])
    path = make_planes(tmp_path / "clip.mkv", [bgr0], "bgr0")
    with open_clip(path) as clip:
        np.testing.assert_array_equal(clip.frame(0).image, rgb)


def test_alpha_of_a_deep_source_is_full_range(tmp_path: Path) -> None:
    chroma = np.full((48, 64), 512, "<u2")
    luma = np.full((48, 64), 940, "<u2")
    alpha = np.linspace(0, 1023, 64 * 48).astype("<u2").reshape(48, 64)
    planes = [luma, chroma, chroma, alpha]
    path = make_planes(tmp_path / "clip.mkv", planes, "yuva444p10le", tags=(1, 1, 1, 1))
    with open_clip(path) as clip:
        assert clip.info.has_alpha
        image = clip.frame(0).image
    assert image.shape == (48, 64, 4)
    assert (image[..., :3] == 65535).all()
    assert np.abs(image[..., 3] - alpha * (65535 / 1023)).max() <= 0.51


def test_alpha_of_8_bits(tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (48, 64, 4), dtype=np.uint8)
    path = make_planes(tmp_path / "clip.mkv", [rgba[..., [2, 1, 0, 3]].copy()], "bgra")
    with open_clip(path) as clip:
        assert clip.info.has_alpha
        np.testing.assert_array_equal(clip.frame(0).image, rgba)


def test_alpha_beside_the_picture_in_webm(tmp_path: Path) -> None:
    """FFmpeg's own VP9 decoder drops this plane without a word."""
    path = tmp_path / "clip.webm"
    frames = 12
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=25, options={"deadline": "realtime", "crf": "10", "g": "4"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva420p"
        stream.metadata["alpha_mode"] = "1"
        for n in range(frames):
            rgba = np.dstack([picture(n), np.full((48, 64), 20 * n, np.uint8)])
            frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format="yuva420p")
            frame.pts, frame.time_base = n, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with open_clip(path) as clip:
        assert clip.info.has_alpha
        alphas = [float(frame.image[..., 3].mean()) for frame in clip.frames()]
        assert np.abs(np.array(alphas) - 20 * np.arange(frames)).max() < 6
        assert abs(float(clip.frame(9).image[..., 3].mean()) - 180) < 6


@pytest.mark.parametrize("matrix", [1, 9])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("target", ["yuv420p", "yuv420p10le"])
def test_color_bars_are_coded_with_the_matrix_asked_for(dtype: Any, target: str, matrix: int) -> None:
    peak = np.iinfo(dtype).max
    bars = [[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)] + [[0.75, 0.2, 0.5], [0.18, 0.18, 0.18]]
    rgb = np.kron(np.rint(np.array([bars]) * peak), np.ones((16, 16, 1))).astype(dtype)
    coded = to_coded(rgb, VideoReformatter(), target, matrix)
    bits = 8 if target == "yuv420p" else 10
    unit = 2 ** (bits - 8)
    red, blue = WEIGHTS[matrix]
    signal = np.rint(np.array(bars) * peak) / peak
    luma = signal @ [red, 1 - red - blue, blue]
    wanted = [
        16 * unit + 219 * unit * luma,
        128 * unit + 224 * unit * (signal[:, 2] - luma) / (2 * (1 - blue)),
        128 * unit + 224 * unit * (signal[:, 0] - luma) / (2 * (1 - red)),
    ]
    for plane, codes, step in zip(coded.planes, wanted, (16, 8, 8), strict=True):
        lines = np.frombuffer(memoryview(plane), np.uint8 if bits == 8 else "<u2")
        lines = lines.reshape(plane.height, -1)[plane.height // 2, step // 2 : plane.width : step]
        # From 16 to 8 bits swscale dithers, which may take the other neighbour.
        assert np.abs(lines - codes).max() <= (1.0 if dtype == np.uint16 and bits == 8 else 0.6)
    assert (coded.colorspace, coded.color_range) == (matrix, 1)


def test_a_frame_tells_its_time_and_depth(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.mp4")) as clip:
        frame = clip.frame(5)
    assert isinstance(frame, Frame)
    assert (frame.time, frame.bit_depth) == (Fraction(1, 5), 8)
