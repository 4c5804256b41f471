"""Kept color comes back exactly or not at all, for what it was made from alone, and within its budget."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import pytest

from app.project.result_cache import ResultCache


def some_ab(seed: int, height: int = 30, width: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 30, (height, width, 2)).astype(np.float16)


def test_color_comes_back_bit_by_bit(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "results", "nets")
    cache.write(3, "made-of-a", some_ab(1))
    np.testing.assert_array_equal(cache.read(3, "made-of-a"), some_ab(1))
    assert cache.known(["x", "x", "x", "made-of-a", "made-of-a"]) == [3]


def test_only_what_was_asked_for_is_taken(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, "nets")
    cache.write(3, "a", some_ab(1))
    assert cache.read(4, "a") is None
    assert cache.read(3, "b") is None
    assert ResultCache(tmp_path, "other nets").read(3, "a") is None


@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_file_is_no_color(tmp_path: Path, seed: int) -> None:
    cache, rng = ResultCache(tmp_path, "nets"), random.Random(seed)
    cache.write(0, "a", some_ab(2, 6, 5))
    file = next(tmp_path.iterdir())
    data = bytearray(file.read_bytes())
    del data[rng.randrange(len(data)) :]
    file.write_bytes(bytes(data))
    assert cache.read(0, "a") is None


def test_a_header_that_asks_for_too_much_allocates_nothing(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, "nets")
    cache.write(0, "a", some_ab(2, 6, 5))
    file = next(tmp_path.iterdir())
    data = file.read_bytes()
    for sides in (b"\xff\xff\xff\xff" * 2, b"\0" * 8, b"\0\x40\0\0" * 2):
        file.write_bytes(data[:8] + sides + data[16:])
        assert cache.read(0, "a") is None


def test_the_budget_drops_what_was_used_longest_ago(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path, "nets", budget_bytes=3 * 4000)
    (tmp_path / "somebody.else").write_bytes(b"0" * 99_999)
    for frame in range(6):
        cache.write(frame, "a", some_ab(frame))
        os.utime(cache._path(frame, "a"), (1000 + frame, 1000 + frame))
    cache.read(0, "a")
    cache.prune()
    left = cache.known(["a"] * 6)
    assert 0 in left and 5 in left and 1 not in left
    assert sum(path.stat().st_size for path in tmp_path.glob("*.ab")) <= 3 * 4000
    assert (tmp_path / "somebody.else").exists(), "what is not the cache's own stays"


def test_a_folder_that_is_not_there_is_an_empty_cache(tmp_path: Path) -> None:
    cache = ResultCache(tmp_path / "none", "nets")
    assert cache.known(["a"]) == []
    assert cache.read(0, "a") is None
    cache.prune()
