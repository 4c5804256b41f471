"""Numbered pictures: which belong together, and which number is frame 0."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from propagation.errors import MediaError, MissingMediaError, OutputError
from propagation.video.probe import probe
from propagation.video.reader import open_clip
from propagation.video.sequence import is_pattern, numbered
from tests.media import number_in, picture, write_png


def make_sequence(folder: Path, numbers: range | list[int], name: str = "shot_{:05d}.png") -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        write_png(folder / name.format(number), picture(number))
    return folder


@pytest.mark.parametrize("named", [".", "shot_%05d.png", "shot_00017.png"])
def test_frames_count_from_0_whatever_their_numbers(tmp_path: Path, named: str) -> None:
    folder = make_sequence(tmp_path / "shot", range(17, 25))
    with open_clip(folder / named) as clip:
        info = clip.info
        assert (info.kind, info.frame_count, info.first_number) == ("sequence", 8, 17)
        assert [file.name for file in info.files] == [f"shot_{n:05d}.png" for n in range(17, 25)]
        assert [number_in(frame.image) for frame in clip.frames()] == list(range(17, 25))
        assert [number_in(frame.image) for frame in clip.frames(step=-1)] == list(range(24, 16, -1))
        assert (clip.frame(3).index, clip.frame(3).pts, clip.frame(3).time) == (3, 3, 3 / info.rate)
        with clip.again() as other:
            assert other.info == info and number_in(other.frame(5).image) == 22


def test_a_first_file_starts_the_run_there(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(10))
    assert (probe(folder / "shot_00004.png").first_number, probe(folder / "shot_00004.png").frame_count) == (4, 6)


def test_numbers_without_leading_zeros_are_sorted_as_numbers(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(8, 12), "{}.png")
    for path in (folder, folder / "%d.png", folder / "8.png"):
        with open_clip(path) as clip:
            assert [number_in(frame.image) for frame in clip.frames()] == [8, 9, 10, 11]


def test_a_picture_on_its_own_is_a_still(tmp_path: Path) -> None:
    for name in ("portrait.png", "holiday_2019.png"):
        info = probe(write_png(tmp_path / name, picture(0)))
        assert (info.kind, info.frame_count) == ("still", 1)


def test_a_picture_whose_next_number_is_missing_is_a_still(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shots", [3, 8])
    assert probe(folder / "shot_00003.png").kind == "still"


def test_gaps_are_told(tmp_path: Path) -> None:
    info = probe(make_sequence(tmp_path / "shot", [1, 2, 3, 6, 7]))
    assert info.frame_count == 5
    assert any("2 numbers are missing between 1 and 7" in problem for problem in info.problems)


def test_the_guessed_rate_is_told(tmp_path: Path) -> None:
    assert any("24 frames a second" in problem for problem in probe(make_sequence(tmp_path / "a", range(3))).problems)


def test_other_pictures_in_the_folder_are_left_out_and_told(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(5))
    make_sequence(folder, range(2), "mask_{:03d}.png")
    write_png(folder / "poster.png", picture(0))
    (folder / "notes.txt").write_text("hello")
    write_png(folder / ".00000.png", picture(0))
    info = probe(folder)
    assert info.frame_count == 5
    assert any("3 other pictures" in problem for problem in info.problems)


@pytest.mark.parametrize("content", ["nothing", "text", "unnumbered"])
def test_a_folder_without_numbered_pictures(tmp_path: Path, content: str) -> None:
    if content == "text":
        (tmp_path / "a.txt").write_text("x")
    if content == "unnumbered":
        write_png(tmp_path / "portrait.png", picture(0))
    with pytest.raises(MediaError, match="no numbered pictures"):
        open_clip(tmp_path)


@pytest.mark.parametrize("name", ["shot_%05d.png", "absent/shot_%05d.png", "shot_00001.png"])
def test_a_sequence_that_is_not_there(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingMediaError):
        open_clip(tmp_path / name)


def test_two_pictures_of_one_number(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(3), "{}.png")
    make_sequence(folder, [1], "{:04d}.png")
    with pytest.raises(MediaError, match="same number"):
        open_clip(folder)


def test_a_picture_of_another_size_is_named(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(4))
    write_png(folder / "shot_00002.png", picture(2, 32, 32))
    with open_clip(folder) as clip:
        clip.frame(1)
        with pytest.raises(MediaError, match=r"shot_00002.png: is 32 x 32, the sequence 64 x 48"):
            clip.frame(2)


def test_a_picture_of_another_depth_is_named(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(4))
    write_png(folder / "shot_00002.png", picture(2).astype(np.uint16) * 257)
    with open_clip(folder) as clip, pytest.raises(MediaError, match="shot_00002.png: has 16 bits"):
        clip.frame(2)


def test_missing_and_surplus_alpha_follow_the_first_picture(tmp_path: Path) -> None:
    opaque = make_sequence(tmp_path / "opaque", range(2))
    rgba = np.dstack([picture(1), np.full((48, 64), 9, np.uint8)])
    write_png(opaque / "shot_00001.png", rgba)
    with open_clip(opaque) as clip:
        np.testing.assert_array_equal(clip.frame(1).image, picture(1))
    clear = make_sequence(tmp_path / "clear", range(2))
    write_png(clear / "shot_00000.png", rgba)
    with open_clip(clear) as clip:
        assert (clip.frame(1).image[..., 3] == 255).all()


def test_a_sequence_of_turned_photographs(tmp_path: Path) -> None:
    """A camera's JPEG says how to turn it; the size of the sequence is the turned one."""
    for number in range(3):
        path = write_png(tmp_path / f"p_{number}.jpg", picture(number))
        data = path.read_bytes()
        entry = struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0)
        exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
        path.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    with open_clip(tmp_path) as clip:
        assert (clip.info.width, clip.info.height) == (48, 64)
        assert number_in(np.rot90(clip.frame(2).image)) == 2


def test_a_palette_without_transparency_has_no_alpha(tmp_path: Path) -> None:
    from PIL import Image  # comes with scikit-image; writes what OpenCV cannot

    Image.fromarray(picture(3)).quantize(256).save(tmp_path / "palette.png")
    assert not probe(tmp_path / "palette.png").has_alpha


def test_a_damaged_picture_is_named(tmp_path: Path) -> None:
    folder = make_sequence(tmp_path / "shot", range(3))
    bad = folder / "shot_00001.png"
    bad.write_bytes(bad.read_bytes()[:60])
    with open_clip(folder) as clip, pytest.raises(MediaError, match="shot_00001.png"):
        clip.frame(1)


def test_numbers_in_names() -> None:
    assert numbered(Path("a/s_%05d.png"), 7) == Path("a/s_00007.png")
    assert numbered(Path("%d.png"), 12) == Path("12.png")
    assert numbered(Path("%03d.png"), 12345) == Path("12345.png")
    assert is_pattern(Path("a_%04d.png")) and not is_pattern(Path("a_%s.png"))


@pytest.mark.parametrize("name", ["%d_%d.png", "%05d%%.png", "a.png", "%s_%d.png"])
def test_names_without_one_clear_place_for_the_number(name: str) -> None:
    with pytest.raises(OutputError, match="one place"):
        numbered(Path(name), 1)
