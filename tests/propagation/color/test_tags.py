"""Colour tags: what a file states is believed, and the rest is guessed by the rules in tags.py and by no others."""

from __future__ import annotations

import pytest

from propagation.color.tags import STILL_TAGS, UNSPECIFIED, ColorTags, resolve_tags

NOTHING = (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, None)
ALL = ("primaries", "transfer", "matrix", "range")


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((1920, 1080), 1),
        ((1280, 720), 1),
        ((1025, 480), 1),
        ((1024, 577), 1),
        ((1024, 576), 5),
        ((720, 576), 5),
        ((720, 480), 6),
        ((854, 480), 6),
        ((320, 240), 6),
        ((1, 1), 6),
    ],
)
def test_the_matrix_is_guessed_by_size(size: tuple[int, int], matrix: int) -> None:
    tags = resolve_tags(*NOTHING, is_rgb=False, width=size[0], height=size[1])
    assert tags == ColorTags(1, 1, matrix, 0, ALL)


@pytest.mark.parametrize("unusable", [0, 2, 3, 11, 255])
def test_reserved_numbers_count_as_nothing(unusable: int) -> None:
    """0 is RGB's matrix, and cannot be that of a YUV picture."""
    tags = resolve_tags(unusable if unusable != 11 else 3, 3, unusable, None, is_rgb=False, width=720, height=480)
    assert tags.guessed == ALL
    assert (tags.primaries, tags.transfer, tags.matrix) == (1, 1, 6)


@pytest.mark.parametrize(("primaries", "matrix"), [(1, 1), (5, 5), (6, 6), (7, 6), (9, 9)])
def test_stated_primaries_bring_their_matrix(primaries: int, matrix: int) -> None:
    tags = resolve_tags(primaries, UNSPECIFIED, UNSPECIFIED, None, is_rgb=False, width=64, height=64)
    assert (tags.primaries, tags.matrix) == (primaries, matrix)
    assert "matrix" in tags.guessed and "primaries" not in tags.guessed


@pytest.mark.parametrize(("matrix", "primaries"), [(1, 1), (5, 5), (6, 6), (9, 9), (10, 9), (7, 1)])
def test_a_stated_matrix_brings_its_primaries(matrix: int, primaries: int) -> None:
    tags = resolve_tags(UNSPECIFIED, UNSPECIFIED, matrix, None, is_rgb=False, width=64, height=64)
    assert (tags.primaries, tags.matrix) == (primaries, matrix)
    assert "primaries" in tags.guessed and "matrix" not in tags.guessed


def test_wide_primaries_bring_their_transfer() -> None:
    tags = resolve_tags(9, UNSPECIFIED, 9, False, is_rgb=False, width=64, height=64)
    assert tags == ColorTags(9, 14, 9, 0, ("transfer",))


@pytest.mark.parametrize("full", [False, True])
def test_a_stated_range_is_believed(full: bool) -> None:
    tags = resolve_tags(1, 1, 1, full, is_rgb=False, width=64, height=64, full_by_nature=not full)
    assert tags == ColorTags(1, 1, 1, int(full))


def test_range_by_nature_is_a_guess() -> None:
    tags = resolve_tags(1, 1, 1, None, is_rgb=False, width=64, height=64, full_by_nature=True)
    assert tags == ColorTags(1, 1, 1, 1, ("range",))


def test_rgb_is_srgb_unless_stated_otherwise() -> None:
    assert resolve_tags(*NOTHING, is_rgb=True, width=64, height=64) == STILL_TAGS
    assert resolve_tags(9, 16, 9, False, is_rgb=True, width=64, height=64) == ColorTags(9, 16, 0, 1)
