"""Keys against their frames: what is followed, what is undone, what is said, what is refused, what is left alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.color.lab import shade
from propagation.errors import HintError
from propagation.registration import register

Floats = NDArray[np.float32]
WIDTH, HEIGHT = 320, 200


def scene(seed: int = 0) -> Floats:
    """Detail at several scales in color, larger than the frame: Lab (260, 400, 3)."""
    rng = np.random.default_rng(seed)
    rgb = np.zeros((260, 400, 3), np.float32)
    for cell, weight in ((64, 0.5), (16, 0.3), (5, 0.2)):
        coarse = rng.uniform(0, 1, (260 // cell + 2, 400 // cell + 2, 3)).astype(np.float32)
        rgb += weight * cv2.resize(coarse, (400, 260), interpolation=cv2.INTER_LINEAR)
    return cv2.cvtColor(np.clip(rgb, 0, 1), cv2.COLOR_RGB2LAB)


def view(lab: Floats, x: float = 0, y: float = 0, zoom: float = 1, turn: float = 0, size=(WIDTH, HEIGHT)) -> Floats:
    """The picture of a camera on the scene's middle, moved by x, y pixels."""
    matrix = cv2.getRotationMatrix2D((0, 0), turn, zoom)
    matrix[:, 2] = np.array([200 + x, 130 + y]) - matrix[:, :2] @ np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
    return cv2.warpAffine(lab, matrix, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def lightness(lab: Floats) -> Floats:
    return np.ascontiguousarray(lab[..., 0])


def graded(lab: Floats, gain: float, power: float) -> Floats:
    """The same picture as a grader's gain (on light) and power (on the signal) leave it, in sRGB."""
    rgb = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) ** power
    light = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92) * gain
    signal = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return cv2.cvtColor(signal.astype(np.float32), cv2.COLOR_RGB2LAB)


def color_error(ab: Floats, shown: NDArray[np.bool_], truth: Floats) -> float:
    return float(np.abs(ab - truth[..., 1:])[shown].mean())


def test_a_key_that_fits_is_left_exactly_as_it_is() -> None:
    frame = view(scene())
    noise = np.random.default_rng(1).normal(0, 1, frame.shape[:2]).astype(np.float32)
    found = register(3, lightness(frame) + noise, lightness(frame))
    assert found.fits and found.is_whole and found.words() == found.remark() == ""
    ab, shown = found.apply(frame)
    assert np.array_equal(ab, frame[..., 1:]) and shown.all()


@pytest.mark.parametrize(("x", "y"), [(3.4, -2.2), (-1.0, 0.0), (11.0, 7.0)])
def test_a_shift_is_measured_said_and_undone(x: float, y: float) -> None:
    frame, key = view(scene()), view(scene(), x, y)
    found = register(3, lightness(key), lightness(frame))
    assert found.shift_px == pytest.approx((-x, -y), abs=0.15)
    assert "shifted by" in found.words() and "frame 3" in found.words()
    ab, shown = found.apply(key)
    assert 0.9 < shown.mean() < 1 and not found.is_whole
    unmoved = float(np.abs(key - frame)[..., 1:].mean())
    # Two bilinear or cubic readings blur the finest detail; the shift itself is gone.
    assert color_error(ab, shown, frame) < 0.35 * unmoved


def test_a_turned_and_zoomed_scan_is_laid_flat() -> None:
    frame, key = view(scene()), view(scene(), 2, 1, zoom=1.02, turn=0.8)
    found = register(0, lightness(key), lightness(frame))
    assert abs(found.turn_degrees) == pytest.approx(0.8, abs=0.1)
    assert found.zoom == pytest.approx((1 / 1.02, 1 / 1.02), abs=0.003)
    ab, shown = found.apply(key)
    assert color_error(ab, shown, frame) < 0.3 * float(np.abs(key - frame)[..., 1:].mean())


@pytest.mark.parametrize(("gain", "power"), [(0.5, 1.0), (1.0, 1.5), (1.0, 0.7)])
def test_a_grade_is_said_and_its_color_taken_back(gain: float, power: float) -> None:
    frame = view(scene())
    key = graded(frame, gain, power)
    found = register(7, lightness(key), lightness(frame))
    assert found.stays and not found.fits
    before, after = found.differs
    assert before == pytest.approx(float(np.abs(key - frame)[..., 0].mean()), abs=0.3)
    assert after < 0.35 * before
    assert "graded" in found.words()
    ab, shown = found.apply(key)
    assert shown.all()
    assert color_error(ab, shown, frame) < 0.4 * float(np.abs(key - frame)[..., 1:].mean())


def test_a_shift_under_a_grade_is_found_all_the_same() -> None:
    frame, key = view(scene()), graded(view(scene(), 5, -3), 0.6, 1.2)
    found = register(0, lightness(key), lightness(frame))
    assert found.shift_px == pytest.approx((-5, 3), abs=0.2)
    ab, shown = found.apply(key)
    assert color_error(ab, shown, frame) < 0.35 * float(np.abs(key - frame)[..., 1:].mean())


def resized(lab: Floats, width: int, height: int) -> Floats:
    return cv2.resize(lab, (width, height), interpolation=cv2.INTER_AREA)


# What was done to a picture of the frame's size: key of another size, and the share of the frame it shows.
OTHER_SIZES = {
    "half the size": (lambda lab: resized(lab, 160, 100), 1.0),
    "twice the size": (lambda lab: cv2.resize(lab, (640, 400), interpolation=cv2.INTER_CUBIC), 1.0),
    "other pixels": (lambda lab: resized(lab, 256, 200), 1.0),
    "cut at the sides": (lambda lab: np.ascontiguousarray(lab[:, 30:-30]), 0.81),
    "black bars": (lambda lab: cv2.copyMakeBorder(lab, 30, 30, 0, 0, cv2.BORDER_CONSTANT), 1.0),
    "cut and enlarged": (lambda lab: resized(lab[:, 40:-40], 360, 300), 0.75),
}


@pytest.mark.parametrize("kind", OTHER_SIZES)
def test_a_key_of_another_size_is_laid_and_said(kind: str) -> None:
    change, share = OTHER_SIZES[kind]
    frame = view(scene())
    key = change(frame)
    found = register(0, lightness(key), lightness(frame))
    assert found.covered == pytest.approx(share, abs=0.02)
    assert f"{key.shape[1]}x{key.shape[0]} where the clip is {WIDTH}x{HEIGHT}" in found.words()
    ab, shown = found.apply(key)
    assert ab.shape == (HEIGHT, WIDTH, 2)
    assert color_error(ab, shown, frame) < 0.15 * float(np.abs(frame[..., 1:]).mean())


def test_another_scene_is_refused_by_name() -> None:
    with pytest.raises(HintError, match=r"other\.png.*key of frame 4 does not show what frame 4 shows"):
        register(4, lightness(view(scene(1))), lightness(view(scene(0))), Path("other.png"))
    upside_down = np.ascontiguousarray(view(scene())[::-1, ::-1])
    with pytest.raises(HintError, match="does not show"):
        register(0, lightness(upside_down), lightness(view(scene())))


def test_a_key_far_off_is_refused() -> None:
    with pytest.raises(HintError, match="shifted by"):
        register(0, lightness(view(scene(), 35, 0)), lightness(view(scene())))


def test_pictures_that_show_nothing_are_taken_as_they_come_or_refused_for_their_shape() -> None:
    black, grey = np.zeros((HEIGHT, WIDTH), np.float32), np.full((HEIGHT, WIDTH), 60, np.float32)
    assert register(0, black, black).fits
    found = register(0, grey, black)
    assert found.fits and "differs from the clip in lightness" in found.remark()
    assert not register(0, grey[::2, ::2].copy(), black).words() == ""
    with pytest.raises(HintError, match="another aspect"):
        register(0, grey[:, :-20].copy(), black)


def test_flat_drawings_are_compared_too() -> None:
    frame, key = np.full((64, 96), 25, np.float32), np.full((64, 96), 25, np.float32)
    frame[:, 48:], key[:, 44:] = 42, 46  # one edge, as in a cartoon, and another paint
    found = register(0, key, frame)
    assert found.alike > 0.9 and found.shift_px[0] == pytest.approx(-4, abs=0.5)


def test_lightness_painted_over_is_said_and_the_color_kept() -> None:
    frame = view(scene())
    key = frame.copy()
    key[40:160, 60:180, 0] += 30
    found = register(0, lightness(key), lightness(frame))
    assert found.fits and "differs from the clip in lightness" in found.remark()
    assert np.array_equal(found.apply(key)[0], key[..., 1:])


def test_shading_undoes_a_gain_and_a_power_on_every_channel() -> None:
    frame = view(scene())
    levels = np.linspace(0, 1, 200, dtype=np.float32)
    greys = cv2.cvtColor(np.repeat(levels[:, None, None], 3, 2), cv2.COLOR_RGB2LAB)
    after = graded(greys, 0.6, 1.3)
    back = shade(graded(frame, 0.6, 1.3), after[:, 0, 0], greys[:, 0, 0])
    # The curve is read between 200 points, and OpenCV's sRGB matrix is not ours to the last digit.
    assert np.abs(back - frame).max() < 1 and np.abs(back - frame).mean() < 0.2
