"""Contact sheets hold every picture, whatever its shape, and their words."""

from __future__ import annotations

import numpy as np

from app.contact_sheet import Row, Tile, contact_sheet, hints_over


def test_rows_of_different_length_and_shape() -> None:
    red, green = (np.full((60, 90, 3), color, np.uint8) for color in ((200, 0, 0), (0, 200, 0)))
    tall = np.full((90, 60, 3), (0, 0, 200), np.uint8)
    rows = [Row("a heading", [Tile(red, "red"), Tile(green, "green")]), Row("", [Tile(tall, "a caption " * 20)])]
    sheet = contact_sheet("Title", rows, tile_width=120)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 2 * 120 + 3 * 10
    shares = [(sheet == color).all(axis=2).sum() for color in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    assert shares == [120 * 80, 120 * 80, 120 * 180]
    assert (sheet > 150).all(axis=2).any(), "words"


def test_hints_lie_over_the_picture_by_their_alpha() -> None:
    picture = np.full((2, 3, 3), 100, np.uint8)
    hints = np.zeros((2, 3, 4), np.uint8)
    hints[0, 0] = (200, 0, 0, 255)
    hints[1, 1] = (200, 0, 0, 51)
    mixed = hints_over(picture, hints)
    assert mixed[0, 0].tolist() == [200, 0, 0]
    assert mixed[1, 1].tolist() == [120, 80, 80]
    assert mixed[0, 1].tolist() == [100, 100, 100]
