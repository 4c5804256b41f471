"""What lies before, between and behind key frames, and from which of them it is reached; nothing crosses a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

IsCut = Callable[[int], bool]
"""Whether a frame is the first of a shot other than the first."""


def no_cuts(_: int) -> bool:
    """`IsCut` of a clip of one shot."""
    return False


@dataclass(frozen=True)
class Gap:
    """Neighboring frames that the key `left` reaches, or `right`, or both; a key itself where they are the same.

    frames: those that are wanted. With no key on the right they end at the next cut, wherever that is.
    """

    left: int | None
    right: int | None
    frames: range
    is_cut: IsCut

    @property
    def is_key(self) -> bool:
        """Whether it is the one frame of a key."""
        return self.left == self.right

    def forward(self) -> Iterator[int]:
        """The frames to go through from the key on the left, up to the last wanted one or the next cut."""
        assert self.left is not None
        onward = range(self.left + 1, self.frames.stop)
        return iter(onward) if self.right is not None else takewhile(lambda n: not self.is_cut(n), onward)

    def backward(self) -> Iterator[int]:
        """The frames to go through from the key on the right, down to the first wanted one."""
        assert self.right is not None
        return iter(range(self.right - 1, self.frames.start - 1, -1))


def gaps(keys: Sequence[int], frames: range, is_cut: IsCut) -> Iterator[Gap]:
    """The wanted `frames` that a key reaches, in order, keys (in order) among them.

    `is_cut` is asked as little as each gap needs, when its turn comes: of frames up to a key that is carried back from,
    unless a cut shows before that the key does not matter, and never of frames behind both the last key and the last
    wanted one. Who searches for cuts need not have been through the clip before the first frame is carried to.
    """
    for left, right in pairwise((None, *keys, None) if keys else ()):
        if left is not None and left in frames:
            yield Gap(left, left, range(left, left + 1), is_cut)
        start = frames.start if left is None else max(frames.start, left + 1)
        stop = frames.stop if right is None else min(frames.stop, right)
        if start >= stop:
            continue
        if left is None:
            assert right is not None
            first = max((n for n in range(start + 1, right + 1) if is_cut(n)), default=start)
            if first < stop:
                yield Gap(None, right, range(first, stop), is_cut)
            continue
        # From the key on the left, not from the first wanted frame: a cut before that keeps the key away.
        upto = start if right is None else right
        cut = next((n for n in range(left + 1, upto + 1) if is_cut(n)), None)
        if cut is None:
            yield Gap(left, right, range(start, stop), is_cut)
            continue
        if start < cut:
            yield Gap(left, None, range(start, min(stop, cut)), is_cut)
        if right is not None and cut < stop:
            last = max(n for n in range(cut, right + 1) if is_cut(n))
            if last < stop:
                yield Gap(None, right, range(max(start, last), stop), is_cut)
