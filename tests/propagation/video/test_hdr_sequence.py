"""HDR sequences in: what was written is read back in order, what does not fit is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propagation.errors import MediaError, MissingMediaError, RangeError
from propagation.video.exr import write_exr
from propagation.video.hdr_images import HdrImage
from propagation.video.hdr_sequence import means_hdr, open_hdr
from propagation.video.hdr_writer import HdrFormat, HdrWriter
from tests.propagation.video.test_exr import light


@pytest.mark.parametrize("name", ["%05d.exr", "%04d.png", "shot_%03d.tif", "%d.hdr"])
def test_what_the_writer_writes_is_read_in_order(tmp_path: Path, name: str) -> None:
    pictures = [np.clip(np.abs(light()), 0.01, 40) * np.float32(n + 1) for n in range(3)]
    pattern = tmp_path / "out" / name
    with HdrWriter(pattern, HdrImage(pictures[0]), HdrFormat("float"), frames=range(3), overwrite=False) as writer:
        for n, picture in enumerate(pictures):
            writer.write(n, picture)
    found = open_hdr(pattern)
    assert len(found) == 3
    for picture, back in zip(pictures, found, strict=True):
        # PNG changes primaries on the way; the luminance of these pictures stays within a few percent.
        tolerance = {"png": 0.15, "hdr": 0.15}.get(name[-3:], 1e-6)
        assert np.median(np.abs(back.image / picture - 1)) <= tolerance


def test_a_folder_a_first_file_and_a_still(tmp_path: Path) -> None:
    for n in (7, 8):
        write_exr(tmp_path / f"a{n:02d}.exr", light())
    assert len(open_hdr(tmp_path)) == len(open_hdr(tmp_path / "a07.exr")) == 2
    assert open_hdr(tmp_path).found.first_number == 7
    write_exr(tmp_path / "alone.exr", light())
    assert open_hdr(tmp_path / "alone.exr").found.is_still


def test_sizes_and_numbers_that_do_not_fit(tmp_path: Path) -> None:
    write_exr(tmp_path / "0.exr", light())
    write_exr(tmp_path / "1.exr", light(4, 4))
    found = open_hdr(tmp_path / "%d.exr")
    with pytest.raises(MediaError, match="is 4 x 4, the sequence 8 x 6"):
        found.read(1)
    with pytest.raises(RangeError):
        found.read(2)
    with pytest.raises(MissingMediaError):
        open_hdr(tmp_path / "gone_%d.exr")
    with pytest.raises(MissingMediaError):
        open_hdr(tmp_path / "clip.mp4")


def test_what_means_hdr_by_its_name(tmp_path: Path) -> None:
    write_exr(tmp_path / "0.exr", light())
    assert means_hdr(tmp_path)
    assert means_hdr(tmp_path / "0.exr")
    assert means_hdr(tmp_path / "%d.exr")
    assert not means_hdr(tmp_path / "gone.exr")
    assert not means_hdr(tmp_path / "clip.mp4")
    (tmp_path / "0.png").write_bytes(b"")
    assert not means_hdr(tmp_path)
