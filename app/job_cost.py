"""What the whole job costs, from decoding to encoding: time a frame, time to the first new frame, memory.

It runs in a process of its own, so that the memory is the job's and not that of what was measured before.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from app import machine
from app.jobs import CancelToken, PropagateSettings, propagate_job
from app.keyframes import Keyframe
from propagation.bench.targets import JobCost
from propagation.errors import ResourceError
from propagation.video.images import write_image
from propagation.video.reader import open_clip
from propagation.video.writer import open_writer

TIMED_SIZE, LARGE_SIZE = (854, 480), (1920, 1080)
TIMED_FRAMES, LARGE_FRAMES = 41, 24


@dataclass(frozen=True)
class _Run:
    """One run of the job in a child: seconds a frame and to the first new frame, and the peak of its memory."""

    frame_s: float
    first_s: float
    peak_bytes: float


def measure(source: Path, device: str, threads: int | None = None) -> JobCost:
    """Carries frame 0 of the clip `source`, scaled to 854x480 and to 1920x1080, and writes a video each time.

    Raises MediaError for an unreadable clip, ResourceError where the process that does it ends early.
    """
    with tempfile.TemporaryDirectory(prefix="huecast-") as folder:
        timed = _in_child(_scaled(source, Path(folder), TIMED_SIZE, TIMED_FRAMES), device, threads, 2)
        large = _in_child(_scaled(source, Path(folder), LARGE_SIZE, LARGE_FRAMES), device, threads, 1)
    return JobCost(1000 * timed.frame_s, 1000 * timed.first_s, large.peak_bytes)


def _scaled(source: Path, folder: Path, size: tuple[int, int], frames: int) -> Path:
    """The first frames of a clip as a video of another size, with its first frame as a picture beside it."""
    pictures = folder / f"{size[1]}"
    pictures.mkdir()
    with open_clip(source) as clip:
        for frame in clip.frames(0, min(frames, clip.info.frame_count)):
            image = cv2.resize(frame.image[..., :3], size, interpolation=cv2.INTER_CUBIC)
            write_image(pictures / f"{frame.index:05d}.png", np.ascontiguousarray(image))
    video = folder / f"{size[1]}.mp4"
    with open_clip(pictures) as clip, open_writer(video, clip.info, overwrite=False) as writer:
        for frame in clip.frames():
            writer.write(frame)
    return video


def _in_child(video: Path, device: str, threads: int | None, repeats: int) -> _Run:
    context = multiprocessing.get_context("spawn")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(video, device, threads, repeats, send))
    child.start()
    send.close()
    try:
        found = receive.recv()
    except EOFError:
        raise ResourceError("the process that measures the job ended early", path=video) from None
    finally:
        child.join()
    return _Run(*found)


def _child(video: Path, device: str, threads: int | None, repeats: int, send: Connection) -> None:
    """The best of `repeats` runs: the first one loads libraries and compiles."""
    machine.set_threads(threads)
    runs = [_run(video, video.with_name(f"out{n}-{video.name}"), device) for n in range(repeats)]
    send.send((min(run[0] for run in runs), min(run[1] for run in runs), _peak_bytes()))
    send.close()


def _run(video: Path, out: Path, device: str) -> tuple[float, float]:
    """(seconds a frame, seconds to the first new frame) of one run of the job."""
    with open_clip(video) as clip:
        frame, count = clip.frame(0), clip.info.frame_count
    key = Keyframe(0, "key", image=frame.image)
    start, first = time.perf_counter(), float("nan")
    for progress in _steps(PropagateSettings(video, out, (key,), device=device)):
        if first != first and progress == ("color", 2):
            first = time.perf_counter() - start
    return (time.perf_counter() - start) / count, first


def _steps(settings: PropagateSettings) -> Iterator[tuple[str, int]]:
    for progress in propagate_job(settings, CancelToken()):
        yield progress.stage, progress.done


def _peak_bytes() -> float:
    """The most memory this process has held; NaN where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
