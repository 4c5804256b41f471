"""Frames and short sequences of natural clips for training, decoded once and kept as plain arrays beside the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pictures = NDArray[np.uint8]

STILL_SIDE = 360  # shorter side of single frames
SEQUENCE_SIDE = 320  # shorter side of sequences


def clip_paths(folder: Path) -> list[Path]:
    """Video files and folders of frames, by name."""
    return sorted(
        p for p in folder.iterdir() if p.is_dir() or p.suffix.lower() in (".mp4", ".mkv", ".avi", ".webm", ".mov")
    )


def shrink(rgb: Pictures, side: int) -> Pictures:
    """The picture with its shorter side at most `side`, both sides even (INTER_AREA)."""
    scale = min(1.0, side / min(rgb.shape[:2]))
    h, w = (round(d * scale / 2) * 2 for d in rgb.shape[:2])
    if (h, w) == rgb.shape[:2]:
        return np.ascontiguousarray(rgb)
    return np.asarray(cv2.resize(rgb, (w, h), interpolation=cv2.INTER_AREA), np.uint8)


def _read(path: Path, wanted: set[int]) -> Iterator[tuple[int, Pictures]]:
    from propagation.video.reader import open_clip

    with open_clip(path) as clip:
        for frame in clip.frames(min(wanted), max(wanted) + 1):
            if frame.index in wanted:
                image = frame.image[..., :3]
                yield frame.index, (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image


def _count(path: Path) -> int:
    from propagation.video.probe import probe

    return probe(path).frame_count


def still_frames(folder: Path, cache: Path, per_clip: int) -> list[Pictures]:
    """`per_clip` frames of every clip, evenly spaced, 8-bit RGB with a shorter side of at most `STILL_SIDE`."""
    out: list[Pictures] = []
    cache.mkdir(parents=True, exist_ok=True)
    for path in clip_paths(folder):
        kept = cache / f"{path.stem}_stills_{per_clip}.npy"
        if not kept.exists():
            count = _count(path)
            wanted = {int((i + 0.5) * count / per_clip) for i in range(per_clip)}
            np.save(kept, np.stack([shrink(image, STILL_SIDE) for _, image in _read(path, wanted)]), allow_pickle=False)
        out.extend(np.load(kept, allow_pickle=False))
    return out


def sequences(paths: Sequence[Path], cache: Path, length: int, per_clip: int) -> list[Pictures]:
    """Up to `per_clip` runs of at most `length` consecutive frames of every clip of `paths`, each (T, H, W, 3) of one
    shot, its shorter side at most `SEQUENCE_SIDE`, memory-mapped from `cache`."""
    out: list[Pictures] = []
    cache.mkdir(parents=True, exist_ok=True)
    for path in paths:
        count = None
        for part in range(per_clip):
            kept = cache / f"{path.stem}_shot_{length}_{part}of{per_clip}.npy"
            if not kept.exists():
                count = count or _count(path)
                span = min(length, count)
                if part and count < span * (part + 1):
                    continue
                first = (
                    int((part + 0.5) * count / per_clip - span / 2)
                    if count > span * per_clip
                    else min(part * span, count - span)
                )
                first = min(max(first, 0), count - span)
                np.save(kept, _longest_shot(path, first, first + span), allow_pickle=False)
            out.append(np.load(kept, mmap_mode="r", allow_pickle=False))
    return out


def _longest_shot(path: Path, start: int, stop: int) -> Pictures:
    """Of the frames start <= n < stop those of the longest shot: a walk across a cut teaches nothing."""
    from propagation.shots import find_cuts
    from propagation.video.reader import open_clip

    with open_clip(path) as clip:
        bounds = [start, *find_cuts(clip, start, stop), stop]
    first, last = max(pairwise(bounds), key=lambda shot: shot[1] - shot[0])
    return np.stack([shrink(image, SEQUENCE_SIDE) for _, image in _read(path, set(range(first, last)))])
