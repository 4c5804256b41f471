"""What code values mean: the colour tags of ITU-T H.273, and the only rules by which missing ones are guessed.

The numbers are H.273's: primaries 1 = BT.709, 5 / 6 = BT.601 with 625 / 525 lines, 9 = BT.2020, 12 = Display P3;
transfer 1 / 6 / 14 / 15 = the BT.709 family, 13 = sRGB, 16 = PQ, 18 = HLG; matrix 0 = RGB, 1 = BT.709, 5 / 6 = BT.601,
9 = BT.2020; range 0 = limited (16-235), 1 = full (VideoFullRangeFlag).

A tag that a file states is believed. A tag is guessed only where the file says "unspecified" (2), says something
reserved, or contradicts its own pixel format, and only by these rules, in this order:

1. RGB and palette pictures (stills; RGB coded video): primaries 1, transfer 13 (sRGB), matrix 0, range 1.
2. Matrix of YUV and grey pictures: the one that belongs to stated primaries (9 -> 9, 1 -> 1, 5 -> 5, 6 and 7 -> 6);
   else by size as broadcast did it: wider than 1024 or higher than 576 -> 1; exactly 576 lines -> 5; anything smaller
   -> 6.
3. Primaries: the ones that belong to a *stated* matrix (9 -> 9, 5 -> 5, 6 -> 6, else 1). After a guessed matrix: 1,
   since nearly all small clips today were made on sRGB screens.
4. Transfer: 14 (BT.2020 10 bit, same curve as BT.709) with primaries 9, else 1.
5. Range: full for the `yuvj` formats and for grey of codecs that keep pictures as they are (rule 1's kin: FFV1, PNG,
   MJPEG, raw); limited for everything else, which is what H.264, HEVC, VP9 and AV1 prescribe when they do not say.

What was guessed is named in `ColorTags.guessed`, so that nobody mistakes it for what the file said.
"""

from __future__ import annotations

from dataclasses import dataclass

UNSPECIFIED = 2
_STATED_PRIMARIES = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
_STATED_TRANSFER = frozenset({1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18})
_STATED_MATRIX = frozenset({1, 4, 5, 6, 7, 8, 9, 10})
_MATRIX_OF_PRIMARIES = {1: 1, 5: 5, 6: 6, 7: 6, 9: 9}
_PRIMARIES_OF_MATRIX = {5: 5, 6: 6, 9: 9, 10: 9}


@dataclass(frozen=True)
class ColorTags:
    """How to read code values, as H.273 integers (`range`: 0 limited, 1 full) of the *coded* picture.

    Frames are always handed out as full-range RGB; `matrix` and `range` then say how they were coded. `guessed` names
    the fields the file did not state, in the order primaries, transfer, matrix, range.
    """

    primaries: int = 1
    transfer: int = 13
    matrix: int = 0
    range: int = 1
    guessed: tuple[str, ...] = ()


STILL_TAGS = ColorTags(guessed=("primaries", "transfer"))


def resolve_tags(
    primaries: int,
    transfer: int,
    matrix: int,
    range_full: bool | None,
    *,
    is_rgb: bool,
    width: int,
    height: int,
    full_by_nature: bool = False,
) -> ColorTags:
    """Complete the tags a file states by the rules above.

    `primaries`, `transfer`, `matrix` are H.273 integers as read (2 or a reserved number where the file says nothing),
    `range_full` is None where nothing is said. `width` and `height` are the coded size in pixels. `full_by_nature`
    marks pixel formats that are full range unless stated otherwise.
    """
    guessed: list[str] = []
    if is_rgb:
        matrix_out = 0
        primaries_out = _stated(primaries, _STATED_PRIMARIES, 1, "primaries", guessed)
        transfer_out = _stated(transfer, _STATED_TRANSFER, 13, "transfer", guessed)
        return ColorTags(primaries_out, transfer_out, matrix_out, 1, tuple(guessed))
    stated_matrix = matrix in _STATED_MATRIX
    primaries_out = _stated(
        primaries, _STATED_PRIMARIES, _PRIMARIES_OF_MATRIX.get(matrix, 1) if stated_matrix else 1, "primaries", guessed
    )
    transfer_out = _stated(transfer, _STATED_TRANSFER, 14 if primaries_out == 9 else 1, "transfer", guessed)
    by_size = 1 if width > 1024 or height > 576 else 5 if height == 576 else 6
    known = _MATRIX_OF_PRIMARIES.get(primaries, by_size)
    matrix_out = _stated(matrix, _STATED_MATRIX, known, "matrix", guessed)
    if range_full is None:
        guessed.append("range")
        range_full = full_by_nature
    return ColorTags(primaries_out, transfer_out, matrix_out, int(range_full), tuple(guessed))


def _stated(value: int, allowed: frozenset[int], guess: int, name: str, guessed: list[str]) -> int:
    """`value` if the standard defines it, else `guess`, remembered in `guessed`."""
    if value in allowed:
        return value
    guessed.append(name)
    return guess
