"""Finished frames out: H.264 in MP4, MKV or MOV with the source's sound, or numbered PNG files.

A video is written as `.part`, closed, flushed, read back (frame count, first and last time) and only then renamed;
pictures wait in a hidden folder beside their names until the last one is written. So a stopped or failed export leaves
nothing under the final names and never harms a file that was there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.container import OutputContainer
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from propagation.atomic import atomic_write, check_target, output_boundary
from propagation.color.tags import ColorTags
from propagation.errors import MediaError, OutputError, PropagationError
from propagation.video.audio import AudioCopy
from propagation.video.container import Decoder
from propagation.video.frame import ClipInfo, Frame
from propagation.video.index import build_index
from propagation.video.picture_writer import PictureWriter
from propagation.video.pixels import to_coded
from propagation.video.sequence import DEFAULT_PATTERN, is_pattern
from propagation.video.writing import Writer

VIDEO_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# CRF 17 is visually lossless by x264's own account. Beside `medium`, `fast` makes files of like size a little further
# from the source, and leaves more of the processor to what makes the frames.
_X264 = {"crf": "17", "preset": "fast"}
# The index in front lets a player start before the whole file has come; it costs one more pass at the end.
_MUXER_OPTIONS = {"mp4": {"movflags": "+faststart"}, "mov": {"movflags": "+faststart"}, "matroska": {}}


def open_writer(
    out: str | Path,
    info: ClipInfo,
    *,
    overwrite: bool,
    bit_depth: int | None = None,
    frames: range | None = None,
) -> Writer:
    """A writer for frames of the clip `info`, of its size and times; use it in a `with`.

    `out` is a name ending in .mp4, .mkv or .mov, a pattern such as `shot_%05d.png`, or a folder (then `%05d.png` in it;
    it is made if its parent is there). `bit_depth` is what is written: None keeps 8 bits for 8-bit clips, and writes 10
    (H.264) or 16 (PNG) for deeper ones. `frames` names the frames that will come, for the check that none of their
    pictures exists. Raises OutputExistsError or OutputError at once, before anything is computed.
    """
    out = Path(out)
    if out.suffix.lower() in VIDEO_FORMATS and not out.is_dir():
        return VideoWriter(out, info, overwrite=overwrite, bit_depth=bit_depth)
    if is_pattern(out) and out.suffix.lower() == ".png":
        pattern = out
    elif out.suffix == "" or out.is_dir():
        pattern = out / DEFAULT_PATTERN
    else:
        raise OutputError(
            f"cannot write '{out.suffix}'",
            path=out,
            advice="Use .mp4, .mkv, .mov, a pattern like %05d.png, or a folder",
        )
    expected = range(info.frame_count) if frames is None else frames
    return PictureWriter(pattern, info, overwrite=overwrite, bit_depth=bit_depth, frames=expected)


class VideoWriter(Writer):
    """H.264 with the BT.709 matrix in limited range, 4:2:0, with the source's sound and times."""

    def __init__(self, out: Path, info: ClipInfo, *, overwrite: bool, bit_depth: int | None) -> None:
        super().__init__()
        check_target(out, overwrite=overwrite)
        self._out = out
        self._info = info
        self._overwrite = overwrite
        depth = bit_depth or (8 if info.bit_depth == 8 else 10)
        if depth not in (8, 10):
            raise OutputError(f"H.264 is written with 8 or 10 bits, not {depth}", path=out)
        self._pixel_format = "yuv420p" if depth == 8 else "yuv420p10le"
        self._tags = written_tags(info.tags)
        self._scaler = VideoReformatter()
        self._times: list[Fraction] = []
        self._stack = ExitStack()
        self._container: OutputContainer
        self._stream: VideoStream
        self._audio: AudioCopy | None = None
        self._describe(depth)

    def _describe(self, depth: int) -> None:
        info = self._info
        padded = [f"one {name}" for name, size in (("column", info.width), ("row", info.height)) if size % 2]
        if padded:
            self._notes.append(
                f"{info.width} x {info.height} is odd and H.264 4:2:0 needs even sizes: {' and '.join(padded)} was "
                "repeated at the edge"
            )
        if depth == 10:
            self._notes.append("written with 10 bits (H.264 High 10); some players only show 8")
        if info.has_alpha:
            self._notes.append("H.264 has no alpha; it was left out")

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            part = stack.enter_context(atomic_write(self._out, overwrite=self._overwrite, verify=self._verify))
            stack.enter_context(self._encoding(part))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, value, trace)

    @contextmanager
    def _encoding(self, part: Path) -> Iterator[None]:
        """The open encoder and muxer; leaving without an error writes what they still hold and closes the file."""
        name = VIDEO_FORMATS[self._out.suffix.lower()]
        with ExitStack() as stack, _muxing(self._out):
            url = f"file:{part.absolute()}"
            self._container = av.open(url, "w", format=name, container_options=dict(_MUXER_OPTIONS[name]))
            stack.callback(self._close_quietly)
            self._stream = self._add_stream()
            if self._info.has_audio:
                self._audio = AudioCopy(self._info.path, self._container, self._out)
                stack.callback(self._audio.close)
                self._audio.start(self._out)
            yield
            if not self._times:
                raise OutputError("no frame was written", path=self._out)
            self._container.mux(self._stream.encode(None))
            if self._audio is not None:
                self._audio.advance(None)
                self._notes.extend(self._audio.notes)
            self._container.close()

    def _close_quietly(self) -> None:
        # After a failure closing fails again for the same reason; the first error is the one to tell.
        with suppress(av.FFmpegError, OSError, ValueError):
            self._container.close()

    def _add_stream(self) -> VideoStream:
        info = self._info
        stream: VideoStream = self._container.add_stream("libx264", rate=info.rate, options=dict(_X264))
        context = stream.codec_context
        context.width, context.height = info.width + info.width % 2, info.height + info.height % 2
        context.pix_fmt = self._pixel_format
        context.time_base = info.time_base
        stream.time_base = info.time_base
        context.sample_aspect_ratio = info.sample_aspect
        context.color_primaries = self._tags.primaries
        context.color_trc = self._tags.transfer
        context.colorspace = self._tags.matrix
        context.color_range = 1  # FFmpeg's number for limited
        return stream

    def write(self, frame: Frame) -> None:
        image = self._checked(frame)
        with _muxing(self._out):
            coded = to_coded(image, self._scaler, self._pixel_format, self._tags.matrix)
            coded.color_primaries, coded.color_trc = self._tags.primaries, self._tags.transfer
            coded.pts, coded.time_base = self._ticks(frame), self._info.time_base
            self._container.mux(self._stream.encode(coded))
            self._times.append(frame.time)
            if self._audio is not None:
                self._audio.advance(frame.time)

    def _checked(self, frame: Frame) -> NDArray[Any]:
        """The picture to encode: right size, no alpha, padded to even sides by its own last row and column."""
        height, width = frame.image.shape[:2]
        if (width, height) != (self._info.width, self._info.height):
            expected = f"{self._info.width} x {self._info.height}"
            raise OutputError(f"frame {frame.index} is {width} x {height}, not {expected}", path=self._out)
        if self._times and frame.time <= self._times[-1]:
            raise OutputError(f"frame {frame.index} is not later than the one before", path=self._out)
        return np.pad(frame.image[..., :3], ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")

    def _ticks(self, frame: Frame) -> int:
        ticks = frame.time / self._info.time_base
        if ticks.denominator != 1:
            raise OutputError(f"frame {frame.index} lies between two ticks of the clip's clock", path=self._out)
        return int(ticks)

    def _verify(self, part: Path) -> None:
        """Read the finished file back; OutputError unless it holds what was written, at the times it was given."""
        try:
            with Decoder(part) as decoder:
                index, _first = build_index(decoder)
                tick = Fraction(decoder.stream.time_base or 1)
        except MediaError as error:
            raise OutputError(f"the written file does not read back: {error.what}", path=self._out) from error
        written = [self._times[0], self._times[-1]]
        found = [index.pts[0] * tick, index.pts[-1] * tick]
        if len(index.pts) != len(self._times):
            raise OutputError(f"has {len(index.pts)} frames instead of {len(self._times)}", path=self._out)
        # The container's clock may be coarser than the source's (MKV: 1 ms); half a tick is its rounding.
        if any(abs(a - b) > tick / 2 for a, b in zip(written, found, strict=True)):
            ran, wanted = (f"{float(first):.4f} to {float(last):.4f} s" for first, last in (found, written))
            raise OutputError(f"runs from {ran} instead of {wanted}", path=self._out)


def written_tags(tags: ColorTags) -> ColorTags:
    """The tags an export gets: what the source stated is kept, what was guessed is written as BT.709, BT.709's matrix.

    BT.2020 primaries take their own matrix, since no player expects another beside them.
    """
    primaries = 1 if "primaries" in tags.guessed else tags.primaries
    transfer = 1 if "transfer" in tags.guessed else tags.transfer
    return ColorTags(primaries, transfer, 9 if primaries == 9 else 1, 0)


@contextmanager
def _muxing(out: Path) -> Iterator[None]:
    """Turn what encoder and muxer raise into OutputError or NoSpaceError."""
    try:
        with output_boundary(out):
            yield
    except (PropagationError, MemoryError):
        raise
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(f"the encoder failed: {error}", path=out) from error
