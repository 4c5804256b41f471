"""Clips that are hard to follow, carried by the trained network: what stands still stays, what returns is known."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.sequence import Carried, Carrier, carry

Floats = NDArray[np.float32]
HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def carrier() -> Carrier:
    return Carrier.load()


def scene(x: float = 0) -> tuple[Floats, Floats]:
    """(L*, ab) of a camera over a smooth scene with objects, moved by x pixels."""
    rng = np.random.default_rng(5)
    light = cv2.resize(rng.uniform(20, 85, (9, 20)).astype(np.float32), (200, 90), interpolation=cv2.INTER_CUBIC)
    color = cv2.resize(rng.normal(0, 25, (4, 8, 2)).astype(np.float32), (200, 90), interpolation=cv2.INTER_CUBIC)
    lab = np.dstack([light, color])
    lab[25:60, 60:100] = (70, 45, 30)
    matrix = np.array([[1, 0, 40 + x], [0, 1, 12]], np.float64)
    view = cv2.warpAffine(lab, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    return np.ascontiguousarray(view[..., 0]), np.ascontiguousarray(view[..., 1:])


def run(carrier: Carrier, lights: list[Floats], keys: dict[int, Floats]) -> list[Carried]:
    return list(carry(lights.__getitem__, keys, 0, len(lights), carrier=carrier))


def error(found: Carried, truth: Floats) -> float:
    return float(np.sqrt(((found.values - truth) ** 2).mean()))


def test_duplicated_frames_keep_their_color(carrier: Carrier) -> None:
    light, color = scene()
    frames = run(carrier, [light] * 6, {0: color})
    assert error(frames[-1], color) < 2
    assert np.abs(frames[-1].values - frames[-2].values).mean() < 0.5


@pytest.mark.parametrize("kind", ["white", "bright", "black"])
def test_a_flash_is_forgotten_when_it_is_over(carrier: Carrier, kind: str) -> None:
    views = [scene(x) for x in range(7)]
    lights = [light for light, _ in views]
    flash = {"white": np.full_like(lights[3], 100), "bright": np.minimum(lights[3] * 1.5 + 20, 100),
             "black": np.zeros_like(lights[3])}[kind]  # fmt: skip
    lights[3] = flash.astype(np.float32)
    frames = run(carrier, lights, {0: views[0][1]})
    assert all(np.isfinite(frame.values).all() for frame in frames)
    grey = float(np.sqrt((views[6][1] ** 2).mean()))
    assert error(frames[6], views[6][1]) < 0.6 * grey


def test_black_frames_are_carried_over_without_harm(carrier: Carrier) -> None:
    black = np.zeros((HEIGHT, WIDTH), np.float32)
    frames = run(carrier, [black] * 4, {1: np.zeros((HEIGHT, WIDTH, 2), np.float32)})
    assert all(np.isfinite(frame.values).all() and np.abs(frame.values).max() < 5 for frame in frames)


def test_between_keys_that_disagree_colors_stay_between_them(carrier: Carrier) -> None:
    light, color = scene()
    frames = run(carrier, [light] * 5, {0: color, 4: -color})
    assert np.array_equal(frames[0].values, color) and np.array_equal(frames[4].values, -color)
    assert max(float(np.abs(frame.values).max()) for frame in frames) < 1.2 * float(np.abs(color).max())


def test_one_frame_is_its_key(carrier: Carrier) -> None:
    light, color = scene()
    (only,) = run(carrier, [light], {0: color})
    assert np.array_equal(only.values, color)


def test_a_hundred_keys_need_no_carrying(carrier: Carrier) -> None:
    light, color = scene()
    frames = run(carrier, [light] * 100, {n: color * np.float32(n / 100) for n in range(100)})
    assert [frame.index for frame in frames] == list(range(100))
    assert all(np.array_equal(frame.values, color * np.float32(frame.index / 100)) for frame in frames)


def test_style_energy_is_logged_for_every_carried_frame(carrier: Carrier, caplog: pytest.LogCaptureFixture) -> None:
    light, color = scene()
    with caplog.at_level(logging.DEBUG, logger="propagation.sequence"):
        frames = run(carrier, [light] * 3, {0: color})
    lines = [record.getMessage() for record in caplog.records if "style energy" in record.getMessage()]
    assert len(lines) == 2
    ratio = float((frames[2].values**2).sum() / (color**2).sum())
    assert lines[1] == f"frame 2: style energy {ratio:.3f} of its key's (frame 0)"
