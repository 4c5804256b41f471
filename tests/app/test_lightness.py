"""Lightness at work size, in any order, decoded as seldom as can be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import coloring
from app.keyframes import shrink
from app.lightness import LightnessReader
from app.progress import Cancelled, CancelToken
from propagation.video.reader import open_clip
from tests.app.conftest import make_clip

SHAPE = (24, 32)


class Counting:
    """A clip that counts how often it was entered anew, and how many frames it gave."""

    def __init__(self, clip: Any) -> None:
        self._clip = clip
        self.single = self.backward_runs = 0

    def frame(self, index: int) -> Any:
        self.single += 1
        return self._clip.frame(index)

    def frames(self, start: int, stop: int, step: int) -> Iterator[Any]:
        assert step == -1
        self.backward_runs += 1
        return self._clip.frames(start, stop, step)


@pytest.fixture
def clip(tmp_path: Path) -> Iterator[Counting]:
    with open_clip(make_clip(tmp_path / "clip.mp4", frames=20)) as opened:
        yield Counting(opened)


@pytest.mark.parametrize(
    "order", [range(20), range(19, -1, -1), [7, 3, 4, 5, 4, 3, 2, 19, 18, 0, 1], [5, 5, 5]], ids=str
)
def test_every_frame_is_that_very_frame(clip: Counting, order: list[int]) -> None:
    reader = LightnessReader(clip, SHAPE, CancelToken(), cache_bytes=0)
    for index in order:
        wanted = shrink(coloring.lightness_of(clip.frame(index)), SHAPE)
        np.testing.assert_allclose(reader.at(index), wanted, atol=1e-4)


def test_a_run_backwards_is_one_run(clip: Counting) -> None:
    reader = LightnessReader(clip, SHAPE, CancelToken(), cache_bytes=0)
    for index in range(19, -1, -1):
        reader.at(index)
    assert (clip.single, clip.backward_runs) == (1, 1)


def test_what_was_read_is_kept_within_the_budget(clip: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.lightness._LEAST", 4)
    reader = LightnessReader(clip, SHAPE, CancelToken(), cache_bytes=5 * 24 * 32 * 4)
    for index in (0, 1, 2, 3, 4, 2, 3, 1):
        reader.at(index)
    assert clip.single == 5
    reader.at(5)
    reader.at(1)
    assert clip.single == 6
    reader.at(0)
    assert clip.single == 7


def test_every_request_can_be_stopped(clip: Counting) -> None:
    cancel = CancelToken()
    reader = LightnessReader(clip, SHAPE, cancel)
    reader.at(0)
    cancel.cancel()
    with pytest.raises(Cancelled):
        reader.at(0)
    closed = LightnessReader(clip, SHAPE, CancelToken())
    closed.close()
    with pytest.raises(Cancelled):
        closed.at(0)


def test_a_frame_read_lately_is_lent_once_and_within_the_budget(clip: Counting) -> None:
    bytes_of_one = clip.frame(0).image.nbytes
    reader = LightnessReader(clip, SHAPE, CancelToken(), lent_bytes=3 * bytes_of_one)
    for index in range(5):
        reader.at(index)
    assert [reader.take(index) is None for index in range(5)] == [True, True, False, False, False]
    assert reader.take(4) is None
    reader.at(7)
    lent = reader.take(7)
    assert lent is not None
    np.testing.assert_array_equal(lent.image, clip.frame(7).image)


def test_a_frame_itself_leaves_its_lightness_behind(clip: Counting) -> None:
    reader = LightnessReader(clip, SHAPE, CancelToken(), lent_bytes=2**20)
    for index in range(4):
        np.testing.assert_array_equal(reader.frame(index).image, clip.frame(index).image)
    read = clip.single
    wanted = shrink(coloring.lightness_of(clip.frame(2)), SHAPE)
    np.testing.assert_array_equal(reader.at(2), wanted)
    assert clip.single == read + 1 and reader.take(2) is not None
    reader.close()
    with pytest.raises(Cancelled):
        reader.frame(5)
