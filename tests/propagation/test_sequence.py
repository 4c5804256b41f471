"""Which frames are carried from which key, in which order, and how two sides meet."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.densify import Dense, confidence_of
from propagation.errors import HintError, NoSpaceError
from propagation.sequence import Carried, carry, fuse

SHAPE = (6, 8)


class CountingCarrier:
    """Stands in for the network: the value is the key's own plus the distance in a*, the error grows with distance."""

    def __init__(self) -> None:
        self.walks: list[tuple[int, list[int]]] = []

    def walk(self, lightness_of, order, start, key):
        order = list(order)
        self.walks.append((start, order))
        for step, index in enumerate(order, 1):
            assert abs(index - ([start, *order][step - 1])) == 1, "steps go from neighbour to neighbour"
            error = np.full(SHAPE, 0.5 * step, np.float32)
            yield Carried(index, key.values + np.float32([step, 0]), confidence_of(error), error)


def key(value: float) -> np.ndarray:
    return np.full((*SHAPE, 2), value, np.float32)


def run(keys, start, stop, shots=()):
    carrier, grey = CountingCarrier(), np.zeros(SHAPE, np.float32)
    found = carry(lambda n: grey, keys, start, stop, carrier=carrier, is_cut=set(shots).__contains__)
    return list(found), carrier


def a_of(frame: Carried) -> float:
    return float(frame.values[0, 0, 0])


def test_one_key_is_carried_both_ways_in_frame_order():
    frames, _ = run({3: key(100)}, 0, 8)
    assert [f.index for f in frames] == list(range(8))
    assert [a_of(f) for f in frames] == [103, 102, 101, 100, 101, 102, 103, 104]


def test_a_key_frame_comes_through_unchanged():
    values = np.random.default_rng(0).normal(size=(*SHAPE, 2)).astype(np.float32)
    frames, _ = run({2: values}, 0, 5)
    assert np.array_equal(frames[2].values, values) and (frames[2].confidence == 1).all()


@pytest.mark.parametrize("at", [0, 12])
def test_a_key_outside_the_range_still_colours_it(at):
    frames, carrier = run({at: key(0)}, 5, 9)
    assert [f.index for f in frames] == [5, 6, 7, 8]
    assert [a_of(f) for f in frames] == [abs(at - n) for n in range(5, 9)]
    assert len(carrier.walks) == 1


def test_frames_between_two_keys_use_both_and_lean_to_the_nearer():
    frames, carrier = run({0: key(0), 10: key(50)}, 0, 11)
    values = [a_of(f) for f in frames]
    assert values[0] == 0 and values[10] == 50
    # Leaning to the nearer key: beyond a cross-fade, which would give 10 % and 90 % of the way here.
    assert values[1] < 0.1 * 50 + 1 and values[9] > 0.9 * 50 - 1
    assert sorted(start for start, _ in carrier.walks) == [0, 10]


def test_fusion_follows_the_expected_error_of_each_pixel():
    sure, unsure = np.full(SHAPE, 0.1, np.float32), np.full(SHAPE, 9.0, np.float32)
    mixed = np.where(np.arange(SHAPE[1]) < 4, sure, unsure).astype(np.float32)
    fused = fuse(Carried(1, key(10), sure, mixed), Carried(1, key(20), sure, mixed[:, ::-1].copy()), (1, 1))
    assert np.abs(fused.values[:, :4] - 10).max() < 0.1 and np.abs(fused.values[:, 4:] - 20).max() < 0.1
    assert (fused.error <= 0.25).all()


def test_nothing_crosses_a_cut_and_shots_without_a_key_are_left_out():
    frames, carrier = run({2: key(0), 13: key(7)}, 0, 20, shots=[5, 10])
    assert [f.index for f in frames] == [*range(5), *range(10, 20)]
    assert all(max(order) < 5 or min(order) >= 10 for _, order in carrier.walks)


def test_where_both_sides_are_as_sure_the_nearer_key_weighs_more():
    error = np.full(SHAPE, 1.0, np.float32)
    sides = [Carried(3, key(value), confidence_of(error), error) for value in (0, 10)]
    near, middle, far = (fuse(*sides, (d, 20 - d)).values.mean() for d in (1, 10, 19))
    assert near < 2.5 and middle == pytest.approx(5, abs=0.01) and far > 7.5


def test_no_key_at_all_is_refused():
    with pytest.raises(HintError, match="no key frame"):
        run({}, 0, 4)


def test_dense_keys_keep_their_own_error():
    error = np.full(SHAPE, 3.0, np.float32)
    dense = Dense(key(1), np.ones(SHAPE, np.float32), confidence_of(error), error)
    frames, _ = run({0: dense}, 0, 1)
    assert np.array_equal(frames[0].error, error) and np.array_equal(frames[0].confidence, confidence_of(error))


def test_a_full_disk_says_so_while_frames_wait(monkeypatch):
    class Full:
        def seek(self, *_): ...
        def flush(self): ...
        def close(self): ...
        def write(self, *_):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("propagation.spool.tempfile.TemporaryFile", lambda **_: Full())
    with pytest.raises(NoSpaceError, match="No space left"):
        run({5: key(0)}, 0, 6)
