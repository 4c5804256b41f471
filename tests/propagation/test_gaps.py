"""Which keys reach a frame: held against the definition, for many clips drawn at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from propagation.gaps import gaps


def reached(keys: list[int], frames: range, cuts: set[int]) -> list[tuple[int, int | None, int | None]]:
    """(frame, nearest key at or before it, nearest at or behind it), both of its own shot, where there is one."""
    found = []
    for n in frames:
        shot = [sum(c <= k for c in cuts) == sum(c <= n for c in cuts) for k in keys]
        mine = [k for k, same in zip(keys, shot, strict=True) if same]
        left, right = max((k for k in mine if k <= n), default=None), min((k for k in mine if k >= n), default=None)
        if left is not None or right is not None:
            found.append((n, left, right))
    return found


@pytest.mark.parametrize("seed", range(300))
def test_every_frame_is_reached_from_the_keys_of_its_shot_beside_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    last = int(rng.integers(1, 30))
    keys = sorted({int(k) for k in rng.integers(0, last + 1, rng.integers(1, 5))})
    cuts = {int(c) for c in rng.integers(1, last + 1, rng.integers(0, 4))}
    start = int(rng.integers(0, last + 1))
    frames = range(start, int(rng.integers(start, last + 2)))
    asked: list[int] = []

    def is_cut(n: int) -> bool:
        asked.append(n)
        return n in cuts

    found = []
    for gap in gaps(keys, frames, is_cut):
        if gap.is_key:
            found += [(n, n, n) for n in gap.frames]
            continue
        wanted: Sequence[int] = gap.frames
        if gap.left is not None:
            way = list(gap.forward())
            assert way == list(range(gap.left + 1, gap.left + 1 + len(way))), "from neighbor to neighbor"
            wanted = [n for n in way if n in gap.frames]
            assert wanted, "nothing is carried in vain"
        if gap.right is not None:
            assert list(gap.backward()) == list(range(gap.right - 1, gap.frames.start - 1, -1))
        found += [(n, gap.left, gap.right) for n in wanted]
    assert found == reached(keys, frames, cuts)
    assert all(n <= max(*keys, frames.stop - 1) for n in asked)


def test_the_end_of_a_shot_is_asked_for_frame_by_frame() -> None:
    asked: list[int] = []

    def is_cut(n: int) -> bool:
        asked.append(n)
        return n == 7

    (key, gap) = gaps([0], range(0, 1000), is_cut)
    assert key.is_key and set(asked) <= {1}
    onward = gap.forward()
    assert next(onward) == 1 and set(asked) == {1}
    assert list(onward) == [2, 3, 4, 5, 6] and asked[-1] == 7


def test_one_key_a_shot_begins_before_the_cut_is_known() -> None:
    asked: list[int] = []

    def is_cut(n: int) -> bool:
        asked.append(n)
        return n in (30, 60)

    found = gaps([0, 1000], range(0, 50), is_cut)
    assert next(found).is_key
    assert next(found).frames == range(1, 30) and max(asked) == 30
    assert list(found) == [] and max(asked) == 1000
    asked.clear()
    assert [gap.frames for gap in gaps([0, 1000], range(0, 20), is_cut)] == [range(0, 1), range(1, 20)]
    assert max(asked) == 30
