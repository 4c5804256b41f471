"""Carries HDR keys along a clip: shots, directions, and the two sides between two keys."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from propagation.errors import HintError, NoSpaceError
from propagation.hdr.carrying import CarriedLight, FrameOf, KeyLight, LightCarrier

# Stops by which the exposures that two keys give to one frame may differ: below, the difference is shared out over the
# frames between them; beyond, the keys cannot both be right.
CONTRADICTION_STOPS = 1.0


def carry_light(
    frame_of: FrameOf,
    keys: Mapping[int, KeyLight],
    start: int,
    stop: int,
    *,
    carrier: LightCarrier,
    shots: Sequence[int] = (),
) -> Iterator[tuple[int, tuple[CarriedLight, ...]]]:
    """(n, what one or two keys carry there) for every frame start <= n < stop whose shot has a key, in order; a key's
    own frame comes with nothing carried.

    `frame_of(n)`: code values (h, w, 3) of frame n at the keys' size. `shots`: the first frame of every shot but the
    first. What waits for its other direction lies in a temporary file. Raises HintError for keys that contradict each
    other, NoSpaceError when the file finds no room.
    """
    first, last = min(start, *keys), max(stop, max(keys) + 1)
    bounds = [first, *(s for s in sorted(set(shots)) if first < s < last), last]
    for begin, end in zip(bounds, bounds[1:], strict=False):
        inside = {n: key for n, key in sorted(keys.items()) if begin <= n < end}
        if inside and begin < stop and end > start:
            yield from _carry_shot(frame_of, inside, range(max(begin, start), min(end, stop)), carrier)


def _carry_shot(
    frame_of: FrameOf, keys: Mapping[int, KeyLight], frames: range, carrier: LightCarrier
) -> Iterator[tuple[int, tuple[CarriedLight, ...]]]:
    indices = list(keys)
    before = range(frames.start, min(indices[0], frames.stop))
    if before:
        with _Waiting() as waiting:
            order = range(indices[0] - 1, frames.start - 1, -1)
            for carried in carrier.walk(frame_of, order, indices[0], keys[indices[0]]):
                waiting.put(carried)
            for n in before:
                yield n, (waiting.take(n),)
    for left, right in zip(indices, [*indices[1:], None], strict=True):
        if left in frames:
            yield left, ()
        end = frames.stop if right is None else min(right, frames.stop)
        wanted = range(max(frames.start, left + 1), end)
        if not wanted:
            continue
        with _Waiting() as waiting:
            if right is not None:
                for carried in carrier.walk(frame_of, range(right - 1, wanted.start - 1, -1), right, keys[right]):
                    waiting.put(carried)
            for carried in carrier.walk(frame_of, range(left + 1, end), left, keys[left]):
                if carried.index in wanted:
                    yield carried.index, (carried,) if right is None else _both(carried, waiting.take(carried.index))


def _both(left: CarriedLight, right: CarriedLight) -> tuple[CarriedLight, CarriedLight]:
    apart = abs(left.log_exposure - right.log_exposure) / float(np.log10(2))
    if apart > CONTRADICTION_STOPS:
        raise HintError(
            f"the keys of frames {left.key} and {right.key} contradict each other: carried to frame {left.index}, "
            f"their light differs by {apart:.1f} stops",
            advice="Bring them to one exposure, or carry from one of them",
        )
    return left, right


class _Waiting:
    """Carried frames in a temporary file, exactly as they are."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="huecast-")
        self._places: dict[int, tuple[int, CarriedLight]] = {}
        self._end = 0

    def __enter__(self) -> _Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def put(self, frame: CarriedLight) -> None:
        planes = [frame.log_light, frame.error[..., None]]
        if frame.positions is not None:
            planes.append(frame.positions)
        block = np.concatenate(planes, axis=2, dtype=np.float32)
        empty = np.empty(0, np.float32)
        rest = CarriedLight(
            frame.index, frame.key, empty, empty, None if frame.positions is None else empty, frame.log_exposure
        )
        self._places[frame.index] = (self._end, rest)
        self._shape: tuple[int, ...] = block.shape
        try:
            self._file.seek(self._end)
            self._file.write(block.tobytes())
            self._file.flush()
        except OSError as error:
            raise NoSpaceError(
                f"no room for frames that wait for their other direction ({error.strerror})",
                path=tempfile.gettempdir(),
                advice="Free some disk space or set TMPDIR to another disk",
            ) from error
        self._end += block.nbytes

    def take(self, index: int) -> CarriedLight:
        place, rest = self._places[index]
        self._file.seek(place)
        data = self._file.read(int(np.prod(self._shape)) * 4)
        block: NDArray[np.float32] = np.frombuffer(data, np.float32).reshape(self._shape)
        positions = None if rest.positions is None else np.ascontiguousarray(block[..., 4:6])
        log_light, error = np.ascontiguousarray(block[..., :3]), np.ascontiguousarray(block[..., 3])
        return CarriedLight(rest.index, rest.key, log_light, error, positions, rest.log_exposure)
