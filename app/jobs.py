"""Jobs: what the window and the command line have done, as plain generators of Progress that a CancelToken stops.

A job raises the typed errors of the floors, returns its outcome, and leaves either the whole output or none of it,
however it ends. There is no Qt and no terminal in here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from app import coloring, machine
from app.keyframes import Keyframe, Painted, check_keyframes, read_keyframe, shrink, shrink_hints, work_shape
from app.lightness import LightnessReader
from app.pipeline import Pipeline, real
from propagation.errors import OutputError, OutputExistsError, RangeError

if TYPE_CHECKING:
    from propagation.video.frame import ClipInfo, Frame
    from propagation.video.reader import Clip
    from propagation.video.writer import Writer

Float = NDArray[np.float32]
Result = TypeVar("Result")

# A key's own L* may differ by rounding and compression; beyond this mean the user should know whose is kept.
_LIGHTNESS_DIFFERS = 3.0
_TELL_EVERY_S = 0.2


class Cancelled(Exception):
    """The job was asked to stop and did."""


class CancelToken:
    """Asks a job to stop; safe to use from any thread and from a signal handler."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Asks for the stop; the job sees it within a frame."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._event.is_set()

    def check(self) -> None:
        """Raises Cancelled once a stop was asked for."""
        if self._event.is_set():
            raise Cancelled


@dataclass(frozen=True)
class Progress:
    """One step of a job: `done` of `total` in `stage`, the source frame it was about, and what there is to say."""

    stage: str
    done: int
    total: int
    frame_index: int | None = None
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a job made: the output, frames written to it, how many of them got color, and what there is to know."""

    out: Path
    frames: int = 1
    colored: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PropagateSettings:
    """What `propagate_job` does.

    `clip`: a video, a `%05d` pattern, a folder or one of its images. `start`, `stop`: the range start <= n < stop,
    `stop` None for the clip's end. `size`: shorter side in pixels at which color is carried. `from_grey`: drop the
    clip's own color first.
    """

    clip: Path
    out: Path
    keyframes: tuple[Keyframe, ...]
    start: int = 0
    stop: int | None = None
    device: str = "auto"
    size: int = 480
    from_grey: bool = False
    force: bool = False


@dataclass(frozen=True)
class DensifySettings:
    """What `densify_job` does: `image` filled from `hints` into `out`, and how far they reach into `reach`."""

    image: Path
    hints: Path
    out: Path
    reach: Path | None = None
    device: str = "auto"
    size: int = 480
    force: bool = False


def propagate_job(
    settings: PropagateSettings, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress, None, Outcome]:
    """Carries the color of key frames through a clip and writes it frame by frame, each with its own L*.

    Frames outside the range, and shots without a key frame, leave as they came. Raises MediaError, HintError,
    RangeError, WeightsError, OutputError, ResourceError, DeviceError and Cancelled; whichever it is, nothing stays
    under the output's name that was not there before.
    """
    from propagation.video.reader import open_clip

    with ExitStack() as stack:
        clip = stack.enter_context(open_clip(settings.clip))
        run = _Run(settings, clip, cancel)
        yield from run.check()
        stages = pipeline or real()
        device = machine.choose_device(settings.device)
        carrier = stages.load_carrier(device)
        densifier = stages.load_densifier(device) if run.has_hints else None
        writer = stack.enter_context(run.open_output())
        lightness = LightnessReader(clip, run.shape, cancel)
        cuts = yield from run.find_shots(stages)
        dense = yield from run.make_dense(lightness, densifier, stages)
        source = stack.enter_context(open_clip(settings.clip))
        carried = stages.carry(lightness.at, dense, run.frames.start, run.frames.stop, carrier=carrier, shots=cuts)
        colored = yield from run.write(source, iter(carried), lightness, stages, writer)
        yield Progress("finish", 0, 1)
    return Outcome(settings.out, run.written, colored, tuple(writer.notes))


class _Run:
    """The stages of one propagation, in the order they are called."""

    def __init__(self, settings: PropagateSettings, clip: Clip, cancel: CancelToken) -> None:
        self.settings = settings
        self.cancel = cancel
        self.clip = clip
        self.info: ClipInfo = clip.info
        self.frames = checked_range(settings.start, settings.stop, clip.info)
        self.shape = work_shape(clip.info.height, clip.info.width, settings.size)
        self.has_hints = any(keyframe.kind == "hints" for keyframe in settings.keyframes)
        self.written = 0
        self._by_index = {keyframe.index: keyframe for keyframe in settings.keyframes}

    def check(self) -> Iterator[Progress]:
        """Reads every key frame once, so that a wrong one is found before any work is done."""
        check_keyframes(self.settings.keyframes, self.info.frame_count)
        refuse_own_input(self.settings, self.info)
        total = len(self._by_index)
        for done, index in enumerate(sorted(self._by_index)):
            self.cancel.check()
            painted = self.painted(index)
            lab = coloring.lab_of(self.clip.frame(index))
            yield Progress("check", done + 1, total, index, self._remark(index, painted, lab, first=done == 0))

    def painted(self, index: int) -> Painted:
        """The key frame of frame `index`, read anew: at full size they are too large to keep."""
        return read_keyframe(self._by_index[index], self.info.width, self.info.height, self.info.tags)

    def _remark(self, index: int, painted: Painted, lab: Float, first: bool) -> str:
        remarks = []
        if first and coloring.has_color(lab):
            remarks.append(
                "The clip has color of its own; it is dropped first (--from-grey)."
                if self.settings.from_grey
                else "The clip has color of its own: its lightness guides, and the carried color replaces its own in "
                "the shots that are reached. Use --from-grey to drop it everywhere."
            )
        differs = float(np.abs(painted.lightness - lab[..., 0]).mean())
        if self._by_index[index].kind == "key" and differs > _LIGHTNESS_DIFFERS:
            remarks.append(
                f"The key of frame {index} differs from the clip in lightness (L* by {differs:.1f} on average); "
                "its color is used, and the clip's lightness is kept."
            )
        return " ".join(remarks)

    def open_output(self) -> Writer:
        """Opens the writer; a target of the range that exists is refused now rather than after the work."""
        from propagation.video.writer import open_writer

        return open_writer(self.settings.out, self.info, overwrite=self.settings.force, frames=self.frames)

    def find_shots(self, stages: Pipeline) -> Generator[Progress, None, list[int]]:
        """The first frame of every shot but the first, between the range and the key frames."""
        start = min(self.frames.start, *self._by_index)
        stop = max(self.frames.stop, *(index + 1 for index in self._by_index))
        cuts = yield from watched(
            lambda on_frame: stages.find_cuts(self.clip, start, stop, on_frame=on_frame), "shots", start, stop, self.cancel
        )
        if cuts:
            yield Progress("shots", 1, 1, message=f"Found {len(cuts) + 1} shots, cut at {', '.join(map(str, cuts))}.")
        return cuts

    def make_dense(
        self, lightness: LightnessReader, densifier: Any, stages: Pipeline
    ) -> Generator[Progress, None, dict[int, Any]]:
        """Every key frame at work size: a key as its own ab, hints filled by the network."""
        dense: dict[int, Any] = {}
        total = len(self._by_index)
        for done, (index, keyframe) in enumerate(sorted(self._by_index.items())):
            self.cancel.check()
            painted = self.painted(index)
            if keyframe.kind == "key":
                dense[index] = shrink(painted.ab, self.shape)
            else:
                prepared = densifier.prepare(lightness.at(index))
                self.cancel.check()
                dense[index] = densifier.fill(prepared, stages.make_hints(*shrink_hints(painted, self.shape)))
            yield Progress("densify", done + 1, total, index)
        return dense

    def write(
        self, source: Clip, carried: Iterator[Any], lightness: LightnessReader, stages: Pipeline, writer: Writer
    ) -> Generator[Progress, None, int]:
        """Writes the clip frame by frame and returns how many frames got color."""
        colored = 0
        for frame, color in self._paired(source, carried):
            self.cancel.check()
            if color is not None:
                frame = self._colored(frame, color, lightness, stages)
                colored += 1
            elif self.settings.from_grey:
                frame = coloring.drop_color(frame)
            if self._is_wanted(writer, frame.index):
                writer.write(frame)
                self.written += 1
            yield Progress("color", frame.index + 1, self.info.frame_count, frame.index)
        return colored

    def _paired(self, source: Clip, carried: Iterator[Any]) -> Iterator[tuple[Frame, Float | None]]:
        """Every frame of the clip with the ab that was carried to it, or None where nothing was."""
        coming = None
        ended = False
        for frame in source.frames():
            if frame.index in self.frames and coming is None and not ended:
                coming = next(carried, None)
                ended = coming is None
            if coming is not None and coming.index == frame.index:
                yield frame, coming.values
                coming = None
            else:
                yield frame, None

    def _colored(self, frame: Frame, color: Float, lightness: LightnessReader, stages: Pipeline) -> Frame:
        lab = coloring.lab_of(frame)
        ab = stages.lift(color, lightness.at(frame.index), lab[..., 0])
        if frame.index in self._by_index:
            ab = coloring.keep_exact(ab, self.painted(frame.index))
        return coloring.recolor(frame, lab, ab)

    def _is_wanted(self, writer: Writer, index: int) -> bool:
        """Whether frame `index` goes out: of a sequence, a file outside the range that is already there stays."""
        return index in self.frames or writer.is_file or not writer.target(index).exists()


def densify_job(
    settings: DensifySettings, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress, None, Outcome]:
    """Fills one picture from sparse hints; the picture's own L* is kept.

    Raises MediaError, HintError, WeightsError, OutputError, ResourceError, DeviceError and Cancelled.
    """
    from propagation.video.images import read_image, write_image

    frame = read_image(settings.image)
    height, width = frame.image.shape[:2]
    painted = read_keyframe(Keyframe(0, "hints", settings.hints), width, height, frame.tags)
    for target in (settings.out, settings.reach):
        refuse_existing(target, settings.force, taken=(settings.image, settings.hints))
    stages = pipeline or real()
    yield Progress("densify", 0, 2)
    densifier = stages.load_densifier(machine.choose_device(settings.device))
    lab = coloring.lab_of(frame)
    shape = work_shape(height, width, settings.size)
    lightness = shrink(lab[..., 0], shape)
    prepared = densifier.prepare(lightness)
    cancel.check()
    yield Progress("densify", 1, 2)
    dense = densifier.fill(prepared, stages.make_hints(*shrink_hints(painted, shape)))
    cancel.check()
    ab = coloring.keep_exact(stages.lift(dense.values, lightness, lab[..., 0]), painted)
    write_image(settings.out, coloring.recolor(frame, lab, ab).image, overwrite=settings.force)
    if settings.reach is not None:
        write_image(settings.reach, coloring.reach_picture(dense.reach, (height, width)), overwrite=settings.force)
    yield Progress("densify", 2, 2)
    return Outcome(settings.out)


def watched(
    work: Callable[[Callable[[int], None]], Result], stage: str, start: int, stop: int, cancel: CancelToken
) -> Generator[Progress, None, Result]:
    """Runs `work`, which calls back with every frame it has read, in a thread of its own and tells how far it is."""
    seen = start
    left = threading.Event()

    def on_frame(index: int) -> None:
        nonlocal seen
        cancel.check()
        if left.is_set():
            raise Cancelled
        seen = index + 1

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=stage) as pool:
        future = pool.submit(work, on_frame)
        try:
            while not wait([future], timeout=_TELL_EVERY_S).done:
                yield Progress(stage, seen - start, stop - start, seen)
        finally:
            left.set()
        return future.result()


def checked_range(start: int, stop: int | None, info: ClipInfo) -> range:
    """The range start <= n < stop. Raises RangeError where it is empty or leaves the clip."""
    count = info.frame_count
    stop = count if stop is None else stop
    if not 0 <= start < stop <= count:
        raise RangeError(
            f"the range {start}:{stop} does not lie inside the clip's {count} frames",
            path=info.path,
            advice=f"A:B stands for the frames A <= n < B, with B at most {count}",
        )
    return range(start, stop)


def refuse_existing(target: Path | None, force: bool, taken: tuple[Path, ...]) -> None:
    """Raises OutputExistsError before any work where `target` is there, OutputError where it is one of `taken`."""
    if target is None or not target.exists():
        return
    if any(target.samefile(path) for path in taken):
        raise OutputError("the output is one of the inputs", path=target, advice="Choose another name")
    if not force:
        raise OutputExistsError("it exists already", path=target, advice="Choose another name, or replace it with --force")


def refuse_own_input(settings: PropagateSettings, info: ClipInfo) -> None:
    """Raises OutputError where the output would replace the clip or a key frame that it is made from."""
    inputs = {path.resolve() for path in (info.path, *info.files)}
    inputs |= {keyframe.path.resolve() for keyframe in settings.keyframes if keyframe.path is not None}
