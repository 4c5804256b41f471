"""Clips with frame-exact access by index: videos, numbered pictures and stills behind one class.

Nothing is read ahead but what the decoder itself holds (a few pictures per thread), and no more than `REVERSE_BYTES` of
decoded pictures are kept when a clip is read backwards.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from propagation.errors import MediaError, RangeError
from propagation.video.access import RandomAccess
from propagation.video.container import Decoder, media_boundary
from propagation.video.frame import ClipInfo, Frame
from propagation.video.images import read_image
from propagation.video.pixels import PixelReader
from propagation.video.probe import Examined, examine
from propagation.video.sequence import find_pictures, probe_pictures

REVERSE_BYTES = 128 << 20  # coded pictures kept while reading backwards


def open_clip(path: str | Path) -> Clip:
    """Open the video file, image sequence (folder, `%05d` pattern or first file) or still at `path`; close it yourself.

    Raises MissingMediaError, LimitError, or MediaError for anything that cannot be read as pictures.
    """
    found = find_pictures(Path(path))
    return VideoClip(Path(path)) if found is None else PictureClip(probe_pictures(found))


class Clip(ABC):
    """Frames by number. Use as a context manager. One clip belongs to one thread at a time."""

    def __init__(self, info: ClipInfo) -> None:
        self._info = info
        self._problems: list[str] = []

    @property
    def info(self) -> ClipInfo:
        """What is known about the clip; `problems` grows when reading meets damage."""
        if not self._problems:
            return self._info
        return dataclasses.replace(self._info, problems=(*self._info.problems, *self._problems))

    def frame(self, index: int) -> Frame:
        """Frame `index`, from 0 in display order, exactly that one. RangeError outside the clip, MediaError on
        damage."""
        if not 0 <= index < self._info.frame_count:
            last = self._info.frame_count - 1
            raise RangeError(f"frame {index} is outside the clip (0 to {last})", path=self._info.path)
        return self._read(index)

    def frames(self, start: int = 0, stop: int | None = None, step: int = 1) -> Iterator[Frame]:
        """The frames start <= n < stop in order, or last first with `step` -1; `stop` None is the end of the clip.

        Every frame is decoded when it is asked for. RangeError for a range outside the clip.
        """
        count = self._info.frame_count
        stop = count if stop is None else stop
        if not 0 <= start <= stop <= count:
            raise RangeError(f"frames {start}:{stop} are outside the clip (0 to {count})", path=self._info.path)
        if step not in (1, -1):
            raise ValueError(f"step is 1 or -1, not {step}")
        return (self._read(n) for n in range(start, stop)) if step == 1 else self._backwards(start, stop)

    def _backwards(self, start: int, stop: int) -> Iterator[Frame]:
        for index in reversed(range(start, stop)):
            yield self._read(index)

    @abstractmethod
    def again(self) -> Clip:
        """The same clip once more, for another thread: what is known of it is not looked for anew. Close it yourself.

        Raises what `open_clip` raises where the file has gone.
        """

    @abstractmethod
    def _read(self, index: int) -> Frame: ...

    def close(self) -> None:  # noqa: B027  (stills hold nothing open)
        """Release the file; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class PictureClip(Clip):
    """A sequence of stills, or one still."""

    def again(self) -> PictureClip:
        return PictureClip(self._info)

    def _read(self, index: int) -> Frame:
        file = self._info.files[index]
        image = self._fitted(read_image(file).image, file)
        return Frame(image, self._info.pts[index], self._info.tags, index, self._info.time_base)

    def _fitted(self, image: NDArray[Any], file: Path) -> NDArray[Any]:
        """`image` with the depth and channels the first picture promised; MediaError when it is of another size or
        depth."""
        info = self._info
        height, width, channels = image.shape
        if (width, height) != (info.width, info.height):
            raise MediaError(f"is {width} x {height}, the sequence {info.width} x {info.height}", path=file)
        if (image.dtype == np.uint8) != (info.bit_depth == 8):
            raise MediaError(f"has {8 * image.dtype.itemsize} bits a channel, the sequence {info.bit_depth}", path=file)
        if info.has_alpha and channels == 3:
            opaque = np.full((height, width, 1), np.iinfo(image.dtype).max, image.dtype)
            return np.concatenate([image, opaque], axis=2)
        return image if info.has_alpha else np.ascontiguousarray(image[..., :3])


class VideoClip(Clip):
    """A video file; `known` is what an earlier look through it has found."""

    def __init__(self, path: Path, known: Examined | None = None) -> None:
        self._decoder = Decoder(path)
        try:
            self._examined = examined = known or examine(self._decoder)
            with media_boundary(path, "open it"):
                self._pictures = RandomAccess(self._decoder, examined.index)
        except BaseException:
            self._decoder.close()
            raise
        super().__init__(examined.info)
        self._problems = self._pictures.problems
        self._orientation = examined.orientation
        self._coded_size = examined.coded_width, examined.coded_height
        self._told_size = False
        self._pixels = PixelReader(examined.info.tags, alpha=examined.info.has_alpha)

    def again(self) -> VideoClip:
        return VideoClip(self._info.path, self._examined)

    def close(self) -> None:
        self._decoder.close()

    def _read(self, index: int) -> Frame:
        with media_boundary(self._info.path, f"decode frame {index}"):
            return self._frame(index, self._pictures.picture(index))

    def _frame(self, index: int, decoded: VideoFrame) -> Frame:
        if (decoded.width, decoded.height) != self._coded_size and not self._told_size:
            self._told_size = True
            self._problems.append(
                f"the picture changes its size at frame {index}; it is scaled to that of the first frame"
            )
        image = self._orientation.apply(self._pixels.image(decoded, *self._coded_size))
        return Frame(image, self._info.pts[index], self._info.tags, index, self._info.time_base)

    def _backwards(self, start: int, stop: int) -> Iterator[Frame]:
        width, height = self._coded_size
        picture_bytes = width * height * 3 * (1 if self._info.bit_depth == 8 else 2)
        window = max(4, REVERSE_BYTES // picture_bytes)
        while stop > start:
            # A window is decoded forwards once, from the key picture before it, and handed out from its end.
            first = max(start, stop - window)
            with media_boundary(self._info.path, f"decode frames {first} to {stop - 1}"):
                decoded = [self._pictures.picture(n) for n in range(first, stop)]
            for index in reversed(range(first, stop)):
                with media_boundary(self._info.path, f"decode frame {index}"):
                    frame = self._frame(index, decoded.pop())
                yield frame
            stop = first
