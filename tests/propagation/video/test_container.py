"""Files that are no clips, damaged files and traps: each a typed error, and nothing else is opened or allocated."""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
import zlib
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from propagation.errors import LimitError, MediaError, MissingMediaError
from propagation.video import container, limits
from propagation.video.container import media_boundary, open_container
from propagation.video.limits import Limits, check_count, check_picture
from propagation.video.probe import probe
from propagation.video.reader import open_clip
from tests.media import make_clip, number_in

PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{secret}\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{secret}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{secret}</BaseURL></MPD>',
    "text": "This is a letter, not a film.\n" * 50,
}
NAMES = [
    "concat:{0}|{0}",
    "subfile,,start,0,end,0,,:{0}",
    "file:{0}",
    "data:video/mp4;base64,AAAA",
    "pipe:0",
    "cache:{0}",
]


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".m3u8"])
def test_a_text_file_or_playlist_with_a_videos_name(tmp_path: Path, kind: str, suffix: str) -> None:
    secret = make_clip(tmp_path / "secret.ts", frames=5)
    trap = tmp_path / f"trap{suffix}"
    trap.write_text(PLAYLISTS[kind].format(secret=secret))
    with pytest.raises(MediaError) as caught:
        open_clip(trap)
    assert caught.value.path == trap


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_only_ever_a_file(tmp_path: Path, name: str) -> None:
    clip = make_clip(tmp_path / "clip.ts", frames=5)
    with pytest.raises(MissingMediaError):
        open_clip(name.format(clip))


def test_an_address_is_not_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.3)
        called: list[bool] = []

        def accept() -> None:
            try:
                server.accept()
                called.append(True)
            except TimeoutError:
                pass

        listener = threading.Thread(target=accept)
        listener.start()
        with pytest.raises(MissingMediaError):
            open_clip(f"http://127.0.0.1:{server.getsockname()[1]}/clip.mp4")
        listener.join()
    assert not called


AWKWARD_NAMES = [
    "-i.mp4",
    "a%d.mp4",
    "a:b,c.mp4",
    "line\nbreak.mp4",
    "'quote\".mp4",
    "; rm.mp4",
    "\u202egnp.mp4",
    "x" * 250 + ".mp4",
]


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_awkward_names_open_that_very_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    make_clip(tmp_path / "clip.mp4", frames=3).rename(path)
    with open_clip(path) as clip:
        assert clip.info.frame_count == 3


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4"))
    make_clip(tmp_path / "clip.mp4", frames=3).rename(path)
    try:
        with open_clip(path) as clip:
            assert clip.info.frame_count == 3
    except MediaError as error:
        assert error.path == path


@pytest.mark.parametrize("what", ["missing", "folder", "empty", "noise", "pipe"])
def test_what_is_no_clip(tmp_path: Path, what: str) -> None:
    path = tmp_path / "clip.mp4"
    if what == "folder":
        path.mkdir()
    elif what == "empty":
        path.touch()
    elif what == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(50_000))
    elif what == "pipe":
        os.mkfifo(path)
    expected = MissingMediaError if what == "missing" else MediaError
    with pytest.raises(expected) as caught:
        open_clip(path)
    assert str(path) in str(caught.value)
    if what == "noise":
        assert "no video that can be read here" in str(caught.value)


def test_no_rights_to_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may read everything, so the refusal is played."""
    path = make_clip(tmp_path / "clip.mp4", frames=3)

    def refuse(*_args: object, **_words: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(MediaError, match="may not be read"):
        open_clip(path)


def test_sound_alone_is_no_clip(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(MediaError, match="no video track"):
        open_clip(path)


@pytest.mark.parametrize("kept", [1, 20, 200, 0.3])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts"])
def test_a_file_cut_short_is_read_or_refused(tmp_path: Path, name: str, kept: float) -> None:
    codec = {"codec": "mpeg4", "options": {}} if name.endswith("avi") else {}
    path = make_clip(tmp_path / name, **codec)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data)) if kept < 1 else int(kept)])
    try:
        with open_clip(path) as clip:
            assert sum(1 for _ in clip.frames()) == clip.info.frame_count > 0
    except MediaError as error:
        assert error.path == path


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.avi", "clip.gif"])
def test_mutated_files_are_read_or_refused(tmp_path: Path, name: str) -> None:
    changes = {
        "clip.avi": {"codec": "mpeg4", "options": {}},
        "clip.gif": {"codec": "gif", "pixel_format": "rgb8", "options": {}},
    }
    data = make_clip(tmp_path / name, frames=8, **changes.get(name, {})).read_bytes()
    rng = np.random.default_rng(7)
    mutant = tmp_path / f"mutant{Path(name).suffix}"
    for _ in range(15):
        changed = bytearray(data)
        for place in rng.integers(0, len(data), 12):
            changed[place // (1 + place % 3)] = rng.integers(0, 256)
        mutant.write_bytes(changed)
        try:
            with open_clip(mutant) as clip:
                for frame in clip.frames(0, min(8, clip.info.frame_count)):
                    assert frame.image.shape[:2] == (clip.info.height, clip.info.width)
        except MediaError as error:
            assert error.path == mutant


@cache
def png_bomb(side: int) -> bytes:
    """A valid black PNG of side x side pixels, a thousandth of their size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    row = bytes(1 + 3 * side)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def forget_peak_memory() -> int:
    """Bytes held now; the peak counts anew from here."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_memory_bytes()


def peak_memory_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize("name", ["bomb.png", "bomb.apng", "bomb.mp4", "bomb.webp"])
def test_a_picture_bomb_is_refused_before_it_is_decoded(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(png_bomb(9000))
    before = forget_peak_memory()
    with pytest.raises(MediaError) as caught:
        open_clip(path)
    assert peak_memory_bytes() - before < 64 << 20
    if name == "bomb.png":
        assert isinstance(caught.value, LimitError)
        assert "81000000" in str(caught.value) and "70000000" in str(caught.value)


@pytest.mark.parametrize(("name", "codec"), [("clip.mp4", "libx264"), ("clip.mkv", "ffv1"), ("clip.ts", "libx264")])
def test_a_video_larger_than_the_limit(tmp_path: Path, name: str, codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / name, codec=codec, options={}, frames=12)
    small = Limits(pixels=64 * 48 - 1)
    monkeypatch.setattr(container, "LIMITS", small)
    monkeypatch.setattr(check_picture, "__kwdefaults__", {"limits": small})
    with pytest.raises(LimitError, match="3071 pixels"):
        open_clip(path)


def test_a_picture_that_grows_beyond_the_limit_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder itself refuses: the pictures within the limit stand in."""
    small = make_clip(tmp_path / "small.ts", frames=12)
    large = make_clip(tmp_path / "large.ts", frames=12, width=640, height=480)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    monkeypatch.setattr(container, "LIMITS", Limits(pixels=64 * 48))
    with open_clip(both) as clip:
        shown = [number_in(frame.image) for frame in clip.frames()]
        assert 8 <= len(shown) == clip.info.frame_count
        assert shown == sorted(set(shown))


def test_a_picture_far_larger_than_its_file() -> None:
    with pytest.raises(LimitError, match="10000 times the file"):
        check_picture(Path("x"), 8000, 8000, bytes_per_pixel=3, file_bytes=10_000)
    check_picture(Path("x"), 8000, 8000, bytes_per_pixel=3, file_bytes=20_000)


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (16_385, 1), (1, 16_385), (8400, 8400)])
def test_sizes_beyond_the_limits(size: tuple[int, int]) -> None:
    with pytest.raises(LimitError):
        check_picture(Path("x"), *size, bytes_per_pixel=3, file_bytes=1 << 30)


def test_a_limit_can_be_raised_knowingly() -> None:
    check_picture(Path("x"), 20_000, 100, bytes_per_pixel=3, file_bytes=1 << 30, limits=Limits(side_px=20_000))


def test_too_many_frames_or_streams() -> None:
    with pytest.raises(LimitError, match="65 streams"):
        check_count(Path("x"), "streams", 65, limits.LIMITS.streams)


@pytest.mark.parametrize(
    "error", [UnicodeDecodeError("utf-8", b"", 0, 1, "x"), IndexError(), AttributeError("y"), OSError(5, "io")]
)
def test_whatever_a_library_raises_becomes_a_media_error(error: Exception) -> None:
    with pytest.raises(MediaError) as caught, media_boundary(Path("a.mp4"), "open it"):
        raise error
    assert str(caught.value).startswith("a.mp4: could not open it: ")


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_these_pass_the_boundary(error: type[BaseException]) -> None:
    with pytest.raises(error), media_boundary(Path("a.mp4"), "open it"):
        raise error


def test_the_log_of_ffmpeg_never_comes_to_python(tmp_path: Path) -> None:
    """With PyAV's callback and threaded decoding damaged files deadlock; measured on 4 of 18 batches."""
    probe(make_clip(tmp_path / "clip.mp4", frames=3))
    assert av.logging.get_level() is None


def test_opening_and_closing_leaves_no_file_open(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "clip.mp4", frames=3)
    noise = tmp_path / "noise.mp4"
    noise.write_bytes(bytes(5000))
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with open_clip(path) as clip:
            clip.frame(2)
        with pytest.raises(MediaError):
            open_clip(noise)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_open_container_hands_back_an_open_file(tmp_path: Path) -> None:
    with open_container(make_clip(tmp_path / "clip.mp4", frames=3)) as opened:
        assert len(opened.streams.video) == 1
