"""Carries a dense property along a clip from its key frames: shots, directions, and the fusion between two keys."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from kernels.fallback import Placed
from propagation.alignment import MotionEstimator
from propagation.densify import Dense, confidence_of
from propagation.errors import HintError
from propagation.gaps import Gap, IsCut, gaps, no_cuts
from propagation.precision import channels_last, fast_weights
from propagation.pursuit import Followed, Pursuit
from propagation.spn import Description
from propagation.spool import Spool
from propagation.tpn import TemporalPropagationNetwork, TpnConfig
from propagation.weights import expected_tensors, load_weights, weights_path

Floats = NDArray[np.float32]
_log = logging.getLogger(__name__)

# Frames that are looked at before they are due: with one alone, each thread waits for the other's slowest frames.
_AHEAD = 2

# Between two keys each side weighs with its expected error to this power: the better one nearly decides.
_FUSION_POWER = 2.0
# The nearer key wins where both expect the same; more than this would outweigh what they know.
_DISTANCE_POWER = 0.5
# Added to expected errors before they are compared, so that two good sides are averaged.
_FUSION_FLOOR = 0.25


@dataclass(frozen=True)
class Carried:
    """A frame's property (h, w, C), its confidence (h, w) in 0..1 and its expected absolute error (h, w), all
    float32."""

    index: int
    values: Floats
    confidence: Floats
    error: Floats


class Carrier:
    """The trained network with its tracker. One carrier serves one thread at a time.

    `aligned=False` leaves out motion: both candidates stand still and the network alone finds what moved. Where a GPU
    lacks memory the network works there in tiles; where it fails the CPU goes on, see `propagation.pursuit`.
    """

    def __init__(
        self,
        model: TemporalPropagationNetwork,
        device: str = "cpu",
        *,
        aligned: bool = True,
        motion: MotionEstimator | None = None,
    ) -> None:
        self._placed = Placed(channels_last(model), device)
        self.aligned = aligned
        self._motion = motion or MotionEstimator()

    @classmethod
    def load(
        cls, name: str = "tpn-color", device: str = "cpu", *, aligned: bool = True, config: TpnConfig | None = None
    ) -> Carrier:
        """The trained network `name` of assets/weights. Raises WeightsError when it is missing, damaged or another
        one."""
        model = TemporalPropagationNetwork(config)
        model.load_state_dict(load_weights(weights_path(name), expected_tensors(model)))
        return cls(fast_weights(model, device), device, aligned=aligned)

    @property
    def device(self) -> str:
        """Where the network is now."""
        return self._placed.device

    @property
    def model(self) -> TemporalPropagationNetwork:
        """The network, in main memory."""
        return self._placed.spare

    def walk(
        self, lightness_of: Callable[[int], Floats], order: Iterable[int], start: int, key: Dense
    ) -> Iterator[Carried]:
        """Carries `key`, the property on frame `start`, step by step along `order`, whose frames follow one another.

        The next frames are read and their motion estimated in a thread of its own while the network works on this one;
        in another one they are described. `lightness_of` is called from both this thread and that.
        """
        pursuit = Pursuit(self._placed, lightness_of, start, key, self._motion if self.aligned else None)
        ahead, aside = ThreadPoolExecutor(1, "motion"), ThreadPoolExecutor(1, "description")
        try:
            for index, seen in _look_ahead(ahead, partial(_see, pursuit, lightness_of, aside), order):
                light, followed, picture = seen.result()
                values, error = pursuit.carry(index, light, followed, picture.result())
                _log_energy(index, values, start, key.values)
                yield Carried(index, values, confidence_of(error), error)
        finally:
            ahead.shutdown(cancel_futures=True)  # first, because it gives the other one its work
            aside.shutdown(cancel_futures=True)


def _log_energy(index: int, values: Floats, start: int, of_key: Floats) -> None:
    """|U|^2 beside the key's: where colors wash out it sinks from frame to frame."""
    if _log.isEnabledFor(logging.DEBUG):
        here, there = (float(np.sum(np.square(each, dtype=np.float64))) for each in (values, of_key))
        ratio = here / there if there > 0 else float("nan")
        _log.debug("frame %d: style energy %.3f of its key's (frame %d)", index, ratio, start)


_Seen = tuple[Floats, Followed, Future[Description | None]]


def _see(pursuit: Pursuit, lightness_of: Callable[[int], Floats], aside: Executor, index: int) -> _Seen:
    """A frame's L*, how its pixels moved, and its description to come."""
    light = lightness_of(index)
    picture = aside.submit(pursuit.describe, light)
    return light, pursuit.follow(light), picture


def _look_ahead(
    ahead: Executor, see: Callable[[int], _Seen], order: Iterable[int]
) -> Iterator[tuple[int, Future[_Seen]]]:
    """Each frame of `order` with what is to be seen of it, that of the frames behind it under way."""
    waiting: deque[tuple[int, Future[_Seen]]] = deque()
    for index in order:
        waiting.append((index, ahead.submit(see, index)))
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def carry(
    lightness_of: Callable[[int], Floats],
    keyframes: Mapping[int, Dense | Floats],
    start: int,
    stop: int,
    *,
    carrier: Carrier,
    is_cut: IsCut = no_cuts,
) -> Iterator[Carried]:
    """The property on every frame start <= n < stop whose shot has a key frame, in order.

    lightness_of(n): L* (h, w) of frame n, 0 to 100, called from several threads. keyframes: the property on key frames,
    (h, w, C), inside or outside the range; they come through unchanged. is_cut(n): whether frame n is the first of a
    shot; nothing is carried across. It is asked as `gaps` says.
    One key is carried away from itself in both directions; between two keys both directions are fused by the error that
    each expects. Memory does not grow with the length: what must wait lies in a temporary file.

    Raises HintError without key frames, NoSpaceError when the temporary file finds no room.
    """
    if not keyframes:
        raise HintError("there is no key frame to carry from", advice="Give a key or hints for at least one frame")
    keys = {index: _as_dense(key) for index, key in keyframes.items()}
    for gap in gaps(sorted(keys), range(start, stop), is_cut):
        if gap.is_key:
            key = keys[gap.frames.start]
            yield Carried(gap.frames.start, key.values, key.confidence, key.error)
            continue
        with Spool() as spool:
            if gap.right is not None:
                for frame in carrier.walk(lightness_of, gap.backward(), gap.right, keys[gap.right]):
                    if frame.index in gap.frames:
                        _put(spool, frame)
            if gap.left is None:
                yield from (_take(spool, index) for index in gap.frames)
                continue
            for frame in carrier.walk(lightness_of, gap.forward(), gap.left, keys[gap.left]):
                if frame.index in gap.frames:
                    yield frame if gap.right is None else _fused(frame, _take(spool, frame.index), gap)


def _fused(frame: Carried, other: Carried, gap: Gap) -> Carried:
    assert gap.left is not None and gap.right is not None
    return fuse(frame, other, (frame.index - gap.left, gap.right - frame.index))


def fuse(one: Carried, other: Carried, distances: tuple[int, int]) -> Carried:
    """Two results for a frame, each pixel by the errors that they expect and by how many frames away their keys are."""
    a, b = (
        (frame.error + _FUSION_FLOOR) ** _FUSION_POWER * distance**_DISTANCE_POWER
        for frame, distance in zip((one, other), distances, strict=True)
    )
    share = (b / (a + b))[..., None]
    values = np.asarray(one.values * share + other.values * (1 - share), np.float32)
    error = np.asarray(one.error * share[..., 0] + other.error * (1 - share[..., 0]), np.float32)
    return Carried(one.index, values, confidence_of(error), error)


def _as_dense(key: Dense | Floats) -> Dense:
    if isinstance(key, Dense):
        return key
    h, w = key.shape[:2]
    one, zero = np.ones((h, w), np.float32), np.zeros((h, w), np.float32)
    return Dense(np.asarray(key, np.float32), one, one, zero)


def _put(spool: Spool, frame: Carried) -> None:
    """Keeps a frame as float16 (1/32 of a unit of a* at most)."""
    spool.put(frame.index, np.dstack([frame.values, frame.error]).astype(np.float16))


def _take(spool: Spool, index: int) -> Carried:
    block = spool.take(index).astype(np.float32)
    values, error = np.ascontiguousarray(block[..., :-1]), np.ascontiguousarray(block[..., -1])
    return Carried(index, values, confidence_of(error), error)
