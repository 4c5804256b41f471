"""What is measured and how: the pictures of the protocol, their Lab colors, PSNR and flicker.

Everything here is deliberately simpler than the program's own color path: 8-bit RGB is taken as sRGB whatever the tags
say, through OpenCV's float Lab (D65), so that figures can be compared with anybody's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.errors import MediaError, MissingMediaError
from propagation.video.container import Decoder
from propagation.video.images import READABLE_SUFFIXES, read_image
from propagation.video.probe import probe

Floats = NDArray[np.float32]

SHORTER_SIDE_PX = 480
FRAME_LIMIT = 81
SHORTEST_CLIP_FRAMES = 12  # shorter clips have too little between their keys to be scored
PEAK = 255.0  # of both PSNRs, so that a and b are measured against the range of 8-bit pictures too


@dataclass(frozen=True, eq=False)
class Picture:
    """A single frame to be measured: `lab` (H, W, 3) float32, L* 0..100."""

    name: str
    lab: Floats


@contextmanager
def one_opencv_thread() -> Iterator[None]:
    """OpenCV on one thread inside: timings compare, and DIS gives the same flow on every machine."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def to_lab(rgb: NDArray[Any]) -> Floats:
    """(H, W, 3) sRGB of 8 or 16 bits to CIE Lab (D65) float32, L* 0..100."""
    peak = np.iinfo(rgb.dtype).max
    lab = cv2.cvtColor(np.ascontiguousarray(rgb, np.float32) / np.float32(peak), cv2.COLOR_RGB2Lab)
    return np.asarray(lab, np.float32)


def to_rgb8(lightness: Floats, ab: Floats) -> NDArray[np.uint8]:
    """(H, W) L* and (H, W, 2) a*, b* to (H, W, 3) 8-bit sRGB, clipped to the gamut."""
    lab = np.dstack([lightness, ab]).astype(np.float32)
    signal = cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)
    return np.rint(np.clip(signal, 0, 1) * 255).astype(np.uint8)


def psnr(mse: float) -> float:
    """10 log10(255^2 / `mse`) in dB; infinite for a perfect result."""
    return float("inf") if mse == 0 else float(10 * np.log10(PEAK**2 / mse))


def mean_squared_error(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Mean of (one - other)^2 over everything, in double precision (8-bit arrays do not wrap around)."""
    difference = np.asarray(one, np.float32) - np.asarray(other, np.float32)
    return float(np.mean(difference**2, dtype=np.float64))


def psnr_rgb(lab: Floats, ab: Floats) -> float:
    """PSNR in dB of the 8-bit picture made from the true L* and `ab`, against the one made from the true color."""
    lightness = lab[..., 0]
    return psnr(mean_squared_error(to_rgb8(lightness, ab), to_rgb8(lightness, lab[..., 1:])))


def sampling_grid(height: int, width: int) -> Floats:
    """(H, W, 2) of x, y: the positions that `sample` reads to return a picture unchanged."""
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([x, y], axis=-1)


def sample(image: Floats, positions: Floats) -> Floats:
    """`image` (H, W, C) read at (H, W, 2) positions x, y in pixels: bilinear, the border replicated."""
    x, y = positions[..., 0], positions[..., 1]
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def flicker_error(change: tuple[Floats, Floats], truth: tuple[Floats, Floats], flow: Floats) -> float:
    """Mean squared difference between our change and the truth's change from one frame to the next.

    `change` and `truth` are (earlier, later) pairs of (H, W, 2) colors, `flow` (H, W, 2) leads from the later frame to
    the earlier one. The flicker of a clip is the root of the mean of these.
    """
    positions = sampling_grid(*flow.shape[:2]) + flow
    ours = change[1] - sample(change[0], positions)
    theirs = truth[1] - sample(truth[0], positions)
    return mean_squared_error(ours, theirs)


def to_jsonable(value: Any) -> Any:
    """Dictionaries, lists and tuples as they are, but None for numbers that JSON cannot hold (NaN, infinity)."""
    if isinstance(value, dict):
        return {name: to_jsonable(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def clip_paths(folder: str | Path, names: Sequence[str] | None = None) -> list[Path]:
    """Every clip (file or folder of images) in `folder`, sorted by name; only those whose stem is in `names`, if given.

    Raises MissingMediaError when there is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise MissingMediaError("there is no such folder of clips", path=folder)
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    chosen = [entry for entry in entries if names is None or entry.stem in names]
    if not chosen:
        raise MissingMediaError("no clip to measure in this folder", path=folder)
    return chosen


def read_clip(path: Path, limit: int = FRAME_LIMIT) -> list[Floats]:
    """The first `limit` frames in Lab, (H, W, 3) float32, shorter side at most 480 pixels, sides even."""
    return [to_lab(_shrunk(image)) for image in itertools.islice(_plain_frames(path), limit)]


def read_pictures(folder: str | Path, size: tuple[int, int]) -> Iterator[Picture]:
    """The photographs of a folder and the middle frame of its clips, by name, resized to `size` (w, h)."""
    for path in clip_paths(folder):
        if path.suffix.lower() in READABLE_SUFFIXES:
            image = read_image(path).image[..., :3]
        else:
            middle = probe(path).frame_count // 2
            frames = list(itertools.islice(_plain_frames(path), middle, middle + 1))
            if not frames:
                raise MediaError(f"frame {middle} cannot be decoded", path=path)
            image = frames[0]
        shrunk = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
        yield Picture(path.name, to_lab(shrunk))


def _plain_frames(path: Path) -> Iterator[NDArray[Any]]:
    """RGB frames as FFmpeg's scaler makes them when nobody tells it how.

    The program's own reader rounds and interpolates chroma exactly, which moves single clips by up to a decibel.
    Figures compare only where everybody's truth is the same picture, so the protocol takes the plain one.
    """
    if path.is_dir():
        for file in sorted(path.glob("*.*")):
            yield read_image(file).image[..., :3]
        return
    with Decoder(path) as decoder:
        while (frame := decoder.next()) is not None:
            yield frame.to_ndarray(format="rgb24")


def _shrunk(image: NDArray[Any]) -> NDArray[Any]:
    height, width = image.shape[:2]
    scale = min(1.0, SHORTER_SIDE_PX / min(height, width))
    target = (round(width * scale / 2) * 2, round(height * scale / 2) * 2)
    if min(target) < 2:
        raise MediaError(f"a clip of {width} x {height} pixels is too small to measure")
    if target == (width, height):
        return image
    return np.asarray(cv2.resize(np.ascontiguousarray(image), target, interpolation=cv2.INTER_AREA))
