"""An HDR key beside its frame before it is taken, and light at an exposure on an ordinary screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from app.hdr_preview import look_at_key
from app.hdr_view import above_white, clipped_in_clip, show_light
from propagation.color.tonemap import tone_mapped
from propagation.errors import HintError
from propagation.video.exr import write_exr
from tests.app.conftest import write_png
from tests.propagation.hdr.scenes import camera, moving, scene, view


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for n, picture in enumerate(moving(3)[0]):
        write_png(folder / f"{n}.png", picture)
    return folder


def test_light_on_the_screen_is_srgb_clipped_at_white() -> None:
    rng = np.random.default_rng(2)
    light = np.exp(rng.normal(-1, 2, (37, 41, 3))).astype(np.float32)
    for stops in (0.0, -3.0, 2.5):
        # A single channel at a time: the tone curve scales all three together, the screen clips each.
        for channel in range(3):
            alone = np.zeros_like(light)
            alone[..., channel] = light[..., channel]
            shown = show_light(alone, stops).astype(int)
            assert np.abs(shown - tone_mapped(alone, "clip", stops)).max() <= 1
        np.testing.assert_array_equal(above_white(light, stops), (light * np.float32(2.0**stops) > 1).any(axis=-1))
    assert show_light(np.full((2, 2, 3), -1.0, np.float32), 0.0).max() == 0


@pytest.mark.parametrize("white", [255, 65535])
def test_what_the_clip_has_clipped(white: int) -> None:
    light = moving(1)[1][0]
    codes = camera(light, white=white)
    np.testing.assert_array_equal(clipped_in_clip(codes), (codes >= 250 * (white // 255)).any(axis=-1))


def test_a_good_key_looks_like_its_frame(clip: Path, tmp_path: Path) -> None:
    pictures, light, _ = moving(3)
    write_exr(tmp_path / "key.exr", light[1])
    look = look_at_key(clip, 1, tmp_path / "key.exr")
    assert "Key of frame 1: exposure +0.00 stops" in look.words
    np.testing.assert_array_equal(look.frame, pictures[1])
    assert np.abs(look.shown.astype(int) - look.frame).mean() < 1
    assert np.abs(look.difference.astype(int) - 128).mean() < 4
    assert np.abs(look.overlaid[..., 0].astype(int) - look.overlaid[..., 1]).mean() < 1
    assert look.white == pytest.approx(1 / 1.05, rel=0.05)


def test_a_shifted_key_shows_colored_rims_until_it_is_followed(clip: Path, tmp_path: Path) -> None:
    write_exr(tmp_path / "key.exr", view(scene(), 1.5 - 2, 0.5 - 1))
    look = look_at_key(clip, 1, tmp_path / "key.exr")
    assert "shifted by +2.0, " in look.words
    assert np.abs(look.overlaid[4:-4, 4:-4, 0].astype(int) - look.overlaid[4:-4, 4:-4, 1]).mean() < 2


def test_a_key_of_something_else_is_refused_before_it_is_shown(clip: Path, tmp_path: Path) -> None:
    write_exr(tmp_path / "key.exr", np.ascontiguousarray(moving(3)[1][1][::-1, ::-1]))
    with pytest.raises(HintError, match="does not show what frame 1 shows"):
        look_at_key(clip, 1, tmp_path / "key.exr")
