"""The source's sound, carried over packet by packet without decoding: not a byte of it changes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard

from propagation.errors import OutputError
from propagation.video.container import media_boundary, open_container

_MOST_TOLERANT = ".mkv"


class AudioCopy:
    """Copies every sound track of a file into an output, a little ahead of the pictures so that both stay interleaved.

    Make it before the output's header is written, then `start`. `notes` says what could not be carried over.
    """

    def __init__(self, source: Path, output: OutputContainer, target: Path) -> None:
        self.notes: list[str] = []
        self._source = source
        self._output = output
        self._input = open_container(source)
        try:
            self._streams = self._add_streams(target)
        except BaseException:
            self._input.close()
            raise
        self._packets = self._demux()
        self._waiting = next(self._packets, None)

    def _add_streams(self, target: Path) -> dict[int, AudioStream]:
        for stream in self._input.streams:
            if stream.type != "audio":
                stream.discard = Discard.all
        streams: dict[int, AudioStream] = {}
        for track in self._input.streams.audio:
            try:
                if target.suffix.lower() == ".mp4" and _codec(track).startswith("pcm_"):
                    # ISO/IEC 23003-5 allows it, few players do, and FFmpeg fails at the very end without a layout.
                    raise ValueError("no raw sound in MP4")
                streams[track.index] = self._output.add_stream_from_template(track)
            except (av.FFmpegError, ValueError, AttributeError) as error:
                if target.suffix.lower() != _MOST_TOLERANT:
                    raise _does_not_fit([track], target) from error
                # There is no better format to point to, and the pictures are worth having without it.
                self.notes.append(f"sound coded as {_codec(track)} cannot be carried over; it was left out")
        return streams

    def start(self, target: Path) -> None:
        """Write the output's header; OutputError when only now it turns out that the sound does not fit."""
        try:
            self._output.start_encoding()
        except (av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) or not self._streams:
                raise
            raise _does_not_fit(list(self._input.streams.audio), target) from error

    def _demux(self) -> Iterator[Packet[Any]]:
        tracks = tuple(track for track in self._input.streams.audio if track.index in self._streams)
        packets = self._input.demux(tracks)
        while tracks:
            try:
                packet = next(packets, None)
            except (av.FFmpegError, ValueError):
                self.notes.append("the source's sound is damaged; it was copied up to the damage")
                return
            if packet is None:
                return
            if packet.size and packet.dts is not None:
                yield packet

    def advance(self, time: Fraction | None) -> None:
        """Copy the packets due up to `time` seconds, or all that remain."""
        while (packet := self._waiting) is not None:
            if time is not None and (packet.dts or 0) * packet.time_base > time:
                return
            packet.stream = self._streams[packet.stream_index]
            self._output.mux(packet)
            self._waiting = next(self._packets, None)

    def close(self) -> None:
        """Release the source."""
        with media_boundary(self._source, "close it"):
            self._input.close()


def _codec(track: AudioStream) -> str:
    return track.codec_context.name if track.codec_context is not None else "an unknown codec"


def _does_not_fit(tracks: list[AudioStream], target: Path) -> OutputError:
    codecs = " and ".join(sorted({_codec(track) for track in tracks}))
    suffix = target.suffix.lower()
    return OutputError(f"sound coded as {codecs} does not fit into {suffix} files", path=target, advice="Write .mkv")
