"""What the program sees in a clip, a sequence or a still, without decoding it all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange

from propagation.color.tags import ColorTags, resolve_tags
from propagation.video import pixels
from propagation.video.container import Decoder, media_boundary
from propagation.video.frame import ClipInfo
from propagation.video.index import FrameIndex, build_index
from propagation.video.limits import check_picture
from propagation.video.orientation import Orientation, orientation_of
from propagation.video.sequence import find_pictures, probe_pictures

# Codecs that keep grey pictures as they are, over all codes, unless they say otherwise.
_FULL_GREY_CODECS = frozenset("ffv1 mjpeg png apng gif rawvideo qtrle huffyuv ffvhuff utvideo webp".split())
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}


def probe(path: str | Path) -> ClipInfo:
    """What is known about the clip, image sequence (folder, pattern or first file) or still at `path`.

    Raises MissingMediaError, LimitError, or MediaError for anything that cannot be read as pictures.
    """
    found = find_pictures(Path(path))
    if found is not None:
        return probe_pictures(found)
    with Decoder(Path(path)) as decoder:
        return examine(decoder).info


@dataclass(frozen=True)
class Examined:
    """A video file's info, and what the reader needs besides."""

    info: ClipInfo
    index: FrameIndex
    orientation: Orientation
    coded_width: int
    coded_height: int


def examine(decoder: Decoder) -> Examined:
    """Look through the file of `decoder`: index it and read the tags off its first picture."""
    path = decoder.path
    with media_boundary(path, "look at it"):
        file_bytes = path.stat().st_size
        stream = decoder.stream
        check_picture(path, stream.width, stream.height, bytes_per_pixel=3, file_bytes=file_bytes)
        index, first = build_index(decoder)
        check_picture(path, first.width, first.height, bytes_per_pixel=3, file_bytes=file_bytes)
        return _examined(decoder, index, first)


def _examined(decoder: Decoder, index: FrameIndex, first: VideoFrame) -> Examined:
    stream = decoder.stream
    orientation = orientation_of(first)
    codec = stream.codec_context.name
    tags = tags_of(first, codec)
    aspect = stream.sample_aspect_ratio or Fraction(1)
    width, height = first.width, first.height
    if orientation.swaps_sides:
        width, height, aspect = height, width, 1 / aspect
    rate = stream.average_rate or stream.guessed_rate or stream.base_rate or Fraction(25)
    info = ClipInfo(
        path=decoder.path,
        kind="video",
        width=width,
        height=height,
        frame_count=len(index.pts),
        rate=Fraction(rate),
        time_base=Fraction(stream.time_base or Fraction(1, 1000)),
        pts=index.pts,
        tags=tags,
        bit_depth=pixels.source_bits(first),
        has_alpha=pixels.has_alpha(first),
        rotation=orientation.clockwise,
        mirrored=orientation.mirrored,
        sample_aspect=Fraction(aspect),
        codec=codec,
        has_audio=bool(decoder.container.streams.audio),
        problems=(*index.problems, *_problems(first, tags, orientation)),
    )
    return Examined(info, index, orientation, first.width, first.height)


def tags_of(frame: VideoFrame, codec: str) -> ColorTags:
    """The colour tags of a decoded picture, completed by the rules of `propagation.color.tags`."""
    full: bool | None = None
    if frame.color_range != ColorRange.UNSPECIFIED:
        full = frame.color_range == ColorRange.JPEG
    if frame.format.name.startswith("yuvj"):
        full = True
    return resolve_tags(
        frame.color_primaries,
        frame.color_trc,
        frame.colorspace,
        full,
        is_rgb=pixels.is_rgb(frame),
        width=frame.width,
        height=frame.height,
        full_by_nature=pixels.is_grey(frame) and codec in _FULL_GREY_CODECS,
    )


def _problems(first: VideoFrame, tags: ColorTags, orientation: Orientation) -> list[str]:
    problems: list[str] = []
    if first.interlaced_frame:
        problems.append("the picture is interlaced; its fields are not separated")
    if orientation.skewed:
        problems.append("the file asks for a rotation that is no multiple of 90 degrees; it is ignored")
    if tags.transfer in _HDR_TRANSFERS:
        problems.append(f"the clip is HDR ({_HDR_TRANSFERS[tags.transfer]}); its values are treated as ordinary video")
    if tags.matrix not in pixels.LUMA_WEIGHTS and not pixels.is_rgb(first):
        problems.append(f"color matrix {tags.matrix} is not supported; BT.709 is used in its place")
    return problems
