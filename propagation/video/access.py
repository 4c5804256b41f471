"""Decoded pictures of a video file by number: seeks to a key picture, decodes on, and checks where it landed."""

from __future__ import annotations

from av.video.frame import VideoFrame

from propagation.errors import MediaError
from propagation.video.container import Decoder
from propagation.video.index import FrameIndex

_DECODE_ON = 24  # pictures ahead that are cheaper to decode through than to seek to
_KEYS_BACK = (0, 1, 2, 4, 8)  # where to start, in key pictures before the wanted one, until a start is early enough


class RandomAccess:
    """Pictures by number from one `Decoder`, exact: a picture is known by its timestamp, or by counting from the front.

    Asking for increasing numbers decodes on without a seek. `problems` lists what damage did to the pictures handed
    out.
    """

    def __init__(self, decoder: Decoder, index: FrameIndex) -> None:
        self.problems: list[str] = []
        self._decoder = decoder
        self._index = index
        self._number_at = {pts: number for number, pts in enumerate(index.pts)}
        self._lost: set[int] = set()
        self._shown: tuple[int, VideoFrame] | None = None  # the picture decoded last
        self._ahead: tuple[int, VideoFrame] | None = None  # decoded, but beyond what was asked for
        self._ended = False
        self._at_front = True
        self._landed_before = True  # since the last start, a picture at or before the wanted one has come
        self._counted = 0
        self._rewind()

    def picture(self, number: int) -> VideoFrame:
        """Picture `number`. One that damage has made undecodable is replaced by the one before it, and that is noted.

        Raises MediaError when there is nothing to show in its place.
        """
        if self._shown is not None and self._shown[0] == number:
            return self._shown[1]
        if self._worth_decoding_on(number):
            found = self._decode_to(number)
            if found is not None and not found.is_corrupt:
                return found
        return self._start_early_enough(number)

    def _start_early_enough(self, number: int) -> VideoFrame:
        good_starts = 0
        for back in () if self._index.by_count else _KEYS_BACK:
            if not self._seek(number, back):
                break  # no key picture so far in front
            found = self._decode_to(number)
            if found is not None and not found.is_corrupt:
                return found
            good_starts += self._landed_before
            if good_starts == 2 or number in self._lost:
                return found or self._stand_in(number)  # the file is damaged here
        self._rewind()
        return self._decode_to(number) or self._stand_in(number)

    def _stand_in(self, number: int) -> VideoFrame:
        substitute = self._shown or self._ahead
        if substitute is None:
            raise MediaError(f"frame {number} cannot be decoded", path=self._decoder.path)
        if number not in self._lost:
            self._lost.add(number)
            self.problems.append(f"frame {number} is damaged; frame {substitute[0]} is shown in its place")
        return substitute[1]

    def _worth_decoding_on(self, number: int) -> bool:
        here = self._shown[0] if self._shown is not None else -1 if self._at_front else None
        if here is None or self._ended or number <= here:
            return False
        if self._index.by_count or number - here <= _DECODE_ON:
            return True
        key = self._index.key_before(self._index.pts[number])
        return key < 0 or self._index.keys[key] <= self._index.pts[max(here, 0)]

    def _decode_to(self, number: int) -> VideoFrame | None:
        """Decode on up to picture `number`; None when the decoder passes it by or comes to an end."""
        while (step := self._next()) is not None:
            found, frame = step
            if found > number:
                self._ahead = step
                return None
            self._landed_before = True
            self._shown = step
            if found == number:
                return frame
        return None

    def _next(self) -> tuple[int, VideoFrame] | None:
        if self._ahead is not None:
            step, self._ahead = self._ahead, None
            return step
        while (frame := self._decoder.next()) is not None:
            self._counted += 1
            number = self._counted - 1 if self._index.by_count else self._number_at.get(frame.pts or 0)
            if number is not None:
                return number, frame
        self._ended = True
        return None

    def _seek(self, number: int, keys_back: int) -> bool:
        """Go to a key picture at or before `number`; False when there is none, or the file cannot seek."""
        key = self._index.key_before(self._index.pts[number]) - keys_back
        if key < 0:
            return False
        try:
            self._decoder.seek(self._index.keys[key])
        except MediaError:
            return False
        self._forget(at_front=False)
        return True

    def _rewind(self) -> None:
        self._decoder.rewind()
        self._forget(at_front=True)

    def _forget(self, *, at_front: bool) -> None:
        self._shown = self._ahead = None
        self._ended = False
        self._at_front = self._landed_before = at_front
        self._counted = 0
