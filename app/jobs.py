"""Jobs: what the window and the command line have done, as plain generators of Progress that a CancelToken stops.

A job raises the typed errors of the floors, returns its outcome, and leaves either the whole output or none of it,
however it ends. There is no Qt and no terminal in here.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app import coloring, machine
from app.keyframes import (
    Keyframe,
    Painted,
    check_keyframes,
    read_keyframe,
    register_key,
    shrink,
    shrink_hints,
    work_shape,
)
from app.lightness import LENT_BYTES, LightnessReader
from app.pipeline import Cuts, Pipeline, real
from app.progress import Cancelled, CancelToken, Progress, ahead
from app.stages import CutNews, make_dense, search_cuts
from propagation.errors import OutputError, OutputExistsError, RangeError

if TYPE_CHECKING:
    from propagation.registration import Registration
    from propagation.video.frame import ClipInfo, Frame
    from propagation.video.reader import Clip
    from propagation.video.writing import Writer

__all__ = [
    "CancelToken",
    "Cancelled",
    "DensifySettings",
    "Outcome",
    "Progress",
    "PropagateSettings",
    "densify_job",
    "propagate_job",
]

Float = NDArray[np.float32]


class _End:
    """What follows the last carried frame: it belongs to none."""

    index = -1


_END = _End()


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
        run = _Propagation(settings, clip, cancel)
        stages = pipeline or real()
        source = stack.enter_context(clip.again())
        yield from run.check(source)
        writer = stack.enter_context(run.open_output())
        lightness = LightnessReader(source, run.shape, cancel, lent_bytes=LENT_BYTES)
        search = search_cuts(lightness, run.frames, settings.keyframes, stages)
        with machine.side_by_side(), ThreadPoolExecutor(1, "frames") as aside:
            # The frames that the first new one waits for are read while the networks are loaded.
            first_ones = aside.submit(search.is_cut, min(run.frames.start, *run.key_indices) + 1)
            device = machine.choose_device(settings.device)
            densifier = stages.load_densifier(device) if run.needs_filling else None
            carrier = stages.load_carrier(device)
            first_ones.result()
        dense = yield from make_dense(settings.keyframes, run.read, lightness, densifier, stages, cancel)
        start, stop = run.frames.start, run.frames.stop
        carried = stages.carry(lightness.at, dense, start, stop, carrier=carrier, is_cut=search.is_cut)
        stack.enter_context(machine.side_by_side())
        carried = stack.enter_context(closing(ahead(iter(carried))))
        # Left first: the thread behind `ahead` ends at the next frame it asks for, whatever it is in the middle of.
        stack.enter_context(closing(lightness))
        colored = yield from run.write(carried, lightness, search, stages, writer)
        yield Progress("finish", 0, 1)
    return Outcome(settings.out, run.written, colored, (*writer.notes, *run.notes(colored)))


class _Propagation:
    """One propagation: what was checked of it, and its frames on their way out. Raises HintError, RangeError and
    OutputError where its settings cannot be right."""

    def __init__(self, settings: PropagateSettings, clip: Clip, cancel: CancelToken) -> None:
        self.settings = settings
        self.cancel = cancel
        self.clip = clip
        self.info = clip.info
        self.frames = checked_range(settings.start, settings.stop, clip.info)
        self.shape = work_shape(clip.info.height, clip.info.width, settings.size)
        self.written = 0
        self._lies: dict[int, Registration] = {}
        self._left_alone = 0
        self._out_of_reach: list[int] = []  # frames of the range that no key reached
        self._by_index = {keyframe.index: keyframe for keyframe in settings.keyframes}
        check_keyframes(settings.keyframes, self.info.frame_count)
        refuse_own_input(settings, self.info, self.frames)

    @property
    def key_indices(self) -> list[int]:
        """The key frames, in order."""
        return sorted(self._by_index)

    @property
    def needs_filling(self) -> bool:
        """Whether a key frame leaves open what color a pixel has. Known after `check`."""
        hints = any(keyframe.kind == "hints" for keyframe in self.settings.keyframes)
        return hints or not all(lies.is_whole for lies in self._lies.values())

    def check(self, source: Clip) -> Iterator[Progress]:
        """Reads every key frame once and lays it onto its frame of `source`, the same clip: a wrong one is found before
        any work is done."""
        for done, (index, keyframe) in enumerate(sorted(self._by_index.items())):
            self.cancel.check()
            lab = coloring.lab_of(source.frame(index))
            remarks = [self._remark_on_color(lab) if done == 0 else "", self._register(keyframe, lab[..., 0])]
            yield Progress("check", done + 1, len(self._by_index), index, " ".join(filter(None, remarks)))

    def read(self, keyframe: Keyframe) -> Painted:
        """A key frame at full size, read anew every time: many of them would not fit into memory."""
        lies = self._lies.get(keyframe.index)
        return read_keyframe(keyframe, self.info.width, self.info.height, self.info.tags, lies)

    def _register(self, keyframe: Keyframe, lightness: Float) -> str:
        """Finds how a key lies on its frame, and words what a person should know of it."""
        if keyframe.kind == "hints":
            self.read(keyframe)
            return ""
        lies = register_key(keyframe, lightness, self.info.tags)
        self._lies[keyframe.index] = lies
        return lies.remark()

    def _remark_on_color(self, lab: Float) -> str:
        if not coloring.has_color(lab):
            return ""
        if self.settings.from_grey:
            return "The clip has color of its own; it is dropped first."
        return (
            "The clip has color of its own: its lightness guides, and in the shots that a key frame reaches the "
            "carried color replaces it. --from-grey would drop it everywhere."
        )

    def open_output(self) -> Writer:
        """Opens the writer; what is in its way is found now rather than after the work."""
        from propagation.video.writer import open_writer

        return open_writer(self.settings.out, self.info, overwrite=self.settings.force, frames=self.frames)

    def write(
        self, carried: Iterator[Any], lightness: LightnessReader, search: Cuts, stages: Pipeline, writer: Writer
    ) -> Generator[Progress, None, int]:
        """Writes the clip frame by frame and returns how many frames got color."""
        colored = done = 0
        news = CutNews(search)
        for frame, ab in self._paired(carried, lightness, search):
            self.cancel.check()
            if frame is None:
                # The color of the next frame is still on its way to it, through this one.
                yield Progress("color", done, self.info.frame_count, lightness.last, news.words())
                continue
            if ab is not None:
                frame = self._colored(frame, ab, stages)
                colored += 1
            else:
                if frame.index in self.frames:
                    self._out_of_reach.append(frame.index)
                if self.settings.from_grey:
                    frame = coloring.drop_color(frame)
            if self._is_wanted(frame.index):
                writer.write(frame)
                self.written += 1
            else:
                self._left_alone += 1
            done = frame.index + 1
            yield Progress("color", done, self.info.frame_count, frame.index, news.words())
        return colored

    def _paired(
        self, carried: Iterator[Any], lightness: LightnessReader, search: Cuts
    ) -> Iterator[tuple[Frame | None, Float | None]]:
        """Every frame of the clip with the ab that was carried to it, or None where nothing was.

        Two times None says that the next frame is not ready yet.
        """
        coming: Any = None
        for index in range(self.info.frame_count):
            if index in self.frames:
                while coming is None and (coming := next(carried, _END)) is None:
                    yield None, None
                if coming.index != index:
                    search.is_cut(index)  # for the news of it, and the frame is lent then
            frame = lightness.take(index) or self.clip.frame(index)
            if coming is not None and coming.index == index:
                yield frame, coming.values
                coming = None
            else:
                yield frame, None

    def _colored(self, frame: Frame, ab: Float, stages: Pipeline) -> Frame:
        lightness = coloring.lightness_of(frame)
        full = stages.lift(ab, shrink(lightness, self.shape), lightness)
        if frame.index in self._by_index:
            full = coloring.keep_exact(full, self.read(self._by_index[frame.index]))
        return coloring.recolor(frame, lightness, full)

    def _is_wanted(self, index: int) -> bool:
        """Whether frame `index` goes out: of a sequence, what lies outside the range and is there already stays."""
        if index in self.frames:
            return True
        target = picture_target(self.settings.out, index)
        return target is None or not target.exists()

    def notes(self, colored: int) -> Iterator[str]:
        """What a person should know about the result."""
        if not colored:
            yield "no frame got color: no key frame lies in a shot of the range"
        elif self._out_of_reach:
            yield f"no key frame reaches {runs_in_words(self._out_of_reach)}: no color was carried there"
        if self._left_alone:
            yield f"{self._left_alone} pictures outside the range were there already and stay as they are"


def runs_in_words(indices: list[int], most: int = 6) -> str:
    """Rising frame numbers in words, those that follow one another as one; of more than `most` runs the first ones."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], index]
        else:
            runs.append([index])
    named = ", ".join(" to ".join(map(str, run)) for run in runs[:most])
    rest = f" and {len(runs) - most} other runs" if len(runs) > most else ""
    return f"{'frames' if len(indices) > 1 else 'frame'} {named}{rest}"


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
        refuse_target(target, settings.force, (settings.image, settings.hints))
    stages = pipeline or real()
    lab = coloring.lab_of(frame)
    remark = "The picture has color of its own: its lightness guides, and the fill replaces its color."
    yield Progress("densify", 0, 2, message=remark if coloring.has_color(lab) else "")
    densifier = stages.load_densifier(machine.choose_device(settings.device))
    shape = work_shape(height, width, settings.size)
    lightness = shrink(lab[..., 0], shape)
    prepared = densifier.prepare(lightness, thorough=True)
    cancel.check()
    yield Progress("densify", 1, 2)
    dense = densifier.fill(prepared, stages.make_hints(*shrink_hints(painted, shape)))
    cancel.check()
    ab = coloring.keep_exact(stages.lift(dense.values, lightness, lab[..., 0]), painted)
    if settings.reach is not None:
        write_image(settings.reach, coloring.reach_picture(dense.reach, (height, width)), overwrite=settings.force)
    write_image(settings.out, coloring.recolor(frame, lab[..., 0], ab).image, overwrite=settings.force)
    yield Progress("densify", 2, 2)
    return Outcome(settings.out)


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


def picture_target(out: Path, index: int) -> Path | None:
    """The file that frame `index` of an image sequence goes to, or None where `out` names a video."""
    from propagation.video.sequence import DEFAULT_PATTERN, is_pattern, numbered
    from propagation.video.writer import VIDEO_FORMATS

    if out.suffix.lower() in VIDEO_FORMATS and not out.is_dir():
        return None
    return numbered(out if is_pattern(out) else out / DEFAULT_PATTERN, index)


def refuse_own_input(settings: PropagateSettings, info: ClipInfo, frames: range) -> None:
    """Raises OutputError where the output would replace the clip or a key frame that it is made from."""
    keys = [keyframe.path for keyframe in settings.keyframes if keyframe.path is not None]
    inputs = {path.resolve() for path in (info.path, *info.files, *keys)}
    first = picture_target(settings.out, frames.start) or settings.out
    if first.parent.resolve() not in {path.parent for path in inputs}:
        return
    targets = {picture_target(settings.out, index) or settings.out for index in frames}
    hit = next((target for target in targets if target.resolve() in inputs), None)
    if hit is not None:
        raise OutputError("the output would replace one of the inputs", path=hit, advice="Choose another name")


def refuse_target(target: Path | None, force: bool, inputs: tuple[Path, ...]) -> None:
    """Raises, before any work, OutputExistsError where `target` is there, OutputError where it is an input."""
    if target is None or not target.exists():
        return
    if any(target.samefile(path) for path in inputs):
        raise OutputError("the output would replace one of the inputs", path=target, advice="Choose another name")
    if not force:
        raise OutputExistsError("exists already", path=target, advice="Choose another name, or replace it with --force")
