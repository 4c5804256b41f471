"""HDR pictures of every kind: what comes in is light, what goes out comes back, what is wrong is said."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from propagation.color.pq import pq_inverse_eotf
from propagation.color.primaries import BT709, BT2020
from propagation.errors import MediaError, OutputError, OutputExistsError
from propagation.video.cicp import Cicp, read_cicp, with_cicp
from propagation.video.hdr_images import HdrImage, read_hdr
from propagation.video.hdr_writer import HdrFormat, HdrWriter, hdr_pattern, write_hdr
from tests.propagation.video.test_exr import light


def png16(path: Path, codes: np.ndarray, tag: Cicp | None) -> Path:
    data = cv2.imencode(".png", np.ascontiguousarray(codes[..., ::-1]))[1].tobytes()
    path.write_bytes(data if tag is None else with_cicp(data, tag))
    return path


def positive() -> np.ndarray:
    return np.abs(light())


def test_pq_codes_become_light_and_the_same_codes_again(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(0, 65536, (7, 9, 3)).astype(np.uint16)
    codes[0, 0] = round(65535 * float(pq_inverse_eotf(np.array(203.0))))
    path = png16(tmp_path / "a.png", codes, Cicp(9, 16))
    picture = read_hdr(path)
    assert picture.encoding == "pq"
    assert picture.chromaticities == BT2020
    np.testing.assert_allclose(picture.image[0, 0], 1.0, rtol=1e-3)
    write_hdr(tmp_path / "b.png", picture.image, picture)
    back = cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(back, codes)
    assert read_cicp(tmp_path / "b.png") == Cicp(9, 16)


def test_hlg_codes_become_light_and_the_same_codes_again(tmp_path: Path) -> None:
    codes = np.random.default_rng(1).integers(0, 65536, (7, 9, 3)).astype(np.uint16)
    picture = read_hdr(png16(tmp_path / "a.png", codes, None), "hlg")
    assert read_hdr(png16(tmp_path / "w.png", np.full_like(codes, 49151), Cicp(9, 18))).image == pytest.approx(1, 1e-3)
    write_hdr(tmp_path / "b.png", picture.image, picture, HdrFormat(encoding="hlg"))
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "b.png"), cv2.IMREAD_UNCHANGED)[..., ::-1], codes)


def test_the_chunk_is_where_the_standard_wants_it(tmp_path: Path) -> None:
    data = png16(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint16), Cicp(9, 16)).read_bytes()
    place = data.index(b"cICP")
    assert data[12:16] == b"IHDR"
    assert place < data.index(b"IDAT")
    assert data[place + 4 : place + 8] == bytes((9, 16, 0, 1))
    assert struct.unpack(">I", data[place + 8 : place + 12])[0] == zlib.crc32(data[place : place + 8])


@pytest.mark.parametrize(
    ("name", "tolerance"), [("a.exr", 0.0), ("a.tif", 0.0), ("a.hdr", 0.0079), ("a.png", 0.0006)]
)
def test_every_kind_comes_back(tmp_path: Path, name: str, tolerance: float) -> None:
    # RGBE rounds to 1/256 of a power of two below the largest channel; 16-bit PQ to half a code at most.
    image = np.clip(positive(), 1e-3, 40).astype(np.float16).astype(np.float32)
    image[..., 1:] = image[..., :1]
    write_hdr(tmp_path / name, image, HdrImage(image))
    back = read_hdr(tmp_path / name)
    np.testing.assert_allclose(back.image, image, rtol=tolerance or 1e-7)  # grey is grey in all primaries
    with pytest.raises(OutputExistsError):
        write_hdr(tmp_path / name, image, HdrImage(image))


def test_colors_change_primaries_on_the_way_into_png(tmp_path: Path) -> None:
    red = np.zeros((2, 2, 3), np.float32)
    red[..., 0] = 1
    write_hdr(tmp_path / "a.png", red, HdrImage(red))
    np.testing.assert_allclose(read_hdr(tmp_path / "a.png").image[0, 0], [0.6274, 0.0691, 0.0164], rtol=3e-3)


def test_an_8_bit_picture_is_no_hdr_picture(tmp_path: Path) -> None:
    eight = np.full((4, 4, 3), 200, np.uint8)
    for name in ("a.png", "a.jpg", "a.tif"):
        (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, eight)[1].tobytes())
        with pytest.raises(MediaError, match="8-bit"):
            read_hdr(tmp_path / name)


def test_integers_without_a_meaning_are_asked_about(tmp_path: Path) -> None:
    codes = np.full((4, 4, 3), 40000, np.uint16)
    untagged = png16(tmp_path / "untagged.png", codes, None)
    with pytest.raises(MediaError, match="does not say what its 16-bit values mean.*--key-encoding"):
        read_hdr(untagged)
    assert read_hdr(untagged, "linear").image[0, 0] == pytest.approx(40000 / 65535)
    as_709 = png16(tmp_path / "pq_tagged_as_709.png", codes, Cicp(1, 1))
    with pytest.raises(MediaError, match="tagged as an ordinary picture.*If the tag is wrong"):
        read_hdr(as_709)
    assert read_hdr(as_709, "pq").encoding == "pq"


def test_linear_files_are_not_read_as_something_else(tmp_path: Path) -> None:
    for name in ("a.exr", "a.hdr", "a.tif"):
        write_hdr(tmp_path / name, positive(), HdrImage(positive()))
        with pytest.raises(MediaError, match="not pq"):
            read_hdr(tmp_path / name, "pq")


def test_radiance_primaries_and_damage(tmp_path: Path) -> None:
    write_hdr(tmp_path / "a.hdr", positive(), HdrImage(positive()))
    data = (tmp_path / "a.hdr").read_bytes()
    stated = data.replace(b"\n\n", b"\nPRIMARIES=0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290\n\n", 1)
    (tmp_path / "b.hdr").write_bytes(stated)
    assert read_hdr(tmp_path / "b.hdr").chromaticities.is_like(BT2020)
    (tmp_path / "zeros.hdr").write_bytes(data.replace(b"\n\n", b"\nPRIMARIES=" + b" 0" * 8 + b"\n\n", 1))
    assert read_hdr(tmp_path / "zeros.hdr").chromaticities == BT709
    (tmp_path / "c.hdr").write_bytes(data[:30])
    with pytest.raises(MediaError):
        read_hdr(tmp_path / "c.hdr")
    (tmp_path / "d.hdr").write_bytes(b"no picture at all")
    with pytest.raises(MediaError, match="no picture"):
        read_hdr(tmp_path / "d.hdr")


def test_sequences_appear_together_or_not_at_all(tmp_path: Path) -> None:
    image = positive()
    pattern = hdr_pattern(tmp_path / "out")
    assert pattern.name == "%05d.exr"
    with HdrWriter(pattern, HdrImage(image), HdrFormat(compression="piz"), frames=range(3), overwrite=False) as writer:
        for index in range(3):
            writer.write(index, image * (1 + 10 * index))
            assert not (tmp_path / "out" / "00000.exr").exists()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00000.exr", "00001.exr", "00002.exr"]
    np.testing.assert_array_equal(read_hdr(tmp_path / "out" / "00000.exr").image, image)
    assert "2 pictures hold values that half cannot" in writer.notes[0]
    with pytest.raises(OutputExistsError):
        HdrWriter(pattern, HdrImage(image), HdrFormat(), frames=range(3), overwrite=False)
    with pytest.raises(RuntimeError), HdrWriter(
        tmp_path / "other" / "%03d.png", HdrImage(image), HdrFormat(), frames=range(3), overwrite=False
    ) as writer:
        writer.write(0, image)
        raise RuntimeError("stopped on the way")
    assert not (tmp_path / "other").exists()


def test_names_and_types_of_output(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.exr", "%05d.jpg"):
        with pytest.raises(OutputError):
            hdr_pattern(tmp_path / name)
    with pytest.raises(OutputError, match="scene-linear"):
        write_hdr(tmp_path / "a.tif", positive(), HdrImage(positive()), HdrFormat(encoding="pq"))
