"""Carries the log-radiance of an HDR key along a clip: motion that is checked against the key at every frame.

For every frame the key is moved here, shown through the camera's response at the frame's exposure, and held against
the picture: what still moves between the two corrects the way to the key, so that it does not drift; how much they
differ tells the frame's exposure and how far each pixel can be trusted. The light is sampled from the key once and
never blurs.

`LightCarrier` is all that the rest knows of this: a trained network can take the place of `MotionCarrier`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from kernels.threads import run_parts
from propagation.alignment import MotionEstimator, grid
from propagation.hdr.filling import gates_of, spread
from propagation.hdr.motion import believed, follow_the_sure, grey8, inside, sampled, visible
from propagation.hdr.response import CLIPPED, FLOOR, LEVELS, Response, to_256
from propagation.hdr.steps import Flows, Steps
from propagation.spool import Spool

Floats = NDArray[np.float32]
Codes = NDArray[Any]
FrameOf = Callable[[int], Codes]

# Code value of 0..255 up to which a channel tells nothing of light or motion.
CRUSHED = 3
# Between these a code value tells exposure: no toe, no shoulder, no noise.
STEADY = (48, 12)  # from the first up to so many below clipping
EXPOSURE_STEP = 3  # every third pixel of every third line tells enough
FEWEST = 200  # such pixels that a frame's exposure is taken from, else that of the frame before holds
_NEARLY_WHITE = 18  # 8-bit luma below clipping, see `nearly_white`
DIFFERS = 12.0  # 8-bit luma between picture and shown key at which a pixel is doubted
DIFFERENCE_PX = 1.0  # standard deviation over which that difference is looked at
BORDER_PX = 4  # flow so near the key's own border sees its replicated edge
DRIFT_PX = 3.0  # correction of this length is doubted like a round trip of half a pixel
KNOWN, UNKNOWN = 0.03, 0.5  # expected error of log10 light where the key is trusted, and where nothing is known
_STEPS = 2048  # of log10 light that the camera is tabulated in
_LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # those of `grey8`
TRUSTED = 0.9  # trust from which nothing is filled in
FALLBACK = 1e-3  # weight of the key's usual highlight in a highlight that the key does not show


@dataclass(frozen=True, eq=False)
class KeyLight:
    """An HDR key at work size: `log_light` (h, w, 3) log10, and the camera's `response` in the same unit. `shift` (x,
    y) in pixels: a point of the frame at p is at p + shift in the key."""

    log_light: Floats
    response: Response
    shift: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, eq=False)
class CarriedLight:
    """`log_light` (h, w, 3): log10 light carried to the frame, in the key's unit; `error` (h, w): the error expected of
    it; `positions` (h, w, 2): x, y in the key where it comes from, or None; `log_exposure`: log10 of the frame's
    exposure; `key`: the frame it comes from."""

    index: int
    key: int
    log_light: Floats
    error: Floats
    positions: Floats | None
    log_exposure: float


class LightCarrier(Protocol):
    """Carries a key along `order`, whose frames follow one another away from frame `start`; `frame_of(n)` gives code
    values (h, w, 3), uint8 or uint16, at the key's size. `steps`: what a walk over the same frames the other way has
    found out about them, or may want to know; None for one walk alone."""

    def walk(
        self, frame_of: FrameOf, order: Iterable[int], start: int, key: KeyLight, steps: Spool | None = None
    ) -> Iterator[CarriedLight]: ...


class MotionCarrier:
    """DIS optical flow, corrected against the key; no network."""

    def walk(
        self, frame_of: FrameOf, order: Iterable[int], start: int, key: KeyLight, steps: Spool | None = None
    ) -> Iterator[CarriedLight]:
        """See `LightCarrier`. Three calls of DIS a frame, one where `steps` knows its motion already; the motion of the
        next step is estimated while this one is worked on."""
        code_values = frame_of(start)
        walk = _Walk(code_values, key)
        with Steps(steps) as motion:
            indices, came, before = iter(order), start, grey8(code_values)
            coming: tuple[int, Codes, NDArray[np.uint8], Future[Flows]] | None = None
            while True:
                here, index = coming, next(indices, None)
                coming = None
                if index is not None:
                    code_values = frame_of(index)
                    grey = grey8(code_values)
                    coming = index, code_values, grey, motion.ask(came, index, before, grey)
                    came, before = index, grey
                if here is not None:
                    back, forth = here[3].result()
                    yield walk.step(here[0], start, here[1], here[2], back, forth)
                if coming is None:
                    return


class _Walk:
    def __init__(self, code_values: Codes, key: KeyLight) -> None:
        self._key = key
        height, width = key.log_light.shape[:2]
        self._grid = grid(height, width)
        # From a pixel to where the key has it. Offsets rather than places: what enters the picture has then come from
        # outside the key, and not from its border.
        self._to_key = np.full_like(self._grid, np.array(key.shift, np.float32))
        self._log_exposure = Exposure(code_values, key.response).of(key.log_light, 0.0)
        self._usual = usual_highlight(key.log_light, key.response, self._log_exposure)
        self._white = nearly_white(key.response)
        self._pace: NDArray[np.float64] | None = None
        self._own = MotionEstimator()

    def step(
        self, index: int, start: int, code_values: Codes, grey: NDArray[np.uint8], back: Floats, forth: Floats
    ) -> CarriedLight:
        shows = visible(grey, blind_pixels(code_values, self._key.response))
        sure = shows * believed(back + sampled(forth, self._grid + back))
        moved, self._pace = follow_the_sure(back, sure, self._pace)
        self._to_key = sampled(self._to_key, self._grid + moved) + moved
        exposure = Exposure(code_values, self._key.response)
        log_light, shown = self._show(exposure)
        self._correct(grey, shown, shows)
        log_light, shown = self._show(exposure)
        trust = self._trust(grey, shown)
        log_light, trust = self._filled(log_light, trust, grey, code_values)
        error = np.asarray(KNOWN + (UNKNOWN - KNOWN) * (1 - trust), np.float32)
        positions = self._grid + self._to_key
        return CarriedLight(index, start, log_light, error, positions, self._log_exposure)

    def _show(self, exposure: Exposure) -> tuple[Floats, NDArray[np.uint8]]:
        """The key's light moved here, and the luma that the camera makes of it at this frame's exposure."""
        log_light = sampled(self._key.log_light, self._grid + self._to_key)
        self._log_exposure = exposure.of(log_light, self._log_exposure, inside(self._to_key) > 0)
        return log_light, shown_grey(log_light, self._key.response, self._log_exposure)

    def _correct(self, grey: NDArray[np.uint8], shown: NDArray[np.uint8], shows: Floats) -> None:
        left = self._own.flow(grey, shown)
        there = self._grid + left
        apart = cv2.absdiff(grey, sampled(shown, there)).astype(np.float32)
        agrees = np.exp(apart * apart * np.float32(-1 / DIFFERS**2))
        seen = cv2.erode(inside(self._to_key), np.ones((2 * BORDER_PX + 1,) * 2, np.uint8))
        sure = shows * believed(left * np.float32(0.5 / DRIFT_PX)) * agrees * seen
        correction, _ = follow_the_sure(left, sure)
        self._to_key = sampled(self._to_key, self._grid + correction) + correction

    def _trust(self, grey: NDArray[np.uint8], shown: NDArray[np.uint8]) -> Floats:
        # White is white: what both show as nearly clipped agrees, whatever the light behind it.
        apart = cv2.absdiff(np.minimum(grey, self._white), np.minimum(shown, self._white))
        difference = cv2.GaussianBlur(apart.astype(np.float32), (0, 0), DIFFERENCE_PX)
        return np.asarray(inside(self._to_key) * np.exp(-((difference / np.float32(2 * DIFFERS)) ** 2)), np.float32)

    def _filled(
        self, log_light: Floats, trust: Floats, grey: NDArray[np.uint8], code_values: Codes
    ) -> tuple[Floats, Floats]:
        """The carried light with what is not trusted filled from what is: highlights from highlights."""
        clipped = clipped_pixels(code_values, self._key.response)
        lacking = clipped & (trust < TRUSTED)
        if not lacking.any():
            return log_light, trust
        found, amount = self._from_highlights(log_light, trust * trust * clipped, grey)
        share = amount[lacking] / (amount[lacking] + FALLBACK)
        usual = self._usual - np.float32(self._log_exposure)
        fill = usual + (found[lacking] - usual) * share[:, None]
        log_light, sure = log_light.copy(), trust.copy()
        log_light[lacking] += (fill - log_light[lacking]) * (1 - trust[lacking])[:, None]
        # What a highlight nearby says is better than nothing, and worse than the key's own word.
        sure[lacking] = np.maximum(trust[lacking], 0.5 * share)
        return log_light, sure

    def _from_highlights(self, log_light: Floats, weight: Floats, grey: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """What scans at half size bring of light believed by `weight`; see `spread`. Highlights are broad, and what is
        filled in is a guess."""
        height, width = grey.shape
        half = (max(1, width // 2), max(1, height // 2))
        small_grey = np.asarray(cv2.resize(grey, half, interpolation=cv2.INTER_AREA), np.uint8)
        bright = small_grey >= self._white
        found = np.zeros((*bright.shape, 4), np.float32)
        rows, columns = (np.flatnonzero(bright.any(axis=axis)) for axis in (1, 0))
        if rows.size:
            # Gates are closed outside highlights: what lies around all of them changes nothing.
            part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            weighted, weights = (
                np.ascontiguousarray(cv2.resize(each, half, interpolation=cv2.INTER_AREA)[part], np.float32)
                for each in (log_light * weight[..., None], weight)
            )
            means = np.asarray(weighted / np.maximum(weights, np.float32(1e-6))[..., None], np.float32)
            found[part] = np.dstack(spread(means, weights, gates_of(small_grey, bright, part)))
        full = np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
        return full[..., :3], full[..., 3]


def clipped_pixels(code_values: Codes, response: Response) -> NDArray[np.bool_]:
    """(h, w): a channel is clipped."""
    return _within(to_256(code_values), [level - 1 for level in response.clipped_from]) == 0


def blind_pixels(code_values: Codes, response: Response) -> NDArray[np.bool_]:
    """(h, w): a channel is clipped, or all are crushed, so that neither texture nor light shows."""
    crushed = _within(to_256(code_values), [CRUSHED] * 3) > 0
    return clipped_pixels(code_values, response) | crushed


def _within(codes: NDArray[np.uint8], levels: Sequence[int]) -> NDArray[np.uint8]:
    """(h, w): more than 0 where each of the three channels is at most its level."""
    return np.asarray(cv2.inRange(codes, (0, 0, 0), tuple(map(float, levels))), np.uint8)


def shown_grey(log_light: Floats, response: Response, log_exposure: float) -> NDArray[np.uint8]:
    """(h, w) 8-bit luma of what the camera makes of light (h, w, 3) at an exposure."""
    from propagation.hdr import motion_rows  # here because numba takes a second to import

    columns, low, scale = luma_table(response)
    height, width = log_light.shape[:2]
    out = np.empty((height, width), np.uint8)
    arguments = (np.ascontiguousarray(log_light), columns, np.float32(scale), np.float32((log_exposure - low) * scale))
    run_parts(motion_rows.show, (*arguments, out), height, log_light.size)
    return out


def luma_table(response: Response) -> tuple[Floats, float, float]:
    """(steps + 1, 3) what each channel adds to the 8-bit luma that the camera shows of exposed light; the log10 light
    of the first step, and steps a unit of it."""
    low, high = float(response.curve.min()), float(response.curve.max())
    table = np.linspace(low, high, _STEPS + 1)
    columns = np.empty((_STEPS + 1, 3), np.float32)
    for c, (weight, clipped) in enumerate(zip(_LUMA_WEIGHTS, response.clipped_from, strict=True)):
        codes = np.interp(table, response.curve[:, c], np.arange(LEVELS))
        # A graded white is where its codes end; an ordinary one goes on to 255.
        columns[:, c] = weight * (codes if clipped >= CLIPPED else np.minimum(codes, clipped))
    return columns, low, _STEPS / (high - low)


def nearly_white(response: Response) -> np.uint8:
    """8-bit luma from which picture and key are not compared any more."""
    return np.uint8(np.dot(_LUMA_WEIGHTS, response.clipped_from) - _NEARLY_WHITE)


class Exposure:
    """A frame's pixels that tell its exposure."""

    def __init__(self, code_values: Codes, response: Response) -> None:
        self._every = slice(None, None, EXPOSURE_STEP)
        codes = to_256(code_values[self._every, self._every])
        clipped = np.array(response.clipped_from, np.uint8)
        self._own = response.log_light(codes)
        self._steady = (codes >= STEADY[0]) & (codes <= clipped - STEADY[1])
        self._lit = (codes > CRUSHED) & (codes < clipped)

    def of(self, log_light: Floats, before: float, seen: NDArray[np.bool_] | None = None) -> float:
        """log10 exposure of a picture of that light (h, w, 3): the median over pixels that tell it, of `seen` (h, w)
        ones where given; `before` where too few do."""
        apart = self._own - log_light[self._every, self._every]
        shown = True if seen is None else seen[self._every, self._every, None]
        for told in (self._steady & shown, self._lit & shown):
            if int(np.count_nonzero(told)) >= FEWEST:
                return float(np.median(apart[told]))
        return before


def usual_highlight(log_light: Floats, response: Response, log_exposure: float) -> Floats:
    """(3,) log10 of exposed light: what the key's clipped pixels usually hold, at least white itself."""
    exposed = log_light + np.float32(log_exposure)
    white = response.white.astype(np.float32)
    above = [exposed[..., c][exposed[..., c] > white[c]] for c in range(3)]
    return np.array([np.median(x) if x.size else white[c] for c, x in enumerate(above)], np.float32)


def log_of(light: Floats, white: float = 1.0) -> Floats:
    """log10 of light, no less than `FLOOR` of `white`."""
    return np.log(np.maximum(light, np.float32(FLOOR * white)), dtype=np.float32) * np.float32(1 / np.log(10))


def light_of(log_light: Floats) -> Floats:
    """Light from its log10."""
    # exp is vectorised for float32, a power of ten is not.
    return np.exp(log_light * np.float32(np.log(10)))
