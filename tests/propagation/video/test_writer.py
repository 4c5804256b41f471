"""Exports: the same frames at the same times with the same sound, tagged right; whole, or not there."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from propagation.color.tags import ColorTags
from propagation.errors import NoSpaceError, OutputError, OutputExistsError
from propagation.video import writer as writer_module
from propagation.video.reader import Clip, open_clip
from propagation.video.writer import open_writer, written_tags
from tests.media import Recipe, make_clip, number_in, picture, write_png

VIDEO_NAMES = ["out.mp4", "out.mkv", "out.mov", "out.MP4"]
VARIED = Recipe(
    frames=12, time_base=Fraction(1, 90000), pts=list(np.cumsum([9000, *[1500, 3003, 9000, 40000] * 3])[:12])
)


def export(source: Path, out: Path, **options: Any) -> tuple[str, ...]:
    """Write every frame of a clip as it came; the writer's notes."""
    with open_clip(source) as clip, open_writer(out, clip.info, overwrite=False, **options) as writer:
        for frame in clip.frames():
            writer.write(frame)
    return writer.notes


def others_in(folder: Path, *known: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file not in known)


def audio_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("name", VIDEO_NAMES)
@pytest.mark.parametrize("source", [Recipe(), VARIED], ids=["steady", "varied"])
def test_frames_and_times_are_kept(tmp_path: Path, name: str, source: Recipe) -> None:
    path, out = make_clip(tmp_path / "clip.mp4", source), tmp_path / name
    export(path, out)
    with open_clip(path) as old, open_clip(out) as new:
        assert [number_in(frame.image) for frame in new.frames()] == list(range(source.frames))
        tick = new.info.time_base
        for n in range(source.frames):
            # MKV keeps whole milliseconds.
            assert abs(new.info.pts[n] * tick - old.info.pts[n] * old.info.time_base) <= tick / 2
        if name.lower() != "out.mkv":
            assert [pts * tick for pts in new.info.pts] == [pts * old.info.time_base for pts in old.info.pts]
    assert others_in(tmp_path, path, out) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "ac3"])
def test_sound_is_carried_over_to_the_byte(tmp_path: Path, name: str, codec: str) -> None:
    path, out = make_clip(tmp_path / "clip.mkv", sound=codec), tmp_path / name
    export(path, out)
    old, new = audio_packets(path), audio_packets(out)
    assert len(old) > 20
    assert [data for _, data in new] == [data for _, data in old]
    assert max(abs(a[0] - b[0]) for a, b in zip(old, new, strict=True)) <= Fraction(1, 1000)


def test_several_sound_tracks(tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tracks = [container.add_stream("aac", rate=48000) for _ in range(2)]
        for n in range(20):
            frame = av.VideoFrame.from_ndarray(picture(n), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
        for track in tracks:
            for start in range(0, 30_000, 1024):
                sound = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
                sound.sample_rate, sound.pts = 48000, start
                container.mux(track.encode(sound))
            container.mux(track.encode(None))
    export(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert len(container.streams.audio) == 2


@pytest.mark.parametrize(("codec", "name"), [("pcm_alaw", "out.mp4"), ("pcm_s16le", "out.mp4"), ("flac", "out.mov")])
def test_sound_that_the_format_cannot_hold_is_refused_at_once(tmp_path: Path, codec: str, name: str) -> None:
    source = "clip.mkv" if codec == "flac" else "clip.avi"
    path = make_clip(tmp_path / source, codec="mpeg4", options={}, sound=codec)
    with open_clip(path) as clip, pytest.raises(OutputError, match=rf"{codec} does not fit into .*Write \.mkv"):
        with open_writer(tmp_path / name, clip.info, overwrite=False):
            pytest.fail("not at once")
    assert others_in(tmp_path, path) == []


def test_sound_that_no_format_can_hold_is_left_out_and_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.avi", codec="mpeg4", options={}, sound="adpcm_ms")
    assert any("adpcm_ms" in note for note in export(path, tmp_path / "out.mkv"))


@pytest.mark.parametrize("name", ["clip.ts", "clip.mpg", "clip.avi", "clip.webm", "clip.flv"])
def test_clips_of_every_kind_export(tmp_path: Path, name: str) -> None:
    """Times that start late, lie on byte positions or are missing."""
    codecs = {
        "clip.mpg": {"codec": "mpeg2video", "width": 96, "options": {}, "sound": "mp2"},
        "clip.avi": {"codec": "mpeg4", "options": {"bf": "2"}, "sound": "libmp3lame"},
        "clip.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime"}, "sound": "libopus"},
    }
    path, out = make_clip(tmp_path / name, **codecs.get(name, {"sound": "aac"})), tmp_path / "out.mp4"
    export(path, out)
    with open_clip(path) as old, open_clip(out) as new:
        assert new.info.frame_count == old.info.frame_count == 30
        assert new.info.has_audio
        assert abs(new.info.pts[-1] * new.info.time_base - old.info.pts[-1] * old.info.time_base) < Fraction(1, 1000)
    # A transport stream wraps each AAC packet in an ADTS header of 7 bytes; an MP4 has the bare packets.
    header = 7 if name == "clip.ts" else 0
    assert [data for _, data in audio_packets(out)] == [data[header:] for _, data in audio_packets(path)]


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_color_bars_come_back_from_bt709_and_are_tagged_so(tmp_path: Path, name: str) -> None:
    """The matrix of the file is worked out from its own Y, Cb, Cr: no reader's opinion is asked."""
    bars = np.array([[r, g, b] for r in (0, 191) for g in (0, 191) for b in (0, 191)], np.uint8)
    folder = tmp_path / "bars"
    folder.mkdir()
    for n in range(3):
        write_png(folder / f"{n}.png", np.kron(bars[None], np.ones((32, 16, 1), np.uint8)))
    out = tmp_path / name
    export(folder, out)
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)
        frame = next(container.decode(stream))
        assert (frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range) == (1, 1, 1, 1)
        assert frame.format.name == "yuv420p"
        coded = []
        for plane, step in zip(frame.planes, (16, 8, 8), strict=True):
            lines = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
            coded.append(lines[plane.height // 2, step // 2 : plane.width : step].astype(float))
    luma, cb, cr = (coded[0] - 16) / 219, (coded[1] - 128) / 224, (coded[2] - 128) / 224
    signal = bars / 255
    weights, *_ = np.linalg.lstsq(signal, luma, rcond=None)
    np.testing.assert_allclose(weights, [0.2126, 0.7152, 0.0722], atol=0.01)
    np.testing.assert_allclose(cb, (signal[:, 2] - signal @ [0.2126, 0.7152, 0.0722]) / 1.8556, atol=0.02)
    np.testing.assert_allclose(cr, (signal[:, 0] - signal @ [0.2126, 0.7152, 0.0722]) / 1.5748, atol=0.02)
    with open_clip(out) as clip:
        shown = clip.frame(0).image[16, 8::16].astype(int)
        assert np.abs(shown - bars).max() <= 4


def test_what_a_file_states_is_written_and_what_was_guessed_becomes_bt709() -> None:
    assert written_tags(ColorTags(6, 6, 6, 1)) == ColorTags(6, 6, 1, 0)
    assert written_tags(ColorTags(9, 14, 9, 0)) == ColorTags(9, 14, 9, 0)
    assert written_tags(ColorTags(1, 13, 0, 1)) == ColorTags(1, 13, 1, 0)
    assert written_tags(ColorTags(5, 13, 0, 1, ("primaries", "transfer"))) == ColorTags(1, 1, 1, 0)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.mov"])
def test_pixels_that_are_not_square_stay_so(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=5, sample_aspect=Fraction(16, 11))
    export(path, tmp_path / name)
    with open_clip(tmp_path / name) as clip:
        assert clip.info.sample_aspect == Fraction(16, 11)


def test_a_turned_clip_is_written_upright(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=5, rotation=90, sample_aspect=Fraction(4, 3))
    export(path, tmp_path / "out.mp4")
    with open_clip(path) as old, open_clip(tmp_path / "out.mp4") as new:
        assert (new.info.width, new.info.height, new.info.rotation) == (48, 64, 0)
        assert new.info.sample_aspect == old.info.sample_aspect == Fraction(3, 4)
        assert np.abs(new.frame(3).image.astype(int) - old.frame(3).image).mean() < 3


@pytest.mark.parametrize(("size", "said"), [((65, 48), "column"), ((64, 47), "row"), ((65, 47), "column and one row")])
def test_odd_sizes_are_padded_by_repeating_the_edge(tmp_path: Path, size: tuple[int, int], said: str) -> None:
    width, height = size
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pixel_format="bgr0", width=width, height=height, options={})
    notes = export(path, tmp_path / "out.mp4")
    assert any(said in note for note in notes)
    with open_clip(path) as old, open_clip(tmp_path / "out.mp4") as new:
        assert (new.info.width, new.info.height) == (width + width % 2, height + height % 2)
        image = new.frame(5).image.astype(int)
        assert np.abs(image[:height, :width] - old.frame(5).image).mean() < 3
        if width % 2:
            assert np.abs(image[:, -1] - image[:, -2]).mean() < 6
        if height % 2:
            assert np.abs(image[-1] - image[-2]).mean() < 6


def test_even_sizes_have_nothing_to_say(tmp_path: Path) -> None:
    assert export(make_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4") == ()


@pytest.mark.parametrize(("asked", "bits"), [(None, 10), (8, 8), (10, 10)])
def test_a_deep_clip_stays_deep_unless_told(tmp_path: Path, asked: int | None, bits: int) -> None:
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pixel_format="yuv422p12le", options={}, frames=5)
    notes = export(path, tmp_path / "out.mp4", bit_depth=asked)
    with open_clip(path) as old, open_clip(tmp_path / "out.mp4") as new:
        assert new.info.bit_depth == bits
        there, back = old.frame(2).image / 65535, new.frame(2).image / (255 if bits == 8 else 65535)
        assert np.abs(there - back).mean() < 0.01
    assert any("10 bits" in note for note in notes) == (bits == 10)


def test_a_depth_that_is_not_written(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=3)
    for out, depth in ((tmp_path / "out.mp4", 12), (tmp_path / "out_%05d.png", 10)):
        with pytest.raises(OutputError, match=f"not {depth}"):
            export(path, out, bit_depth=depth)


def test_alpha_is_left_out_of_h264_and_said(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", codec="ffv1", pixel_format="bgra", options={}, frames=3)
    assert any("alpha" in note for note in export(path, tmp_path / "out.mp4"))


def test_the_index_of_an_mp4_lies_in_front(tmp_path: Path) -> None:
    export(make_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4")
    data = (tmp_path / "out.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


# What can go wrong, and that it harms nothing.


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Clip]:
    with open_clip(make_clip(tmp_path / "source.mkv", frames=60, width=96, height=64, sound="aac")) as clip:
        yield clip


@pytest.fixture(params=["out.mp4", "out.mkv", "out_%05d.png", "pictures"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    return folder / request.param


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def put_something_there(target: Path) -> dict[str, bytes]:
    """A file of the user's under every name the export will use, and one beside them."""
    for name in (target.name, "out_00003.png", "pictures/00003.png", "beside.txt"):
        file = target.parent / name
        if target.suffix == "" and name == target.name:
            continue
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"mine")
    return files_in(target.parent)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("after", [0, 1, 25])
def test_a_stopped_export_leaves_nothing(source: Clip, target: Path, error: type[BaseException], after: int) -> None:
    before = put_something_there(target)
    with pytest.raises(error), open_writer(target, source.info, overwrite=True) as writer:
        for frame in source.frames():
            if frame.index == after:
                raise error
            writer.write(frame)
    assert files_in(target.parent) == before
    assert not [file for file in target.parent.rglob("*") if file.name.endswith(".part")]


def test_a_folder_made_for_a_stopped_export_is_removed(source: Clip, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), open_writer(tmp_path / "fresh", source.info, overwrite=False) as writer:
        writer.write(source.frame(0))
        raise RuntimeError
    assert not (tmp_path / "fresh").exists()


def test_an_output_that_exists_is_refused_before_any_work(source: Clip, target: Path) -> None:
    before = put_something_there(target)
    with pytest.raises(OutputExistsError, match="exist"):
        open_writer(target, source.info, overwrite=False)
    assert files_in(target.parent) == before


def test_overwriting_replaces(source: Clip, target: Path) -> None:
    before = put_something_there(target)
    with open_writer(target, source.info, overwrite=True) as writer:
        for frame in source.frames(0, 5):
            writer.write(frame)
    after = files_in(target.parent)
    assert after["beside.txt"] == b"mine"
    changed = {name for name in after if after[name] != before.get(name)}
    if target.suffix in (".mp4", ".mkv"):
        assert changed == {target.name}
    else:
        pattern = "pictures/{:05d}.png" if target.suffix == "" else "out_{:05d}.png"
        assert changed == {pattern.format(n) for n in range(5)}


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """The kernel refuses to let any file grow beyond `size`, as a full disk or a quota would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 0.01, 0.5, 0.95])
def test_a_full_disk(source: Clip, target: Path, room: float) -> None:
    """`room` is a share of what the largest file of the export needs: 19 kB for a picture, 300 kB for the video."""
    before = put_something_there(target)
    size = int(room * (295_000 if target.suffix in (".mp4", ".mkv") else 18_000))
    frames = list(source.frames())
    noise = np.random.default_rng(0)
    with file_size_limit(size), pytest.raises((NoSpaceError, OutputError)) as caught:
        with open_writer(target, source.info, overwrite=True) as writer:
            for frame in frames:
                image = noise.integers(0, 256, frame.image.shape, dtype=np.uint8)
                writer.write(replace(frame, image=image))
    assert isinstance(caught.value, NoSpaceError), caught.value
    assert files_in(target.parent) == before


def test_a_disk_that_is_full_only_when_flushed(source: Clip, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = put_something_there(target)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NoSpaceError), open_writer(target, source.info, overwrite=True) as writer:
        for frame in source.frames(0, 5):
            writer.write(frame)
    assert files_in(target.parent) == before


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM])
def test_a_folder_without_rights(source: Clip, target: Path, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everywhere, so the refusal is played."""

    def refuse(*_args: object, **_words: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OutputError, match="may not be written"), open_writer(target, source.info, overwrite=True):
        pass
    monkeypatch.undo()
    assert not list(target.parent.iterdir())


def test_a_folder_that_is_not_there_or_is_a_file(source: Clip, target: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        open_writer(tmp_path / "absent" / "deeper" / target.name, source.info, overwrite=False)
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError), open_writer(tmp_path / "file" / target.name, source.info, overwrite=False):
        pass


@pytest.mark.parametrize("name", ["out.avi", "out.png", "out_%d_%d.png", "out.jpg", "out_%05d.jpg"])
def test_a_name_that_says_no_known_format(source: Clip, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError):
        open_writer(tmp_path / name, source.info, overwrite=False)


def test_a_folder_in_the_way_of_a_video(source: Clip, tmp_path: Path) -> None:
    (tmp_path / "out.mp4" / "x").mkdir(parents=True)
    with open_writer(tmp_path / "out.mp4", source.info, overwrite=False) as writer:
        writer.write(source.frame(0))
    assert (tmp_path / "out.mp4" / "00000.png").exists()


def test_frames_of_another_size_are_refused(source: Clip, target: Path) -> None:
    frame = replace(source.frame(0), image=picture(0))
    with pytest.raises(OutputError, match="64 x 48, not 96 x 64"):
        with open_writer(target, source.info, overwrite=False) as writer:
            writer.write(frame)
    assert not list(target.parent.rglob("*"))


def test_frames_out_of_order_are_refused(source: Clip, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not later"):
        with open_writer(tmp_path / "out.mp4", source.info, overwrite=False) as writer:
            writer.write(source.frame(3))
            writer.write(source.frame(3))


def test_an_export_without_frames_is_refused(source: Clip, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no frame"), open_writer(tmp_path / "o.mp4", source.info, overwrite=False):
        pass
    assert not (tmp_path / "o.mp4").exists()


@pytest.mark.parametrize("fault", ["frame lost", "time moved", "file cut"])
def test_what_does_not_read_back_as_written_is_never_named(
    source: Clip, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    out.write_bytes(b"mine")
    verify = writer_module.VideoWriter._verify

    def faulty(self: Any, part: Path) -> None:
        if fault == "frame lost":
            self._times.insert(1, self._times[0] + Fraction(1, 1000))
        elif fault == "time moved":
            self._times[-1] += Fraction(1, 10)
        else:
            os.truncate(part, part.stat().st_size // 3)
        verify(self, part)

    monkeypatch.setattr(writer_module.VideoWriter, "_verify", faulty)
    with pytest.raises(OutputError), open_writer(out, source.info, overwrite=True) as writer:
        for frame in source.frames():
            writer.write(frame)
    assert out.read_bytes() == b"mine"
    assert others_in(tmp_path, out, source.info.path) == []


def test_damaged_sound_does_not_stop_the_pictures(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mkv", sound="aac", frames=50)
    data = bytearray(path.read_bytes())
    rng = np.random.default_rng(3)
    for place in rng.integers(len(data) // 2, len(data), 30):
        data[place] = rng.integers(256)
    path.write_bytes(data)
    export(path, tmp_path / "out.mkv")
    with open_clip(path) as old, open_clip(tmp_path / "out.mkv") as new:
        assert new.info.frame_count == old.info.frame_count
