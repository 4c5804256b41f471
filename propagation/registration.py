"""Holds a key picture against the frame it is for: does it show the same, from the same place, in the same light?

A key that was re-scanned, cropped, scaled, moved by some pixels or graded is laid onto its frame, and what was found
is said; a picture that plainly shows something else is refused; one that fits is left exactly as it is.

HDR keys are held against their frames by `propagation.hdr.registration`; what both need is `propagation.likeness`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.color.lab import shade
from propagation.errors import HintError
from propagation.likeness import Matrix, correlation, detail, find_shift, laid, match_ranks, rank_curve

Floats = NDArray[np.float32]

_LEAST_SHIFT_PX = 0.3  # below, the estimate is noise
_ALIKE = 0.5  # correlation of lightness below which key and frame do not show the same
_HOPELESS = 0.2  # below, no finer search is worth its time
_FITS = 0.98  # above, a key that lies where it should is not turned or zoomed for more
_DOUBTFUL = 0.75  # below, a person should know
_LARGEST_SHIFT = 0.12  # of the shorter side; beyond, a person has to look
_LEAST_COVERED = 0.4  # of the frame, by the key
_BETTER = 0.005  # gain in correlation that more freedom than a shift has to bring
_MOST_BENT = 0.08  # departure of scale and rotation from what the sizes say
_SAME_ASPECT = 0.01
_WORK_SIDE_PX = 400  # longer side at which pictures are compared
_FLAT = 0.8  # standard deviation of L* without its broad part, below which there is nothing to compare
_GRADED = 2.0  # mean difference of L* above which a key was graded; compression stays below
_EXPLAINED = 0.6  # of that difference may be left after a tone curve that explains it
_LEVELS = 33  # knots of the tone curve
_DIFFERS = 3.0  # mean difference of L* that is worth a word where no tone curve explains it


@dataclass(frozen=True, eq=False)
class Registration:
    """How the key of frame `index` lies on it.

    `given`, `size`: (width, height) of the key and of the clip. `matrix`: see `Matrix`. `shift_px`: (x, y) of the key's
    middle on the frame, `turn_degrees`, `zoom`: (x, y), all beyond what the sizes say. `alike`: correlation of their
    lightness then, NaN where there is nothing to compare. `covered`: share of the frame that the key shows. `differs`:
    mean difference of L* before and after `tone`, the L* of the key and of the frame where they show the same (None:
    left as it is).
    """

    index: int
    given: tuple[int, int]
    size: tuple[int, int]
    matrix: Matrix
    shift_px: tuple[float, float] = (0.0, 0.0)
    turn_degrees: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    alike: float = float("nan")
    covered: float = 1.0
    differs: tuple[float, float] = (0.0, 0.0)
    tone: tuple[Floats, Floats] | None = None

    @property
    def stays(self) -> bool:
        """Whether the key lies where it should, pixel by pixel."""
        return self.given == self.size and np.array_equal(self.matrix, _identity())

    @property
    def fits(self) -> bool:
        """Whether the key is taken exactly as it is."""
        return self.stays and self.tone is None

    @property
    def is_whole(self) -> bool:
        """Whether the key shows every pixel of the frame."""
        corners = [(x, y) for x in (0, self.size[0] - 1) for y in (0, self.size[1] - 1)]
        return all(bool(_is_inside(x, y, self.matrix, self.given)) for x, y in corners)

    def apply(self, lab: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """The color of the key `lab` (h, w, 3) on its frame, (H, W, 2), and where the key shows it, (H, W).

        A tone curve is undone as it is applied, in each of red, green and blue: that takes back an exposure and a
        contrast exactly, with what they do to saturation.
        """
        color = (lab if self.tone is None else shade(lab, *self.tone))[..., 1:]
        if self.stays:
            return color, np.ones(lab.shape[:2], bool)
        return laid(color, self.matrix, self.size), _inside(self.matrix, self.given, self.size)

    def words(self) -> str:
        """What was found and done, for a person; empty for a key that fits."""
        parts = []
        if self.given != self.size:
            parts.append(f"{self.given[0]}x{self.given[1]} where the clip is {self.size[0]}x{self.size[1]}, scaled")
        if any(self.shift_px):
            x, y = (round(each, 1) + 0.0 for each in self.shift_px)  # + 0.0: no shift is no minus
            parts.append(f"shifted by {x:+.1f}, {y:+.1f} px")
        if abs(self.turn_degrees) >= 0.05:
            parts.append(f"turned by {self.turn_degrees:+.1f} degrees")
        if max(abs(zoom - 1) for zoom in self.zoom) >= 0.002:
            parts.append(f"zoomed by {100 * self.zoom[0] - 100:+.1f}, {100 * self.zoom[1] - 100:+.1f} %")
        if self.covered < 0.999:
            parts.append(f"shows {self.covered:.0%} of the frame")
        if self.tone is not None:
            before, after = self.differs
            parts.append(f"graded, its L* is {before:.1f} off on average and {after:.1f} by a tone curve")
        words = [f"Key of frame {self.index}: {'; '.join(parts)}. It was laid onto the frame."] if parts else []
        if self.alike < _DOUBTFUL:
            words.append(f"The key of frame {self.index} shows much else than it (correlation {self.alike:.2f}).")
        return " ".join(words)

    def remark(self) -> str:
        """`words`, and whether the key's lightness is another one that nothing explains."""
        left = self.differs[1]
        if left <= _DIFFERS:
            return self.words()
        unexplained = (
            f"The key of frame {self.index} differs from the clip in lightness (L* by {left:.1f} on average); its "
            "color is used and the clip's lightness kept."
        )
        return f"{self.words()} {unexplained}".strip()


def register(index: int, key: Floats, frame: Floats, path: Path | None = None) -> Registration:
    """How the key `key` (h, w), L* 0 to 100, lies on the frame `frame` (H, W), L*.

    Raises HintError, naming `path`, for a key that plainly shows something else, lies far off, or is of another aspect
    with nothing in it to lay it by.
    """
    given, size = (key.shape[1], key.shape[0]), (frame.shape[1], frame.shape[0])
    placements = list(_placements(given, size))
    scale = min(1.0, _WORK_SIDE_PX / max(size))
    small_size = (max(16, round(size[0] * scale)), max(16, round(size[1] * scale)))
    small = _resized(frame, small_size)
    if min(detail(_resized(key, small_size)), detail(small)) < _FLAT:
        return _unseen(index, given, size, key, frame, path)
    shrinking = (small_size[0] / size[0], small_size[1] / size[1])
    tries = [_shifted(small, key, _rescaled(base, shrinking)) for base in placements]
    alike, matrix, start = max(tries, key=lambda found: found[0])
    if _HOPELESS < alike and not (alike > _FITS and np.array_equal(matrix, start)):
        alike, matrix = _refined(small, key, matrix, start, given)
    matrix, start = (_rescaled(each, (1 / shrinking[0], 1 / shrinking[1])) for each in (matrix, start))
    if alike < _ALIKE:
        raise HintError(
            f"the key of frame {index} does not show what frame {index} shows (correlation {alike:.2f})",
            path=path,
            advice="Frames count from 0 whatever the numbers in file names; check the frame it was made from",
        )
    matrix, shift, turn, zoom = _settled(matrix, start, size)
    if np.hypot(*shift) > _LARGEST_SHIFT * min(size):
        raise HintError(
            f"the key of frame {index} is shifted by {shift[0]:+.0f}, {shift[1]:+.0f} pixels against its frame",
            path=path,
            advice="Save it without moving the picture, or crop it to the clip's size",
        )
    covered = _inside(_rescaled(matrix, shrinking), given, small_size)
    if covered.mean() < _LEAST_COVERED:
        raise HintError(
            f"the key of frame {index} shows only {covered.mean():.0%} of its frame", path=path, advice="Give it whole"
        )
    picture = laid(_antialiased(key, matrix, shrinking), _rescaled(matrix, shrinking), small_size)
    tone, differs = _tone(picture[covered], small[covered])
    share = 1.0 if given == size and np.array_equal(matrix, _identity()) else float(covered.mean())
    return Registration(index, given, size, matrix, shift, turn, zoom, alike, share, differs, tone)


def _identity() -> Matrix:
    return np.eye(2, 3)


def _placements(given: tuple[int, int], size: tuple[int, int]) -> Iterator[Matrix]:
    """Where a key of another size may lie: stretched over the frame; in equal proportions, cropped to the frame or
    lying within it; pixel on pixel around the middle."""
    if given == size:
        yield _identity()
        return
    across, down = given[0] / size[0], given[1] / size[1]
    yield _centered((across, down), given, size)
    if abs(across / down - 1) > _SAME_ASPECT:
        for scale in dict.fromkeys((min(across, down), max(across, down), 1.0)):
            yield _centered((scale, scale), given, size)


def _centered(scale: tuple[float, float], given: tuple[int, int], size: tuple[int, int]) -> Matrix:
    """Middle on middle, pixel centers at whole numbers."""
    offset = [(g - 1) / 2 - s * (n - 1) / 2 for g, s, n in zip(given, scale, size, strict=True)]
    return np.array([[scale[0], 0, offset[0]], [0, scale[1], offset[1]]], np.float64)


def _rescaled(matrix: Matrix, scale: tuple[float, float]) -> Matrix:
    """The same place for a frame whose size is multiplied by `scale`."""
    enlarge = np.diag([1 / scale[0], 1 / scale[1], 1.0])
    enlarge[:2, 2] = 0.5 / scale[0] - 0.5, 0.5 / scale[1] - 0.5
    return np.asarray(matrix @ enlarge, np.float64)


def _shifted(small: Floats, key: Floats, base: Matrix) -> tuple[float, Matrix, Matrix]:
    """(correlation, matrix, base) of the key laid by `base` and then shifted."""
    picture = laid(_antialiased(key, base, (1.0, 1.0)), base, small.shape[1::-1])
    shift, alike = find_shift(small, match_ranks(picture, small))
    matrix = base.copy()
    matrix[:, 2] += base[:, :2] @ np.array(shift)
    return alike, matrix, base


def _refined(
    small: Floats, key: Floats, matrix: Matrix, base: Matrix, given: tuple[int, int]
) -> tuple[float, Matrix]:
    """(correlation, matrix) after enhanced correlation (Evangelidis and Psarakis 2008): a finer shift, and turned and
    zoomed where that explains more."""
    soft = _antialiased(key, base, (1.0, 1.0))
    first = match_ranks(laid(soft, base, small.shape[1::-1]), small)
    alike = _fit(small, soft, matrix, given)
    for kind, gain in ((cv2.MOTION_TRANSLATION, 0.0), (cv2.MOTION_AFFINE, _BETTER)):
        finer = _enhanced(small, first, _relative(base, matrix), kind)
        if finer is None or np.abs(finer[:, :2] - np.eye(2)).max() > _MOST_BENT:
            continue
        bent = np.asarray(base @ np.vstack([finer, [0, 0, 1]]), np.float64)
        found = _fit(small, soft, bent, given)
        if found > alike + gain:
            alike, matrix = found, bent
    return alike, matrix


def _fit(small: Floats, key: Floats, matrix: Matrix, given: tuple[int, int]) -> float:
    """Correlation of what the key shows of the frame; 0 where that is too little."""
    size = (small.shape[1], small.shape[0])
    shown = _inside(matrix, given, size)
    if shown.mean() < _LEAST_COVERED:
        return 0.0
    return correlation(small, match_ranks(laid(key, matrix, size), small), shown)


def _relative(base: Matrix, matrix: Matrix) -> Matrix:
    """`matrix` as a map of the frame onto the frame laid by `base`."""
    return np.asarray((np.linalg.inv(np.vstack([base, [0, 0, 1]])) @ np.vstack([matrix, [0, 0, 1]]))[:2], np.float64)


def _enhanced(small: Floats, other: Floats, start: Matrix, kind: int) -> Matrix | None:
    """The warp of `other` onto `small`; None where it does not converge."""
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-6)
    try:
        everywhere = np.full(small.shape, 255, np.uint8)
        _, found = cv2.findTransformECC(small, other, start.astype(np.float32), kind, criteria, everywhere, 5)
    except cv2.error:
        return None
    return np.asarray(found, np.float64)


def _settled(
    matrix: Matrix, base: Matrix, size: tuple[int, int]
) -> tuple[Matrix, tuple[float, float], float, tuple[float, float]]:
    """The matrix, shift of the middle, rotation in degrees and zoom; exactly `base` where nothing is worth moving."""
    by = _relative(base, matrix)
    corners = np.array([[0, 0, 1], [size[0] - 1, 0, 1], [0, size[1] - 1, 1], [size[0] - 1, size[1] - 1, 1]], np.float64)
    moves = corners @ by.T - corners[:, :2]
    if np.hypot(*moves.T).max() < _LEAST_SHIFT_PX:
        return base, (0.0, 0.0), 0.0, (1.0, 1.0)
    middle = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2, 1])
    shift = by @ middle - middle[:2]
    turn = np.degrees((np.arctan2(by[1, 0], by[0, 0]) - np.arctan2(by[0, 1], by[1, 1])) / 2)
    zoom = (float(np.hypot(*by[:, 0])), float(np.hypot(*by[:, 1])))
    return matrix, (float(shift[0]), float(shift[1])), float(turn), zoom


def _unseen(
    index: int, given: tuple[int, int], size: tuple[int, int], key: Floats, frame: Floats, path: Path | None
) -> Registration:
    """Of a picture without detail, which says nothing about where it lies."""
    across, down = given[0] / size[0], given[1] / size[1]
    if abs(across / down - 1) > _SAME_ASPECT:
        raise HintError(
            f"the key of frame {index} is {given[0]}x{given[1]} pixels and the clip is {size[0]}x{size[1]}, of another "
            "aspect, and nothing in it tells where it lies",
            path=path,
            advice="Save it at the clip's size",
        )
    matrix = next(_placements(given, size))
    apart = float(np.abs(_resized(key, size) - frame).mean())
    return Registration(index, given, size, matrix, differs=(apart, apart))


def _tone(key: Floats, frame: Floats) -> tuple[tuple[Floats, Floats] | None, tuple[float, float]]:
    """The curve from the key's L* to the frame's where it explains their difference, and that before and after."""
    before = float(np.abs(key - frame).mean())
    if before <= _GRADED:
        return None, (before, before)
    levels = rank_curve(key, frame, np.linspace(0.005, 0.995, _LEVELS))
    # Beyond the ends, which noise decides, the curve goes on by equal steps.
    first, second = (np.concatenate([c[:1] - 100, c, c[-1:] + 100]).astype(np.float32) for c in levels)
    curve = (first, second)
    after = float(np.abs(np.interp(key, *curve) - frame).mean())
    return (curve, (before, after)) if after < _EXPLAINED * before else (None, (before, before))


def _antialiased(picture: Floats, matrix: Matrix, shrinking: tuple[float, float]) -> Floats:
    """`picture` blurred as far as `matrix`, of a frame shrunk by `shrinking`, leaves pixels out."""
    steps = (float(np.hypot(*matrix[:, 0])) / shrinking[0], float(np.hypot(*matrix[:, 1])) / shrinking[1])
    if max(steps) <= 1.2:
        return picture
    # Half a step: what an area average of that many pixels spreads.
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), sigmaX=max(steps) / 2, sigmaY=max(steps) / 2), np.float32)


def _inside(matrix: Matrix, given: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W): whether the key shows that pixel of the frame."""
    x, y = np.meshgrid(np.arange(size[0], dtype=np.float64), np.arange(size[1], dtype=np.float64))
    return np.asarray(_is_inside(x, y, matrix, given), bool)


def _is_inside(x: Any, y: Any, matrix: Matrix, given: tuple[int, int]) -> Any:
    """Whether points of the frame lie in the key, up to the outer edge of its pixels."""
    u, v = (row[0] * x + row[1] * y + row[2] for row in matrix)
    edge = 0.5 + 1e-6
    return (u >= -edge) & (v >= -edge) & (u <= given[0] - 1 + edge) & (v <= given[1] - 1 + edge)


def _resized(picture: Floats, size: tuple[int, int]) -> Floats:
    if picture.shape[1::-1] == size:
        return picture
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.float32)
