"""Cuts are found where pictures change for good, and no_cuts else."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.color.tags import ColorTags
from propagation.shots import RETURN_FRAMES, SHORTEST_SHOT_FRAMES, CutSearch, find_cuts
from propagation.video.frame import Frame
from propagation.video.reader import open_clip

TAGS = ColorTags(1, 13, 0, 2)
TIME_BASE = Fraction(1, 25)


class _Reader:
    def __init__(self, frames: Iterator[Frame]) -> None:
        self._frames = frames

    def read(self, _: int) -> Frame:
        return next(self._frames)


class Clip:
    """Frames from memory, read in order, as the reader hands them out."""

    def __init__(self, images: list[NDArray[Any]]) -> None:
        self.images = images
        self.read: list[int] = []

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        for index in range(start, len(self.images) if stop is None else stop):
            self.read.append(index)
            yield Frame(self.images[index], index, TAGS, index, TIME_BASE)


def shot(seed: int, count: int, speed: float = 2.0) -> list[NDArray[np.uint8]]:
    """A camera moving over one random scene."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 235, (9, 24, 3)).astype(np.float32)
    scene = cv2.resize(coarse, (480, 144), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    grain = rng.normal(0, 2, (count, 90, 160, 1))
    lefts = [int(index * speed) % 320 for index in range(count)]
    return [
        (scene[20:110, left : left + 160] + noise).clip(0, 255).astype(np.uint8)
        for left, noise in zip(lefts, grain, strict=True)
    ]


def test_cuts_are_the_first_frames_of_new_shots() -> None:
    assert find_cuts(Clip(shot(0, 20) + shot(1, 15) + shot(2, 25))) == [20, 35]


def test_one_shot_has_no_cut_however_fast_the_camera() -> None:
    assert find_cuts(Clip(shot(3, 40, speed=7.0))) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_cuts_next_to_the_ends_count(count: int) -> None:
    assert find_cuts(Clip(shot(0, count) + shot(1, 20))) == [count] * (count >= 1)
    assert find_cuts(Clip(shot(0, 20) + shot(1, count))) == [20]


@pytest.mark.parametrize("length", [1, 2, 4])
@pytest.mark.parametrize("kind", ["white", "bright", "black", "fading"])
def test_a_flash_is_not_a_cut(length: int, kind: str) -> None:
    images = [image.astype(np.float32) for image in shot(4, 40)]
    for place in range(length):
        image = images[20 + place]
        images[20 + place] = {
            "white": np.full_like(image, 255),
            "bright": image * 2 + 60,
            "black": np.zeros_like(image),
            "fading": image + 200 * 0.6**place,
        }[kind]
    assert find_cuts(Clip([image.clip(0, 255).astype(np.uint8) for image in images])) == []


def test_a_flash_on_a_cut_is_one_cut() -> None:
    white = [np.full((90, 160, 3), 255, np.uint8)]
    assert find_cuts(Clip(shot(0, 20) + white + shot(1, 20))) == [21]


def test_a_change_of_exposure_is_not_a_cut() -> None:
    images = shot(5, 30)
    assert find_cuts(Clip(images[:15] + [(image * 0.4).astype(np.uint8) for image in images[15:]])) == []


def test_duplicated_frames_are_not_cuts() -> None:
    doubled = [image for image in shot(6, 12, speed=12.0) for _ in range(3)]
    assert find_cuts(Clip(doubled)) == []


def test_only_the_range_is_read_and_numbers_stay_the_clips_own() -> None:
    clip = Clip(shot(0, 20) + shot(1, 20) + shot(2, 20))
    assert find_cuts(clip, 30, 55) == [40]
    assert clip.read == list(range(30, 55))


def test_sixteen_bits_grey_levels_and_alpha_make_no_difference() -> None:
    images = shot(0, 12) + shot(1, 12)
    wide = [image.astype(np.uint16) * 257 for image in images]
    clear = [np.dstack([image, np.full(image.shape[:2], 255, np.uint8)]) for image in images]
    assert find_cuts(Clip(wide)) == find_cuts(Clip(clear)) == [12]


def test_short_clips_are_fine() -> None:
    assert find_cuts(Clip([])) == []
    assert find_cuts(Clip(shot(0, 1))) == []
    assert find_cuts(Clip([np.zeros((1, 1, 3), np.uint8)] * 3)) == []


def test_black_frames_have_no_cut() -> None:
    assert find_cuts(Clip([np.zeros((9, 16, 3), np.uint8)] * 20)) == []


@pytest.mark.parametrize("twice", [1, 2])
def test_a_search_that_is_asked_frame_by_frame_reads_little_ahead_and_finds_the_same(twice: int) -> None:
    white = [np.full((90, 160, 3), 255, np.uint8)]
    images = shot(0, 20) + white + shot(1, 4) + shot(2, 25) + shot(3, 1)
    clip = Clip([image for image in images for _ in range(twice)])
    cuts = find_cuts(clip)
    assert cuts
    clip.read.clear()
    search, last = CutSearch(clip.frames()), len(clip.images)
    for index in range(last):
        assert search.is_cut(index) == (index in cuts), index
        steady = 30 * twice < index < 45 * twice
        lead = 3 if steady else RETURN_FRAMES + SHORTEST_SHOT_FRAMES
        assert len(clip.read) <= index + 1 + twice * lead, index
    assert search.is_cut(cuts[0]) and not search.is_cut(last + 5) and search.finished
    assert search.cuts == cuts and clip.read == list(range(last))


def test_a_long_hold_is_not_waited_for_and_hides_no_cut() -> None:
    card, after = shot(7, 1) * 300, shot(1, 20)
    clip = Clip(shot(0, 20) + card + after + after[-1:] * 100)
    assert find_cuts(clip) == [20, 320]
    clip.read.clear()
    search = CutSearch(clip.frames())
    assert [n for n in range(25) if search.is_cut(n)] == [20]
    assert len(clip.read) < 60
    assert not search.is_cut(200) and len(clip.read) <= 201
    assert [n for n in range(300, 440) if search.is_cut(n)] == [320]


def test_a_camera_that_rests_and_moves_on_is_one_shot() -> None:
    images = shot(3, 60, speed=5.0)
    assert find_cuts(Clip(images[:30] + [images[30]] * 80 + images[31:])) == []


def test_a_finished_search_holds_on_to_nothing_that_it_read_from() -> None:
    reader = _Reader(iter(list(Clip(shot(0, 5)).frames())))
    search, alive = CutSearch(map(reader.read, range(5))), weakref.ref(reader)
    del reader
    assert not search.is_cut(99)
    assert alive() is None


def test_what_stops_reading_is_passed_on() -> None:
    def frames() -> Iterator[Frame]:
        yield from Clip(shot(0, 3)).frames()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CutSearch(frames()).is_cut(1)


def test_cuts_of_a_real_film_and_not_its_explosion(shared_data: Path) -> None:
    # Frame 1665 is an explosion that lights up a church; the others were checked by eye.
    with open_clip(shared_data / "clips" / "tears_of_steel_battle.webm") as clip:
        assert find_cuts(clip, 0, 240) == [52, 158, 221]
        assert find_cuts(clip, 1640, 1691) == [1650, 1689]


def test_old_film_with_grain_and_flicker_has_no_cut(shared_data: Path) -> None:
    with open_clip(shared_data / "archive" / "chaplin.mp4") as clip:
        assert find_cuts(clip, 0, 100) == []
