"""Which pictures a video file holds, when each is shown, and where decoding can start.

The list is made by reading packets without decoding, which costs milliseconds, and is then checked against what the
decoder really delivers at the head of the file (and at its tail, if the file looks cut off). Where the two differ (no
or repeated timestamps, fields coded apart, hidden pictures, damage) the whole file is decoded once: slow, and right.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from propagation.errors import MediaError
from propagation.video.container import Decoder, has_alpha_beside, media_boundary
from propagation.video.limits import LIMITS, check_count

HEAD_FRAMES = 16  # pictures decoded to check the packet list; two mini-GOPs of the usual encoders


@dataclass(frozen=True)
class FrameIndex:
    """The pictures of a file in display order.

    `pts` is strictly increasing; `keys` are the entries of `pts` at which decoding can start. With `by_count`
    timestamps cannot find a picture after a seek (MPEG program streams, files without times), and it is found by
    counting from the front.
    """

    pts: tuple[int, ...]
    keys: tuple[int, ...]
    by_count: bool = False
    problems: tuple[str, ...] = ()

    def key_before(self, pts: int) -> int:
        """Position in `keys` of the last one at or before `pts`; -1 when there is none."""
        return bisect_right(self.keys, pts) - 1


@dataclass(frozen=True)
class _PacketList:
    """What the packets say: the times of shown pictures, of key pictures, and the signs of damage."""

    pts: tuple[int, ...]
    keys: tuple[int, ...]
    packets: int
    missing_pts: bool
    cut_by_parser: bool  # packets without a place of their own in the file, so with guessed times after a seek
    corrupt: bool
    broken: str


def build_index(decoder: Decoder) -> tuple[FrameIndex, VideoFrame]:
    """Index the file of `decoder` and hand back its first picture too; the decoder is left somewhere in the file.

    Raises MediaError when not a single picture can be decoded.
    """
    with media_boundary(decoder.path, "list its pictures"):
        listed = _list_packets(decoder)
    # Formats that only know byte positions cannot seek to time 0, so the file is opened again.
    decoder.rewind()
    head = _take(decoder, HEAD_FRAMES)
    if not head:
        raise MediaError("not a single picture in it can be decoded", path=decoder.path, advice="Is the file complete?")
    first = head[0]
    if listed.missing_pts or not _agrees(head, listed.pts):
        return _index_by_decoding(decoder, listed), first
    index = FrameIndex(listed.pts, listed.keys, by_count=listed.cut_by_parser)
    if _looks_cut_off(decoder.stream, listed):
        index = _without_lost_tail(decoder, index)
    return index, first


def _list_packets(decoder: Decoder) -> _PacketList:
    pts: list[int] = []
    keys: list[int] = []
    packets, missing, cut_by_parser, corrupt = 0, False, False, False
    while (packet := decoder.next_packet()) is not None:
        if packet.size == 0 and packet.pts is None and packet.dts is None:
            continue  # PyAV's flush mark at the end
        packets += 1
        check_count(decoder.path, "frames", packets, LIMITS.frames)
        corrupt = corrupt or packet.is_corrupt
        cut_by_parser = cut_by_parser or packet.pos is None
        if packet.is_discard or _is_hidden(decoder.stream, packet):
            continue
        if packet.pts is None:
            missing = True
            continue
        pts.append(packet.pts)
        if packet.is_keyframe and _alpha_starts_here(decoder.stream, packet):
            keys.append(packet.pts)
    shown = tuple(sorted(set(pts)))
    missing = missing or len(shown) != len(pts)
    return _PacketList(shown, tuple(sorted(set(keys))), packets, missing, cut_by_parser, corrupt, decoder.broken)


def _is_hidden(stream: VideoStream, packet: Packet[VideoStream]) -> bool:
    """VP8 keeps reference pictures that are never shown in packets of their own (RFC 6386, 9.1: bit 4 is
    show_frame)."""
    return stream.codec_context.name == "vp8" and packet.size > 0 and not bytes(packet)[0] >> 4 & 1


def _alpha_starts_here(stream: VideoStream, packet: Packet[VideoStream]) -> bool:
    """Whether the alpha plane that WebM carries beside a key picture (if any) is a key picture too; it need not be.

    The block holds an 8-byte identifier, then a frame of the same codec, in whose first byte a key picture has a 0 in
    bit 0 (VP8: RFC 6386, 9.1) or bit 2 (VP9: bitstream specification, 6.2).
    """
    if not has_alpha_beside(stream) or not packet.has_sidedata("matroska_block_additional"):
        return True
    alpha = bytes(packet.get_sidedata("matroska_block_additional"))[8:9]
    bit = {"vp8": 0, "vp9": 2}.get(stream.codec_context.name)
    return not alpha or bit is None or not alpha[0] >> bit & 1


def _take(decoder: Decoder, count: int) -> list[VideoFrame]:
    frames: list[VideoFrame] = []
    while len(frames) < count and (frame := decoder.next()) is not None:
        frames.append(frame)
    return frames


def _agrees(head: list[VideoFrame], pts: tuple[int, ...]) -> bool:
    """Whether the first decoded pictures are the first listed ones."""
    expected = pts[: len(head)] if len(head) == HEAD_FRAMES else pts
    return tuple(frame.pts for frame in head) == expected


def _looks_cut_off(stream: VideoStream, listed: _PacketList) -> bool:
    if listed.broken or listed.corrupt:
        return True
    # Some formats count dropped frames among `frames`, so the duration must be missing too.
    end = listed.pts[-1] + 2 * _ticks_per_frame(stream)
    return listed.packets < stream.frames and (stream.duration is None or end < stream.duration)


def _without_lost_tail(decoder: Decoder, index: FrameIndex) -> FrameIndex:
    """Drop listed pictures behind the last one that decodes."""
    last: int | None = None
    for key in reversed(index.keys):
        decoder.seek(key)
        while (frame := decoder.next()) is not None:
            if frame.pts is not None and not frame.is_corrupt:
                last = frame.pts if last is None else max(last, frame.pts)
        if last is not None:
            break
    if last is None:
        return index
    pts = tuple(time for time in index.pts if time <= last)
    keys = tuple(time for time in index.keys if time <= last)
    problem = f"the file is cut off or damaged: it ends after frame {len(pts) - 1}"
    return replace(index, pts=pts, keys=keys, problems=(*index.problems, problem))


def _index_by_decoding(decoder: Decoder, listed: _PacketList) -> FrameIndex:
    decoder.rewind()
    damaged_before = decoder.damaged
    times: list[int | None] = []
    while (frame := decoder.next()) is not None:
        times.append(frame.pts)
        check_count(decoder.path, "frames", len(times), LIMITS.frames)
    problems: list[str] = []
    if decoder.damaged > damaged_before:
        problems.append(f"{decoder.damaged - damaged_before} damaged packets were skipped")
    if decoder.broken or listed.broken:
        problems.append(f"the file is cut off or damaged: it ends after frame {len(times) - 1}")
    known = [time for time in times if time is not None]
    if len(known) == len(times) and all(a < b for a, b in zip(known, known[1:], strict=False)):
        shown = set(known)
        keys = tuple(time for time in listed.keys if time in shown)
        return FrameIndex(tuple(known), keys, by_count=listed.cut_by_parser, problems=tuple(problems))
    pts = _repaired(times, _ticks_per_frame(decoder.stream))
    problems.append("the file has missing or repeated timestamps; they were filled in from the frame rate")
    return FrameIndex(pts, (), by_count=True, problems=tuple(problems))


def _ticks_per_frame(stream: VideoStream) -> int:
    rate = stream.average_rate or stream.guessed_rate or Fraction(25)
    return max(1, round(1 / (rate * (stream.time_base or Fraction(1, 1000)))))


def _repaired(times: list[int | None], step: int) -> tuple[int, ...]:
    """Strictly increasing times: a missing one lies `step` after the one before, a repeated one a tick after it.

    After a jump backwards (clips joined end to end) all later times are moved on, to go on `step` after the jump.
    """
    repaired: list[int] = []
    moved = 0
    for time in times:
        previous = repaired[-1] if repaired else None
        if time is None:
            repaired.append(0 if previous is None else previous + step)
            continue
        if previous is not None and time + moved < previous:
            moved = previous + step - time
        repaired.append(time + moved if time + moved != previous else previous + 1)
    return tuple(repaired)
