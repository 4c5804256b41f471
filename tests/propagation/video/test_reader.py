"""Frames by number: exactly that one, at the time the file gives, forwards, backwards and at random."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from propagation.errors import MediaError, MissingMediaError, RangeError
from propagation.video import reader
from propagation.video.reader import open_clip
from tests.media import LONG_GOP, OPEN_GOP, Recipe, make_clip, number_in

LONG = Recipe(frames=70, options=LONG_GOP)
OPEN = Recipe(frames=60, options=OPEN_GOP)
VARIED = Recipe(
    frames=20,
    time_base=Fraction(1, 90000),
    pts=list(np.cumsum([1000, *random.Random(1).choices([1501, 3003, 3003, 9000, 30001], k=19)])),
)
REALTIME = {"auto-alt-ref": "1", "lag-in-frames": "16", "g": "30", "deadline": "realtime"}
HEVC = {"x265-params": "log-level=none:keyint=12", "preset": "ultrafast"}
# Every container the readers know, since each seeks in its own way.
EVERY_SEEK = {
    "long GOP mp4": ("clip.mp4", LONG),
    "long GOP mkv": ("clip.mkv", LONG),
    "long GOP ts": ("clip.ts", LONG),
    "open GOP mp4": ("clip.mp4", OPEN),
    "open GOP mkv": ("clip.mkv", OPEN),
    "open GOP ts": ("clip.ts", OPEN),
    "HEVC open GOP mp4": ("clip.mp4", Recipe(frames=40, codec="libx265", options=HEVC)),
    "HEVC open GOP mkv": ("clip.mkv", Recipe(frames=40, codec="libx265", options=HEVC)),
    "varied rate": ("clip.mp4", VARIED),
    "MPEG-4 with B-frames in AVI": ("clip.avi", Recipe(codec="mpeg4", options={"bf": "2", "g": "10"})),
    "MJPEG in AVI": ("clip.avi", Recipe(codec="mjpeg", pixel_format="yuvj420p", options={})),
    "MPEG-2 in PS, no time on most frames": (
        "clip.mpg",
        Recipe(codec="mpeg2video", width=96, options={"bf": "2", "g": "9"}),
    ),
    "VP8": ("clip.webm", Recipe(frames=50, codec="libvpx", options=REALTIME)),
    "VP9": ("clip.webm", Recipe(frames=50, codec="libvpx-vp9", options=REALTIME)),
    "AV1": ("clip.mp4", Recipe(frames=20, width=96, height=96, codec="libsvtav1", options={"preset": "11", "g": "8"})),
    "raw H.264, no times at all": ("clip.h264", Recipe()),
    "FLV": ("clip.flv", Recipe()),
    "ProRes": ("clip.mov", Recipe(frames=8, codec="prores_ks", pixel_format="yuv422p10le", options={})),
    "Animated PNG": ("clip.apng", Recipe(frames=8, codec="apng", pixel_format="rgb24", options={})),
}


@pytest.fixture(scope="module", params=EVERY_SEEK.values(), ids=EVERY_SEEK.keys())
def clip_path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Recipe]:
    name, recipe = request.param
    return make_clip(tmp_path_factory.mktemp("clips") / name, recipe), recipe


def test_every_frame_is_the_one_asked_for(clip_path: tuple[Path, Recipe]) -> None:
    path, recipe = clip_path
    with open_clip(path) as clip:
        assert clip.info.frame_count == recipe.frames, clip.info.problems
        in_order = [number_in(frame.image) for frame in clip.frames()]
        assert in_order == list(range(recipe.frames))
        backwards = [number_in(frame.image) for frame in clip.frames(step=-1)]
        assert backwards == in_order[::-1]
        asked = random.Random(0).sample(range(recipe.frames), recipe.frames)
        assert [number_in(clip.frame(n).image) for n in asked] == asked


def test_random_access_equals_reading_through(clip_path: tuple[Path, Recipe]) -> None:
    path, recipe = clip_path
    with open_clip(path) as straight, straight.again() as jumping:
        for frame in straight.frames():
            if frame.index % 3 == 0:
                back = jumping.frame(recipe.frames - 1 - frame.index)
                assert back.index == recipe.frames - 1 - frame.index
            again = jumping.frame(frame.index)
            np.testing.assert_array_equal(again.image, frame.image)
            assert (again.pts, again.index) == (frame.pts, frame.index)


def test_a_clip_opened_again_is_not_looked_through_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "clip.mp4")
    with open_clip(path) as clip:
        monkeypatch.setattr(reader, "examine", None)
        with clip.again() as other:
            assert other.info == clip.info
            assert number_in(other.frame(7).image) == number_in(clip.frame(7).image) == 7
        assert number_in(clip.frame(8).image) == 8, "closing one leaves the other open"
        path.unlink()
        with pytest.raises(MissingMediaError):
            clip.again()


def test_times_are_the_files_own(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "varied.mp4", VARIED)) as clip:
        assert clip.info.time_base == Fraction(1, 90000)
        given = np.array(VARIED.pts)
        # The first frame of an MP4 lies on its movie clock of 1/1000 s; the distances are exact.
        np.testing.assert_array_equal(np.diff(clip.info.pts), np.diff(given))
        assert abs(clip.info.pts[0] - given[0]) <= 90
        assert [frame.pts for frame in clip.frames()] == list(clip.info.pts)
        assert clip.frame(3).time == clip.info.pts[3] * Fraction(1, 90000)


def test_frames_without_times_get_them_from_the_rate(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "raw.h264")) as clip:
        steps = set(np.diff(clip.info.pts))
        assert len(steps) == 1
        assert steps.pop() * clip.info.time_base == Fraction(1, 25)
        assert any("timestamps" in problem for problem in clip.info.problems)


def test_range_of_frames(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.mp4")) as clip:
        assert [frame.index for frame in clip.frames(4, 8)] == [4, 5, 6, 7]
        assert [frame.index for frame in clip.frames(4, 8, -1)] == [7, 6, 5, 4]
        assert [frame.index for frame in clip.frames(27)] == [27, 28, 29]
        assert list(clip.frames(5, 5)) == []


@pytest.mark.parametrize("index", [-1, 30, 10**9])
def test_a_frame_outside_the_clip(tmp_path: Path, index: int) -> None:
    with open_clip(make_clip(tmp_path / "clip.mp4")) as clip, pytest.raises(RangeError, match="0 to 29"):
        clip.frame(index)


@pytest.mark.parametrize("bounds", [(-1, 5), (0, 31), (6, 5)])
def test_a_range_outside_the_clip(tmp_path: Path, bounds: tuple[int, int]) -> None:
    with open_clip(make_clip(tmp_path / "clip.mp4")) as clip, pytest.raises(RangeError, match="outside"):
        clip.frames(*bounds)


def test_two_readers_of_one_clip_do_not_disturb_each_other(tmp_path: Path) -> None:
    with open_clip(make_clip(tmp_path / "clip.mp4", LONG)) as clip:
        pairs = zip(clip.frames(0, 20), clip.frames(40, 60), strict=True)
        for n, (early, late) in enumerate(pairs):
            assert (number_in(early.image), number_in(late.image)) == (n, 40 + n)


def test_reading_ahead_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=200, options=LONG_GOP)
    with open_clip(path) as clip:
        read = 0
        next_packet = clip._decoder.next_packet

        def counted() -> object:
            nonlocal read
            read += 1
            return next_packet()

        monkeypatch.setattr(clip._decoder, "next_packet", counted)
        frames = clip.frames()
        for _ in range(10):
            next(frames)
        # B-frame reordering, plus a frame in flight in each decoding thread.
        assert read <= 10 + 4 + 2 * 16


def test_reading_backwards_keeps_a_bounded_number_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "clip.mp4", LONG)
    monkeypatch.setattr(reader, "REVERSE_BYTES", 64 * 48 * 3 * 8)
    with open_clip(path) as clip:
        asked: list[int] = []
        picture = clip._pictures.picture
        monkeypatch.setattr(clip._pictures, "picture", lambda n: (asked.append(n), picture(n))[1])
        frames = clip.frames(step=-1)
        assert number_in(next(frames).image) == 69
        assert asked == list(range(62, 70))
        assert [number_in(frame.image) for frame in frames] == list(range(68, -1, -1))


def test_a_file_cut_in_the_middle_ends_at_its_last_frame(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", frames=60)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with open_clip(cut) as clip:
        count = clip.info.frame_count
        assert 10 < count < 50
        assert [number_in(frame.image) for frame in clip.frames()] == list(range(count))
        assert number_in(clip.frame(count - 1).image) == count - 1


def test_an_mp4_cut_in_the_middle_says_so(tmp_path: Path) -> None:
    whole = make_faststart(make_clip(tmp_path / "whole.mp4", frames=60), tmp_path / "fast.mp4")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with open_clip(cut) as clip:
        count = clip.info.frame_count
        assert 10 < count < 50
        assert any("cut off" in problem and f"frame {count - 1}" in problem for problem in clip.info.problems)
        assert [number_in(frame.image) for frame in clip.frames()] == list(range(count))


def make_faststart(source: Path, target: Path) -> Path:
    """The same clip with its index in front, so that it survives being cut."""
    with av.open(str(source)) as old, av.open(str(target), "w", options={"movflags": "+faststart"}) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.size:
                packet.stream = stream
                new.mux(packet)
    return target


def test_damage_in_the_middle_is_bridged_and_told(tmp_path: Path) -> None:
    """A frame that cannot be decoded is shown as the one before, so that sound and later frames stay in step."""
    path = make_clip(tmp_path / "clip.avi", frames=40, codec="mjpeg", pixel_format="yuvj420p", options={})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    place, size = packets[25]
    data[place + 8 : place + 8 + size - 8] = bytes(size - 8)
    path.write_bytes(data)
    with open_clip(path) as clip:
        assert clip.info.frame_count == 40
        shown = [number_in(frame.image) for frame in clip.frames()]
        assert shown == [*range(25), 24, *range(26, 40)]
        assert [frame.pts for frame in clip.frames(24, 27)] == list(clip.info.pts[24:27])
        assert clip.info.problems == ("frame 25 is damaged; frame 24 is shown in its place",)


def test_a_size_that_changes_on_the_way_is_brought_to_the_first(tmp_path: Path) -> None:
    small = make_clip(tmp_path / "small.ts", frames=10, width=32, height=24)
    large = make_clip(tmp_path / "large.ts", frames=10)
    both = tmp_path / "both.ts"
    both.write_bytes(large.read_bytes() + small.read_bytes())
    with open_clip(both) as clip:
        assert {frame.image.shape for frame in clip.frames()} == {(48, 64, 3)}
        assert [number_in(frame.image) for frame in clip.frames()] == [*range(10), *range(10)]
        # The second half starts again at time 0 and is moved on.
        assert set(np.diff(clip.info.pts)) == {3600}
        assert any("changes its size at frame 10" in problem for problem in clip.info.problems)


def test_closing_twice_does_no_harm(tmp_path: Path) -> None:
    clip = open_clip(make_clip(tmp_path / "clip.mp4"))
    clip.close()
    clip.close()
    with pytest.raises(MediaError):
        clip.frame(3)
