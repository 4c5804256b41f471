"""Carries HDR keys along a clip: shots, directions, and the two sides between two keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from propagation.errors import HintError
from propagation.gaps import IsCut, gaps, no_cuts
from propagation.hdr.carrying import CarriedLight, FrameOf, KeyLight, LightCarrier
from propagation.spool import Spool

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
    is_cut: IsCut = no_cuts,
) -> Iterator[tuple[int, tuple[CarriedLight, ...]]]:
    """(n, what one or two keys carry there) for every frame start <= n < stop whose shot has a key, in order; a key's
    own frame comes with nothing carried.

    `frame_of(n)`: code values (h, w, 3) of frame n at the keys' size. `is_cut(n)`: whether frame n is the first of a
    shot. What waits for its other direction lies in a temporary file, and so does the motion that both use. Raises
    HintError for keys that contradict each other, NoSpaceError when the file finds no room.
    """
    for gap in gaps(sorted(keys), range(start, stop), is_cut):
        if gap.is_key:
            yield gap.frames.start, ()
            continue
        with Spool() as spool, Spool() as steps:
            waiting = _Waiting(spool)
            known = steps if gap.left is not None and gap.right is not None else None
            if gap.right is not None:
                for carried in carrier.walk(frame_of, gap.backward(), gap.right, keys[gap.right], known):
                    if carried.index in gap.frames:
                        waiting.put(carried)
            if gap.left is None:
                yield from ((n, (waiting.take(n),)) for n in gap.frames)
                continue
            for carried in carrier.walk(frame_of, gap.forward(), gap.left, keys[gap.left], known):
                if carried.index in gap.frames:
                    sides = (carried,) if gap.right is None else _both(carried, waiting.take(carried.index))
                    yield carried.index, sides


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
    """Carried frames in a spool, exactly as they are, plane after plane."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._rest: dict[int, CarriedLight] = {}
        self._shape: tuple[int, ...] = ()

    def put(self, frame: CarriedLight) -> None:
        planes = [frame.log_light, frame.error]
        if frame.positions is not None:
            planes.append(frame.positions)
        self._spool.put(frame.index, np.concatenate([plane.ravel() for plane in planes], dtype=np.float32))
        empty = np.empty(0, np.float32)
        positions = None if frame.positions is None else empty
        self._shape = frame.error.shape
        self._rest[frame.index] = replace(frame, log_light=empty, error=empty, positions=positions)

    def take(self, index: int) -> CarriedLight:
        values, rest = self._spool.take(index), self._rest[index]
        pixels = int(np.prod(self._shape))
        log_light, error, places = np.split(values, (3 * pixels, 4 * pixels))
        positions = None if rest.positions is None else places.reshape(*self._shape, 2)
        log_light = log_light.reshape(*self._shape, 3)
        return replace(rest, log_light=log_light, error=error.reshape(self._shape), positions=positions)
