"""Numbered PNG files out: numbers, depth, alpha, and what is in their way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from propagation.errors import OutputExistsError
from propagation.video.reader import Clip, open_clip
from propagation.video.writer import open_writer
from tests.media import make_clip, picture, write_png


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Clip]:
    with open_clip(make_clip(tmp_path / "source.mkv", frames=8)) as clip:
        yield clip


@pytest.mark.parametrize("name", ["frame_%05d.png", "fresh"])
def test_pictures_are_numbered_by_frame(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "shot"
    folder.mkdir()
    for number in range(17, 22):
        write_png(folder / f"shot_{number:05d}.png", picture(number))
    with open_clip(folder) as clip, open_writer(tmp_path / name, clip.info, overwrite=False) as writer:
        for frame in clip.frames():
            writer.write(frame)
    place = tmp_path / "fresh" if name == "fresh" else tmp_path
    prefix = "" if name == "fresh" else "frame_"
    with open_clip(place / f"{prefix}%05d.png") as clip:
        assert (clip.info.first_number, clip.info.frame_count) == (0, 5)
        for frame in clip.frames():
            np.testing.assert_array_equal(frame.image, picture(17 + frame.index))


@pytest.mark.parametrize(("source_bits", "asked", "written"), [(8, None, 8), (8, 16, 16), (10, None, 16), (10, 8, 8)])
def test_depth_of_pictures(tmp_path: Path, source_bits: int, asked: int | None, written: int) -> None:
    name = "yuv444p" if source_bits == 8 else "yuv444p10le"
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pixel_format=name, options={}, frames=2)
    with open_clip(path) as clip, open_writer(tmp_path / "out", clip.info, overwrite=False, bit_depth=asked) as writer:
        for frame in clip.frames():
            writer.write(frame)
        there = clip.frame(1).image
    with open_clip(tmp_path / "out") as new:
        back = new.frame(1).image
        assert new.info.bit_depth == written
    peak_there, peak_back = np.iinfo(there.dtype).max, np.iinfo(back.dtype).max
    assert np.abs(there / peak_there - back / peak_back).max() <= (0 if written >= source_bits else 0.51 / 255)


def test_alpha_is_kept_in_pictures(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pixel_format="bgra", options={}, frames=2)
    with open_clip(path) as clip, open_writer(tmp_path / "out", clip.info, overwrite=False) as writer:
        for frame in clip.frames():
            writer.write(frame)
    with open_clip(tmp_path / "out") as new:
        assert new.frame(0).image.shape == (48, 64, 4)


def test_only_the_frames_to_come_are_looked_for(source: Clip, tmp_path: Path) -> None:
    write_png(tmp_path / "out_00003.png", picture(3))
    pattern = tmp_path / "out_%05d.png"
    with pytest.raises(OutputExistsError, match=r"out_00003.png exists"):
        open_writer(pattern, source.info, overwrite=False, frames=range(2, 5))
    with open_writer(pattern, source.info, overwrite=False, frames=range(4, 6)) as writer:
        for frame in source.frames(4, 6):
            writer.write(frame)
    assert (tmp_path / "out_00005.png").exists()


def test_a_picture_that_appears_meanwhile_is_not_replaced(source: Clip, tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError):
        with open_writer(tmp_path / "out_%05d.png", source.info, overwrite=False) as writer:
            writer.write(source.frame(0))
            (tmp_path / "out_00000.png").write_bytes(b"theirs")
    assert (tmp_path / "out_00000.png").read_bytes() == b"theirs"
