"""Clips whose HDR truth is known: a camera that moves over a flat panorama, the way HDR is measured here.

A window of the panorama pans, zooms and turns; its light is exposed, drifts in exposure, gets shot noise and one of
five camera curves, and is rounded to 8 bits. Everything follows from the panorama and a seed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.color.bt2020 import bt2020_oetf
from propagation.color.primaries import BT709
from propagation.color.srgb import linear_to_srgb
from propagation.errors import MissingMediaError
from propagation.video.hdr_images import converted, read_hdr

Floats = NDArray[np.float32]

FOLDER = "env_cc0_pmndrs"
# Never in training; everything else in FOLDER is.
VALIDATION = (f"{FOLDER}/bridge.hdr", f"{FOLDER}/lobby.hdr", f"{FOLDER}/sunset.hdr", "exr/Desk.exr", "exr/Carrots.exr")
VALIDATION_SEEDS = (2026, 2027)
SUPERSAMPLE = 2  # a pixel is the mean of this many samples a side, as a sensor's is of an area


def _filmic(light: NDArray[Any]) -> NDArray[Any]:
    """A toe and a long shoulder: a rational curve at four times the light, scaled to end at 1, then gamma 2.2."""

    def rational(x: NDArray[Any]) -> NDArray[Any]:
        return x * (0.15 * x + 0.05) / (x * (0.15 * x + 0.5) + 0.06)

    return np.asarray(rational(4.0 * light) / rational(np.array(4.0))) ** (1 / 2.2)


def _contrasty(light: NDArray[Any]) -> NDArray[Any]:
    """sRGB with a third of a smooth S laid over it."""
    signal = linear_to_srgb(light)
    return signal + 0.35 * (signal * signal * (3 - 2 * signal) - signal)


# Light 0..1 to signal 0..1.
CAMERA_CURVES: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "gamma 2.2": lambda light: np.asarray(light ** (1 / 2.2)),
    "sRGB": linear_to_srgb,
    "BT.709": bt2020_oetf,
    "contrasty": _contrasty,
    "filmic": _filmic,
}


@dataclass(frozen=True)
class ClipRanges:
    """What a clip is drawn from, uniformly. Lengths in pixels of the clip, drift in stops over 20 frames."""

    size: tuple[int, int] = (384, 216)
    frames: int = 21  # two keys, 20 apart
    pan_px: float = 4.0  # the most a frame, in each direction
    zoom: tuple[float, float] = (0.8, 1.25)
    rotation_degrees: float = 5.0
    clipped: tuple[float, float] = (0.02, 0.15)  # share of pixels above white on the first frame
    drift_stops: float = 1.0
    full_well: tuple[float, float] = (2000.0, 20000.0)  # photons of white: shot noise is the root of a pixel's own
    balance_stops: float = 0.0  # of red and blue against green


@dataclass(frozen=True, eq=False)
class PanoramaClip:
    """`frames` (T, H, W, 3) 8-bit RGB; `truth` (T, H, W, 3) float32 light in units of the first frame's white;
    `exposures` (T,): the light that is white on frame t is 1 / exposures[t]; `windows` (T, 2, 3): from the clip's to
    the panorama's pixels."""

    name: str
    curve: str
    frames: NDArray[np.uint8]
    truth: Floats
    exposures: NDArray[np.float64]
    windows: NDArray[np.float64]

    def motion(self, frame: int, neighbor: int) -> Floats:
        """(H, W, 2) in pixels: a point of `frame` at p is at p + motion in `neighbor`."""
        height, width = self.frames.shape[1:3]
        there, here = (np.vstack([self.windows[n], [0, 0, 1]]) for n in (neighbor, frame))
        matrix = np.linalg.inv(there) @ here
        x, y = np.meshgrid(np.arange(width), np.arange(height))
        moved = np.stack([x, y, np.ones_like(x)], axis=-1) @ matrix[:2].T
        return np.asarray(moved - np.stack([x, y], axis=-1), np.float32)

    def clipped(self, frame: int) -> NDArray[np.bool_]:
        """(H, W): any channel is at least 250 and its true light above white."""
        over = (self.frames[frame] >= 250) & (self.truth[frame] * self.exposures[frame] > 1)
        return np.asarray(over.any(axis=-1))


def read_panorama(path: Path) -> Floats:
    """(H, W, 3) light in BT.709, negative values of wider primaries at 0. Raises MediaError."""
    picture = read_hdr(path)
    return np.maximum(converted(picture.image, picture.chromaticities, BT709), 0)


def validation_panoramas(folder: Path) -> dict[str, Path]:
    """The validation panoramas under `folder` by name. Raises MissingMediaError where one is missing."""
    paths = {Path(name).stem: folder / name for name in VALIDATION}
    for path in paths.values():
        if not path.exists():
            raise MissingMediaError("the panorama is missing", path=path, advice="Give the folder that holds them")
    return paths


def training_panoramas(folder: Path) -> dict[str, Path]:
    """All other panoramas of `FOLDER` under `folder`, by name."""
    kept = {Path(name).name for name in VALIDATION}
    return {path.stem: path for path in sorted((folder / FOLDER).glob("*.hdr")) if path.name not in kept}


def make_clip(
    panorama: Floats,
    name: str,
    seed: int,
    ranges: ClipRanges | None = None,
    lay_over: Callable[[Floats], Floats] | None = None,
) -> PanoramaClip:
    """A clip of `panorama` (H, W, 3) light, drawn from `ranges` by `seed` and `name`.

    `lay_over` may put things in front of the light (T, H, W, 3), in units of white, before the camera sees it; they
    move by themselves, so that `PanoramaClip.motion` is that of the background.
    """
    ranges = ranges or ClipRanges()
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    curve = str(rng.choice(list(CAMERA_CURVES)))
    windows = _path(panorama.shape, ranges, rng)
    light = np.stack([_window(panorama, matrix, ranges.size) for matrix in windows])
    share = rng.uniform(*ranges.clipped)
    light /= np.float32(np.quantile(light[0].max(axis=-1), 1 - share))
    if lay_over is not None:
        light = lay_over(light)
    drift = rng.uniform(-ranges.drift_stops, ranges.drift_stops) / 20
    exposures = np.exp2(drift * np.arange(ranges.frames, dtype=np.float64))
    balance = 2.0 ** (ranges.balance_stops * rng.uniform(-1, 1, 3) * (1, 0, 1))
    full_well = float(np.exp(rng.uniform(*np.log(ranges.full_well))))
    frames = [expose(x, e * balance, curve, full_well, rng) for x, e in zip(light, exposures, strict=True)]
    return PanoramaClip(f"{name}-{seed}", curve, np.stack(frames), light, exposures, np.stack(windows))


def expose(
    light: Floats, gain: float | NDArray[np.float64], curve: str, full_well: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(H, W, 3) 8-bit picture that a camera takes of `light`: shot noise, clipping at white, its curve, rounding."""
    exposed = light * np.asarray(gain)
    noise = rng.standard_normal(light.shape) * np.sqrt(np.minimum(exposed, 1) / full_well)
    signal = CAMERA_CURVES[curve](np.clip(exposed + noise, 0, 1))
    return np.rint(255 * np.clip(signal, 0, 1)).astype(np.uint8)


def _path(shape: tuple[int, ...], ranges: ClipRanges, rng: np.random.Generator) -> list[NDArray[np.float64]]:
    """For every frame the 2 x 3 matrix from clip to panorama pixels, the window inside the panorama throughout."""
    height, width = shape[:2]
    (w, h), last = ranges.size, ranges.frames - 1
    steps = np.arange(last + 1) / last
    zooms = _between(rng.uniform(*ranges.zoom, 2), steps)
    turns = np.radians(_between(rng.uniform(-1, 1, 2) * ranges.rotation_degrees, steps))
    # Half the sides of the upright box around the window, at its widest.
    cosine, sine = np.cos(np.abs(turns).max()), np.sin(np.abs(turns).max())
    half = np.array([w * cosine + h * sine, w * sine + h * cosine]) / (2 * zooms.min()) + 2
    low, high = half, np.array([width, height]) - 1 - half
    if (low > high).any():
        raise ValueError(f"a panorama of {width} x {height} pixels has no room for this window")
    first = rng.uniform(low, high)
    wanted = rng.uniform(-1, 1, 2) * ranges.pan_px * last
    end = np.clip(first + wanted, low, high)
    # Smooth start and stop, and a hand that is not quite still.
    way = 0.5 - 0.5 * np.cos(np.pi * steps)
    tremble = cv2.GaussianBlur(rng.standard_normal((last + 1, 2)), (1, 9), 0, sigmaY=2.0) * 0.7
    centers = np.clip(first + way[:, None] * (end - first) + tremble, low, high)
    return [_matrix(center, zoom, turn, (w, h)) for center, zoom, turn in zip(centers, zooms, turns, strict=True)]


def _between(ends: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(ends[0] + (ends[1] - ends[0]) * steps)


def _matrix(
    center: NDArray[np.float64], zoom: float, turn: float, size: tuple[int, int]
) -> NDArray[np.float64]:
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / zoom
    middle = (np.array(size) - 1) / 2
    return np.column_stack([rotation, center - rotation @ middle])


def _window(panorama: Floats, matrix: NDArray[np.float64], size: tuple[int, int]) -> Floats:
    """(h, w, 3): the panorama under the window, each pixel the mean of its area."""
    fine = matrix.copy()
    fine[:, :2] /= SUPERSAMPLE
    fine[:, 2] = matrix @ np.array([*([-0.5 + 0.5 / SUPERSAMPLE] * 2), 1.0])
    many = cv2.warpAffine(
        panorama,
        fine,
        (size[0] * SUPERSAMPLE, size[1] * SUPERSAMPLE),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(cv2.resize(many, size, interpolation=cv2.INTER_AREA), np.float32)
