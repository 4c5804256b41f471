"""Holds an HDR key against the frame it is for: does it show the same, from the same place, in the same kind of light?

Everything is measured and said; a small shift is followed, what cannot be right is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation import likeness
from propagation.errors import HintError
from propagation.hdr.carrying import CRUSHED, clipped_pixels
from propagation.hdr.keys import HdrKey
from propagation.hdr.motion import grey8
from propagation.hdr.response import Pair, Response, to_256
from propagation.likeness import match_ranks, shifted

Floats = NDArray[np.float32]

_ALIKE = 0.5  # correlation of luma below which key and frame do not show the same
_LARGEST_SHIFT = 0.04  # of the shorter side; beyond, a person has to look
# Departure, in stops, of the median pixel from one response curve: cameras stay far below.
_LOOSE_STOPS = 0.6
# d log light / d log signal of the mid-tones (`Response.contrast`). Light itself gives about 2; a PQ signal taken for
# light 0.4, an sRGB or HLG one 1; linear values taken for PQ give 8 and more.
_CODED, _SOFT, _STEEP = 0.7, 1.25, 6.0
_USUAL_SIDE = 960  # pixels at which shifts are measured: larger pictures are shrunk


@dataclass(frozen=True)
class Registration:
    """`shift_px`: (x, y) from a point of the frame to the same point of the key. `alike`: correlation of their luma
    after that. `clipped`, `crushed`: shares of the frame's pixels whose light only the key knows. `headroom_stops`:
    light of the key's brightest thousandth above the clip's white. `residual_stops`: see `Response`."""

    index: int
    shift_px: tuple[float, float]
    alike: float
    clipped: float
    crushed: float
    headroom_stops: float
    residual_stops: float
    exposure_stops: float

    def words(self) -> str:
        """One line for a person."""
        shift = f"shifted by {self.shift_px[0]:+.1f}, {self.shift_px[1]:+.1f} px, " if any(self.shift_px) else ""
        return (
            f"Key of frame {self.index}: {shift}exposure {self.exposure_stops:+.2f} stops, "
            f"{self.clipped:.1%} of the frame clipped, {self.crushed:.1%} crushed, "
            f"{max(self.headroom_stops, 0):.1f} stops above white in the key, "
            f"pixels within {self.residual_stops:.2f} stops of the camera's curve."
        )


def find_shift(code_values: NDArray[Any], key: HdrKey) -> tuple[tuple[float, float], float]:
    """(shift (x, y) in pixels, correlation 0..1) of frame and key. Raises HintError where the key shows something
    else, or is shifted by more than a hand's breadth."""
    grey = grey8(code_values).astype(np.float32)
    matched = match_ranks(np.asarray(key.light @ np.array([0.2126, 0.7152, 0.0722], np.float32), np.float32), grey)
    scale = max(1.0, max(grey.shape) / _USUAL_SIDE)
    size = (round(grey.shape[1] / scale), round(grey.shape[0] / scale))
    small, other = (np.asarray(cv2.resize(x, size, interpolation=cv2.INTER_AREA), np.float32) for x in (grey, matched))
    (x, y), alike = likeness.find_shift(small, other)
    shift = (x * scale, y * scale)
    if alike < _ALIKE:
        raise HintError(
            f"the key of frame {key.index} does not show what frame {key.index} shows (correlation {alike:.2f})",
            path=key.path,
            advice="Frames count from 0 whatever the numbers in file names; check the frame it was made from",
        )
    if np.hypot(*shift) > _LARGEST_SHIFT * min(grey.shape):
        raise HintError(
            f"the key of frame {key.index} is shifted by {shift[0]:+.0f}, {shift[1]:+.0f} pixels against its frame",
            path=key.path,
            advice="Save it without moving or cropping the picture",
        )
    return shift, alike


def pair_of(code_values: NDArray[Any], key: HdrKey, shift: tuple[float, float]) -> Pair:
    """Frame and key, the key moved onto the frame, for the estimate of the response; edges are left out, since there
    half a pixel decides which light meets which code value."""
    light = key.light if not any(shift) else shifted(key.light, shift)
    grey = grey8(code_values)
    slope = cv2.magnitude(*(cv2.Scharr(grey, cv2.CV_32F, *way) / 32 for way in ((1, 0), (0, 1))))
    return Pair(code_values[..., :3], light, slope <= max(6.0, float(np.median(slope))))


def register(
    code_values: NDArray[Any], key: HdrKey, shift: tuple[float, float], alike: float, response: Response, place: int
) -> Registration:
    """The report on one key; `place` is that of its pair in the `response`. Raises HintError for a key whose values
    cannot be the clip's light."""
    codes = to_256(code_values[..., :3])
    pair = pair_of(code_values, key, shift)
    exposure = float(np.log10(response.exposures[place]))
    own = response.log_light(codes) - np.float32(exposure)
    with np.errstate(divide="ignore"):
        apart = np.abs(own - np.log10(pair.light))
    open_ = (codes > CRUSHED) & (codes < np.array(response.clipped_from))
    sound = open_ & np.isfinite(apart) & np.asarray(pair.trusted)[..., None]
    residual = float(np.median(apart[sound]) / np.log10(2)) if sound.any() else 0.0
    brightest = float(np.quantile(key.light.max(axis=-1), 0.999))
    headroom = (np.log10(max(brightest, 1e-30)) - (float(response.white.max()) - exposure)) / np.log10(2)
    report = Registration(
        key.index,
        shift,
        alike,
        float(clipped_pixels(codes, response).mean()),
        float((codes <= CRUSHED).all(axis=-1).mean()),
        float(headroom),
        residual,
        exposure / float(np.log10(2)),
    )
    if residual > _LOOSE_STOPS:
        raise HintError(
            f"the light of the key of frame {key.index} does not follow from the frame by any camera curve: half of "
            f"its pixels are more than {residual:.1f} stops off",
            path=key.path,
            advice="Check that it belongs to this frame and, with several keys, that they agree in exposure and color",
        )
    return report


def check_coding(key: HdrKey, response: Response) -> str:
    """A remark on what the key's values seem to be, empty where they look like light. Raises HintError where they
    certainly are not, such as PQ code values that are taken for light."""
    contrast, said = response.contrast, key.picture.encoding
    if contrast < _CODED or contrast > _STEEP:
        seems = "coded (PQ, most likely) and not scene-linear" if contrast < _CODED else f"not {said}"
        raise HintError(
            f"the values of the key of frame {key.index} seem to be {seems}: from its darks to its lights they change "
            f"by a power of {contrast:.1f} of the clip's signal, where light changes by about 2",
            path=key.path,
            advice="Say how they are coded with --key-encoding, or save the key scene-linear",
        )
    if contrast < _SOFT:
        return (
            f"Key of frame {key.index}: its mid-tones change by a power of {contrast:.1f} of the clip's signal, where "
            "light changes by about 2. If it was saved with a gamma or as HLG, the result will be too."
        )
    return ""
