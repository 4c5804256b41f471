"""Strokes become the hint picture that the command line would read."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from app.project.document import Stroke
from app.project.raster import HintRaster, rasterize
from tests.app.project.projects import some_color, some_points


def line(tool: str = "paint", color: tuple[int, int, int] = (200, 40, 20), y: float = 12.0, number: int = 1) -> Stroke:
    return Stroke(number, tool, color, 4.0, 1.0, ((6.0, y, 1.0), (26.0, y, 1.0)))


def test_paint_covers_the_brush_and_nothing_else() -> None:
    image = rasterize([line()], 32, 24)
    assert tuple(image[12, 16]) == (200, 40, 20, 255)
    assert image[9, 10, 3] == 255
    assert image[4, 16, 3] == 0
    assert image[12, 0, 3] == 0


def test_a_stroke_crossing_itself_covers_once() -> None:
    soft = replace(line(), hardness=0.0)
    twice = replace(soft, points=(*soft.points, *reversed(soft.points)))
    np.testing.assert_array_equal(rasterize([soft], 32, 24), rasterize([twice], 32, 24))


def test_the_later_stroke_lies_on_top() -> None:
    image = rasterize([line(), line(color=(0, 0, 255), number=2)], 32, 24)
    assert tuple(image[12, 16]) == (0, 0, 255, 255)


def test_erase_removes_hints() -> None:
    image = rasterize([line(), replace(line("erase", number=2), radius_px=20.0)], 32, 24)
    assert not image.any()


def test_protect_lays_down_the_frames_own_color() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image = rasterize([line("protect")], 32, 24, frame)
    np.testing.assert_array_equal(image[12, 8:24, :3], frame[12, 8:24])
    assert (image[12, 8:24, 3] == 255).all()


def test_pressure_thins_the_stroke() -> None:
    light = replace(line(), points=tuple((x, y, 0.2) for x, y, _ in line().points))
    assert (rasterize([light], 32, 24)[..., 3] > 0).sum() < 0.7 * (rasterize([line()], 32, 24)[..., 3] > 0).sum()


@pytest.mark.parametrize("seed", range(12))
def test_growing_a_stroke_gives_the_same_pixels_as_drawing_it_whole(seed: int) -> None:
    rng = random.Random(seed)
    strokes, live = [], HintRaster(32, 24)
    for number in range(1, 6):
        tool = rng.choice(("paint", "erase"))
        whole = Stroke(number, tool, some_color(rng), 3.0, rng.random(), some_points(rng) + some_points(rng))
        live.begin(replace(whole, points=whole.points[:1]))
        for stop in range(2, len(whole.points) + 1):
            live.extend(replace(whole, points=whole.points[:stop]))
        strokes.append(whole)
    np.testing.assert_array_equal(live.image, rasterize(strokes, 32, 24))


def test_the_touched_block_holds_every_changed_pixel() -> None:
    raster = HintRaster(32, 24)
    touched = raster.begin(line())
    outside = np.ones((24, 32), bool)
    outside[touched.slices] = False
    assert not raster.image[outside].any()


def test_extending_another_stroke_is_refused() -> None:
    raster = HintRaster(32, 24)
    raster.begin(line())
    with pytest.raises(ValueError, match="begun last"):
        raster.extend(line(number=2))


def test_strokes_outside_the_picture_touch_nothing() -> None:
    far = replace(line(), points=((-500.0, -500.0, 1.0),))
    assert HintRaster(32, 24).begin(far).is_empty
