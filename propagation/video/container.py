"""Opens media files inside a fence: local files only, known formats only, limits set, every failure a typed error.

PyAV's Python log callback is never switched on in this project: together with threaded decoders it deadlocks on damaged
files.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import av
from av.codec.context import ThreadType
from av.container import InputContainer
from av.stream import Discard, Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from propagation.errors import LimitError, MediaError, MissingMediaError, PropagationError
from propagation.video.limits import LIMITS, check_count

# Formats that hold moving pictures themselves. Absent on purpose: playlists and scripts (hls, concat, dash, sdp, imf),
# which open other files; image2, which reads patterns; and devices.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg,gif,apng,flv,asf,mxf,nut,yuv4mpegpipe,h264,hevc,mpegvideo,"
    "m4v,ivf,obu,av1,dv,webp_pipe,webp,rm,vvc"
)
# The native VP8 and VP9 decoders drop the alpha plane that WebM carries beside the picture; libvpx keeps it.
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_RIGHTS = (errno.EACCES, errno.EPERM)


@contextmanager
def media_boundary(path: Path, doing: str) -> Iterator[None]:
    """Turn whatever goes wrong while `doing` ("open the clip") to `path` into a MediaError.

    The errors of this project, MemoryError, KeyboardInterrupt and SystemExit pass unchanged. Codec libraries raise far
    more than their own class on damaged files (UnicodeDecodeError, IndexError, AttributeError have all been seen),
    hence `Exception`.
    """
    try:
        yield
    except (PropagationError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise MissingMediaError("no such file", path=path, advice="Check the name") from error
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _RIGHTS:
            raise MediaError("may not be read", path=path, advice="Check the rights of the file") from error
        reason = str(getattr(error, "strerror", None) or error) or type(error).__name__
        raise MediaError(f"could not {doing}: {reason}", path=path) from error


def open_container(path: Path) -> InputContainer:
    """Open a local media file under `LIMITS`; close it yourself.

    Raises MissingMediaError, MediaError (not a media file, a playlist, no rights) or LimitError.
    """
    check_plain_file(path)
    with media_boundary(path, "open it as a video"):
        try:
            # An absolute name behind `file:` cannot be taken for a protocol, an option or a pattern.
            container = av.open(f"file:{path.absolute()}", mode="r", options=_open_options(), metadata_errors="replace")
        except (av.error.InvalidDataError, av.error.ArgumentError, av.error.EOFError) as error:
            # These three are all FFmpeg says of noise, of formats off the list above, and of a file cut in its header.
            raise MediaError("is no video that can be read here, or is damaged", path=path) from error
    try:
        check_count(path, "streams", len(container.streams), LIMITS.streams)
        metadata_bytes = sum(len(key) + len(value) for key, value in container.metadata.items())
        check_count(path, "bytes of metadata", metadata_bytes, LIMITS.metadata_bytes)
    except PropagationError:
        container.close()
        raise
    return container


def _open_options() -> dict[str, str]:
    return {
        "protocol_whitelist": "file",
        "format_whitelist": DEMUXERS,
        # Opening decodes a little by itself, so the limit must already hold here, and again in the decoder.
        "max_pixels": str(LIMITS.pixels),
        "max_streams": str(LIMITS.streams),
        # FFmpeg's defaults, stated so that a change upstream is no surprise: bytes and microseconds looked at.
        "probesize": "5000000",
        "analyzeduration": "5000000",
    }


def check_plain_file(path: Path) -> None:
    """Raise unless `path` is a readable, ordinary, non-empty file."""
    with media_boundary(path, "look at it"):
        size = path.stat().st_size
        is_file = path.is_file()
    if not is_file:
        raise MediaError("is not an ordinary file", path=path)
    if size == 0:
        raise MediaError("is empty", path=path, advice="Copy or download it again")


def picture_stream(container: InputContainer, path: Path) -> VideoStream:
    """The track with the moving pictures: the default one, never a cover image; MediaError when there is none."""
    tracks = [track for track in container.streams.video if not track.disposition & Disposition.attached_pic]
    if not tracks:
        raise MediaError("has no video track", path=path)
    decodable = [track for track in tracks if track.codec_context is not None]
    if not decodable:
        raise MediaError("has a video track that no decoder here knows", path=path)
    sized = [track for track in decodable if track.width and track.height]
    if not sized:
        # This is how FFmpeg leaves a track whose decoder ran into the limit while the file was opened.
        raise LimitError(f"its pictures have no size, or one beyond the limit of {LIMITS.pixels} pixels", path=path)
    return next((track for track in sized if track.disposition & Disposition.default), sized[0])


def has_alpha_beside(stream: VideoStream) -> bool:
    """Whether a WebM track carries an alpha plane in blocks beside its pictures; the key is written in either case."""
    return any(key.lower() == "alpha_mode" and value == "1" for key, value in stream.metadata.items())


class Decoder:
    """Decodes the picture track of one file from front to back, with seeks.

    Damaged packets are counted in `damaged` and skipped: what a file still holds can be got out of it. Not thread-safe.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self.broken = ""  # why reading the file ended early, if it did
        self._ready: list[VideoFrame] = []
        self._open()

    def _open(self) -> None:
        self.container = open_container(self.path)
        try:
            with media_boundary(self.path, "set up its decoder"):
                self.stream = picture_stream(self.container, self.path)
                self._decode, self._flush = self._set_up()
        except BaseException:
            self.container.close()
            raise
        self._packets = self.container.demux(self.stream)

    def _set_up(self) -> tuple[Callable[[Any], list[VideoFrame]], Callable[[], None]]:
        for other in self.container.streams:
            if other.index != self.stream.index:
                other.discard = Discard.all
        self.stream.codec_context.options = {"max_pixels": str(LIMITS.pixels)}
        self.stream.thread_type = ThreadType.AUTO
        decoder = _ALPHA_DECODERS.get(self.stream.codec_context.name)
        if not has_alpha_beside(self.stream) or decoder is None:
            return self.stream.decode, lambda: None
        context = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
        context.extradata = self.stream.codec_context.extradata
        context.options = {"max_pixels": str(LIMITS.pixels)}
        return context.decode, context.flush_buffers

    def next(self) -> VideoFrame | None:
        """The next picture in display order, or None at the end (or where the file breaks off)."""
        while not self._ready:
            packet = self.next_packet()
            if packet is None:
                return None
            try:
                self._ready = list(self._decode(packet if packet.size else None))
            except MemoryError:
                raise
            except EOFError:
                return None
            except (av.FFmpegError, ValueError):
                self.damaged += 1
        return self._ready.pop(0)

    def next_packet(self) -> Any | None:
        """The next coded packet of the picture track, or None at the end; `broken` then tells an early one."""
        try:
            return next(self._packets, None)
        except MemoryError:
            raise
        except (av.FFmpegError, ValueError) as error:
            self.broken = str(error)
            return None

    def seek(self, pts: int) -> None:
        """Go to a picture decoding can start at, at or before `pts`; MediaError where the format cannot."""
        with media_boundary(self.path, "seek in it"):
            self.container.seek(pts, stream=self.stream, backward=True)
        self._restart()

    def rewind(self) -> None:
        """Go back to the very first picture, by opening the file anew: this works for every format."""
        self.close()
        self._ready.clear()
        self._open()

    def _restart(self) -> None:
        self._flush()
        self._ready.clear()
        self._packets = self.container.demux(self.stream)

    def close(self) -> None:
        """Release the file and the decoder; a second call does nothing."""
        self.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
