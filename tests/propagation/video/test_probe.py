"""What is seen in a clip before it is read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from propagation.video.probe import probe
from propagation.video.reader import open_clip
from tests.media import make_clip


def test_a_plain_clip(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", sound="aac", tags=(1, 1, 1, 1), sample_aspect=Fraction(4, 3))
    info = probe(path)
    assert (info.path, info.kind, info.codec) == (path, "video", "h264")
    assert (info.width, info.height, info.frame_count) == (64, 48, 30)
    assert (info.rate, info.duration, info.sample_aspect) == (25, Fraction(6, 5), Fraction(4, 3))
    assert (info.bit_depth, info.has_alpha, info.has_audio, info.rotation) == (8, False, True, 0)
    assert (info.tags.primaries, info.tags.transfer, info.tags.matrix, info.tags.range) == (1, 1, 1, 0)
    assert info.tags.guessed == info.problems == ()


def test_probing_and_opening_agree(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv")
    with open_clip(path) as clip:
        assert clip.info == probe(path)


@pytest.mark.parametrize("size", [(65, 48), (64, 47), (65, 47), (17, 9)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    width, height = size
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", width=width, height=height, options={}, frames=2)
    with open_clip(path) as clip:
        assert (clip.info.width, clip.info.height) == size
        assert clip.frame(1).image.shape == (height, width, 3)


@pytest.mark.parametrize(
    ("pixel_format", "codec", "bits"),
    [("yuv420p10le", "libx264", 10), ("yuv420p12le", "libx265", 12), ("yuv422p10le", "prores_ks", 10)],
)
def test_deep_clips(tmp_path: Path, pixel_format: str, codec: str, bits: int) -> None:
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    path = make_clip(tmp_path / "clip.mov", codec=codec, pixel_format=pixel_format, options=options, frames=4)
    with open_clip(path) as clip:
        assert clip.info.bit_depth == bits
        assert clip.frame(2).image.dtype.name == "uint16"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.ts"])
@pytest.mark.parametrize(
    ("stated", "seen"), [((1, 1, 1, 1), (1, 1, 1, 0)), ((5, 6, 5, 2), (5, 6, 5, 1)), ((9, 14, 9, 1), (9, 14, 9, 0))]
)
def test_stated_tags_are_believed(
    tmp_path: Path, name: str, stated: tuple[int, int, int, int], seen: tuple[int, int, int, int]
) -> None:
    tags = probe(make_clip(tmp_path / name, tags=stated, frames=12)).tags
    assert (tags.primaries, tags.transfer, tags.matrix, tags.range) == seen
    assert tags.guessed == ()


def test_what_is_not_stated_is_guessed_and_named(tmp_path: Path) -> None:
    tags = probe(make_clip(tmp_path / "clip.mp4", frames=3)).tags
    assert (tags.primaries, tags.transfer, tags.matrix, tags.range) == (1, 1, 6, 0)
    assert tags.guessed == ("primaries", "transfer", "matrix", "range")


def test_full_range_by_pixel_format(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", codec="mjpeg", pixel_format="yuvj420p", options={}, frames=3)
    assert probe(path).tags.range == 1


@pytest.mark.parametrize(("codec", "name", "full"), [("ffv1", "clip.mkv", 1), ("libx264", "clip.mp4", 0)])
def test_untagged_grey_is_full_only_where_the_codec_keeps_pictures_as_they_are(
    tmp_path: Path, codec: str, name: str, full: int
) -> None:
    path = make_clip(tmp_path / name, codec=codec, pixel_format="gray", options={}, frames=3)
    assert probe(path).tags.range == full


def test_hdr_is_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", pixel_format="yuv420p10le", tags=(9, 16, 9, 1), frames=3)
    assert any("HDR (PQ)" in problem for problem in probe(path).problems)


def test_interlaced_is_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", options={"flags": "+ilme+ildct", "x264-params": "tff=1"}, frames=3)
    assert any("interlaced" in problem for problem in probe(path).problems)


def test_a_cover_picture_is_not_the_clip(tmp_path: Path) -> None:
    import av
    from av.stream import Disposition

    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for track, size, count in ((cover, (32, 32), 1), (stream, (64, 48), 5)):
            for _ in range(count):
                container.mux(track.encode(av.VideoFrame(*size, track.pix_fmt)))
            container.mux(track.encode(None))
    info = probe(path)
    assert (info.width, info.frame_count, info.codec) == (64, 5, "h264")
