"""Contact sheets: labelled pictures in rows, to judge a result at a glance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

_PAPER = 24
_INK = (235, 235, 235)
_GAP_PX = 10
_CAPTION_PX = 26
_TITLE_PX = 44
_HEADING_PX = 30
_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Tile:
    """One picture, (H, W, 3) 8-bit RGB, and the words under it."""

    picture: Picture
    caption: str


@dataclass(frozen=True)
class Row:
    """Tiles beside each other, and the words above them."""

    heading: str
    tiles: Sequence[Tile]


def contact_sheet(title: str, rows: Sequence[Row], tile_width: int = 400) -> Picture:
    """(H, W, 3) 8-bit RGB: the rows under each other, every tile `tile_width` wide, dark paper.

    The text is plain ASCII, which is what the built-in font draws.
    """
    strips = [_strip(row.tiles, tile_width) for row in rows]
    width = max(strip.shape[1] for strip in strips)
    sheet = [_words(title, width, _TITLE_PX, 0.75)]
    for row, strip in zip(rows, strips, strict=True):
        if row.heading:
            sheet.append(_words(row.heading, width, _HEADING_PX, 0.55))
        sheet.append(_widened(strip, width))
    return np.concatenate(sheet, axis=0)


def hints_over(picture: Picture, hints: NDArray[np.uint8]) -> Picture:
    """RGBA `hints` laid over `picture` (H, W, 3), as a painter sees them."""
    alpha = hints[..., 3:].astype(np.float32) / 255
    mixed: Picture = np.rint(picture * (1 - alpha) + hints[..., :3] * alpha).astype(np.uint8)
    return mixed


def _strip(row: Sequence[Tile], tile_width: int) -> Picture:
    tiles = [_tile(tile, tile_width) for tile in row]
    height = max(tile.shape[0] for tile in tiles)
    parts: list[Picture] = [_paper(height, _GAP_PX)]
    for tile in tiles:
        parts += [_paper(height, tile.shape[1]), _paper(height, _GAP_PX)]
        parts[-2][: tile.shape[0]] = tile
    return np.concatenate(parts, axis=1)


def _tile(tile: Tile, width: int) -> Picture:
    height = round(tile.picture.shape[0] * width / tile.picture.shape[1])
    small = cv2.resize(np.ascontiguousarray(tile.picture), (width, height), interpolation=cv2.INTER_AREA)
    caption = _paper(_CAPTION_PX + _GAP_PX, width)
    _write(caption, tile.caption, (2, 18), _fitting(tile.caption, width - 4, 0.48))
    return np.concatenate([small, caption], axis=0)


def _words(text: str, width: int, height: int, scale: float) -> Picture:
    band = _paper(height, width)
    _write(band, text, (_GAP_PX, height * 2 // 3), _fitting(text, width - 2 * _GAP_PX, scale))
    return band


def _fitting(text: str, width: int, scale: float) -> float:
    # OpenCV 5 draws this font up to a tenth wider than it measures it.
    drawn = 1.1 * cv2.getTextSize(text, _FONT, scale, 1)[0][0]
    return scale * min(1.0, width / max(drawn, 1))


def _write(picture: Picture, text: str, at: tuple[int, int], scale: float) -> None:
    cv2.putText(picture, text, at, _FONT, scale, _INK, 1, cv2.LINE_AA)


def _paper(height: int, width: int) -> Picture:
    return np.full((height, width, 3), _PAPER, np.uint8)


def _widened(strip: Picture, width: int) -> Picture:
    missing = width - strip.shape[1]
    return strip if missing == 0 else np.concatenate([strip, _paper(strip.shape[0], missing)], axis=1)
