"""What lies before, between and behind key frames, and from which of them it is reached; nothing crosses a cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

Begins = Callable[[int], bool]
"""Whether a frame is the first of a shot other than the first."""


def nowhere(_: int) -> bool:
    """`Begins` of a clip of one shot."""
    return False


@dataclass(frozen=True)
class Gap:
    """Neighboring frames that the key `left` reaches, or `right`, or both; a key itself where they are the same.

    frames: those that are wanted. With no key on the right they end at the next cut, wherever that is.
    """

    left: int | None
    right: int | None
    frames: range
    begins: Begins

    @property
    def is_key(self) -> bool:
        """Whether it is the one frame of a key."""
        return self.left == self.right

    def forward(self) -> Iterator[int]:
        """The frames to go through from the key on the left, up to the last wanted one or the next cut."""
        assert self.left is not None
        onward = range(self.left + 1, self.frames.stop)
        return iter(onward) if self.right is not None else takewhile(lambda n: not self.begins(n), onward)

    def backward(self) -> Iterator[int]:
        """The frames to go through from the key on the right, down to the first wanted one."""
        assert self.right is not None
        return iter(range(self.right - 1, self.frames.start - 1, -1))


def gaps(keys: Sequence[int], frames: range, begins: Begins) -> Iterator[Gap]:
    """The wanted `frames` that a key reaches, in order, keys (in order) among them.

    `begins` is asked for the frames up to a key that is carried back from, and for no frame behind that and the last
    wanted one: who searches for cuts need not have been through the clip before the first frame is carried to.
    """
    for left, right in pairwise((None, *keys, None) if keys else ()):
        if left is not None and left in frames:
            yield Gap(left, left, range(left, left + 1), begins)
        start = frames.start if left is None else max(frames.start, left + 1)
        stop = frames.stop if right is None else min(frames.stop, right)
        if start >= stop:
            continue
        # From the key on the left, not from the first wanted frame: a cut before it keeps that key away.
        first = start if left is None else left + 1
        cuts = [] if right is None else [n for n in range(first + (left is None), right + 1) if begins(n)]
        if not cuts:
            yield Gap(left, right, range(start, stop), begins)
            continue
        if left is not None and start < cuts[0]:
            yield Gap(left, None, range(start, min(stop, cuts[0])), begins)
        if cuts[-1] < stop:
            yield Gap(None, right, range(max(start, cuts[-1]), stop), begins)
