"""The HDR job: HDR key frames carried through an ordinary clip, scene-linear pictures out, whole or not at all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app import machine
from app.jobs import Outcome, checked_range
from app.keyframes import Keyframe, check_keyframes, shrink, work_shape
from app.lightness import LightnessReader
from app.pipeline import Cuts, Pipeline, real
from app.progress import CancelToken, Progress, ahead
from app.stages import CutNews, search_cuts
from propagation.color.primaries import Chromaticities, chromaticities_of
from propagation.errors import HintError, OutputError
from propagation.hdr.carrying import KeyLight, light_of, log_of
from propagation.hdr.keys import HdrKey, check_alike, read_key
from propagation.hdr.merging import fused, merge
from propagation.hdr.registration import Registration, check_coding, find_shift, pair_of, register
from propagation.hdr.response import Response, estimate_response, thinned
from propagation.hdr.sequence import carry_light
from propagation.video.exr import fits_half
from propagation.video.hdr_images import Encoding, converted
from propagation.video.hdr_writer import HdrFormat, HdrWriter, hdr_pattern

if TYPE_CHECKING:
    from propagation.video.frame import ClipInfo, Frame
    from propagation.video.reader import Clip
    from propagation.video.writing import Writer

Floats = NDArray[np.float32]

_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
# Light of the key above the clip's white, in stops, below which it holds nothing that the clip does not.
_NO_HEADROOM = 0.1
# Jump of exposure from frame to frame, in stops, that a person should know of.
_JUMP_STOPS = 1.0
_KEYS_KEPT = 3  # at full size: the two that a frame lies between, and the next one


@dataclass(frozen=True)
class HdrSettings:
    """What `hdr_job` does: `keys` maps frames of `clip` to HDR pictures; `out` is a pattern such as %05d.exr or a
    folder; `preview` an 8-bit video or pictures besides, by the tone curve of that name; `keep_noise`
    leaves well exposed pixels exactly the clip's. Others as `PropagateSettings`; `device` is where light is carried."""

    clip: Path
    out: Path
    keys: Mapping[int, Path]
    start: int = 0
    stop: int | None = None
    device: str = "auto"
    size: int = 480
    force: bool = False
    key_encoding: Encoding | None = None
    form: HdrFormat = HdrFormat()
    preview: Path | None = None
    tone_curve: str = "knee"
    keep_noise: bool = False


class CodeReader(LightnessReader):
    """Code values (h, w, 3) at work size instead of L*."""

    def _picture(self, frame: Frame) -> NDArray[Any]:
        image = np.ascontiguousarray(frame.image[..., :3])
        if image.shape[:2] == self.shape:
            return image
        return np.asarray(cv2.resize(image, self.shape[::-1], interpolation=cv2.INTER_AREA))


def hdr_job(
    settings: HdrSettings, cancel: CancelToken, pipeline: Pipeline | None = None
) -> Generator[Progress, None, Outcome]:
    """Carries the light of HDR keys through a clip: well exposed pixels are the clip's own, linearised at their own
    depth and freed from its noise as far as the keys tell it; clipped and crushed ones take the keys' light. Key frames
    go out exactly as they came.

    Raises MediaError, HintError (keys that cannot be right, a clip that is HDR already), RangeError, OutputError,
    ResourceError, DeviceError and Cancelled; whichever it is, nothing stays that was not there before.
    """
    from propagation.video.reader import open_clip

    stages = pipeline or real()
    _refuse_hdr_pictures(settings.clip)
    with ExitStack() as stack:
        clip = stack.enter_context(open_clip(settings.clip))
        run = _Run(settings, clip, cancel)
        yield from run.prepare()
        writer, preview = run.open_outputs(stack)
        carrier = stages.load_light_carrier(machine.choose_device(settings.device))
        codes = CodeReader(clip, run.shape, cancel)
        search = search_cuts(codes, run.frames, run.keyframes, stages)
        start, stop = run.frames.start, run.frames.stop
        carried = carry_light(codes.at, run.small_keys(), start, stop, carrier=carrier, is_cut=search.is_cut)
        coming = stack.enter_context(closing(ahead(carried)))
        # Left first: the thread behind `ahead` ends at the next frame it asks for.
        stack.enter_context(closing(codes))
        source = stack.enter_context(clip.again())
        reached = yield from run.write(source, coming, search, writer, preview)
        yield Progress("finish", 0, 1)
    notes = (*run.notes(reached), *writer.notes, *(preview.notes if preview is not None else ()))
    return Outcome(run.pattern, len(run.frames), reached, notes)


class _Run:
    """One HDR propagation: its keys, the camera they tell of, and its frames on their way out."""

    def __init__(self, settings: HdrSettings, clip: Clip, cancel: CancelToken) -> None:
        self.settings, self.clip, self.cancel = settings, clip, cancel
        self.info = clip.info
        self.frames = checked_range(settings.start, settings.stop, clip.info)
        self.keyframes = [Keyframe(index, "key", path) for index, path in settings.keys.items()]
        self.shape = work_shape(clip.info.height, clip.info.width, settings.size)
        self.pattern = hdr_pattern(settings.out)
        self.primaries: Chromaticities = chromaticities_of(clip.info.tags.primaries)
        self.reports: list[Registration] = []
        self._key_facts: dict[int, HdrKey] = {}
        self._kept: OrderedDict[int, HdrKey] = OrderedDict()
        self._fits_half = True
        self._small: dict[int, KeyLight] = {}
        self._logs: OrderedDict[int, Floats] = OrderedDict()
        self._response: Response | None = None
        self._last_exposure: tuple[int, float] | None = None
        self._jumps: list[int] = []
        self._remarks: list[str] = []

    def prepare(self) -> Iterator[Progress]:
        """Reads every key, holds it against its frame, and works out the camera."""
        refuse_hdr_clip(self.info)
        check_keyframes(self.keyframes, self.info.frame_count)
        self._refuse_own_input()
        pairs, shifts = [], []
        for done, index in enumerate(sorted(self.settings.keys)):
            self.cancel.check()
            key = self._key(index)
            codes = self.clip.frame(index).image
            shift, alike = find_shift(codes, key)
            pairs.append(thinned(pair_of(codes, key, shift)))
            shifts.append((shift, alike))
            self._key_facts[index] = _without_pixels(key)
            self._fits_half &= fits_half(key.picture.image)
            yield Progress("check", done + 1, 2 * len(self.keyframes), index, " ".join(key.notes))
        check_alike(list(self._key_facts.values()))
        self._response = estimate_response(pairs)
        for place, index in enumerate(self._key_facts):
            self.cancel.check()
            key = self._key(index)
            remark = check_coding(key, self._response)
            codes = self.clip.frame(key.index).image
            report = register(codes, key, *shifts[place], self._response, place)
            self.reports.append(report)
            if report.headroom_stops < _NO_HEADROOM:
                remark += f" The key of frame {key.index} holds no light above the clip's white: nothing to carry up."
            message = " ".join(filter(None, (report.words(), remark.strip())))
            self._small[index] = self._small_key(key, report)
            yield Progress("check", len(pairs) + place + 1, 2 * len(pairs), index, message)

    @property
    def response(self) -> Response:
        """The camera, once `prepare` is through."""
        if self._response is None:
            raise RuntimeError("prepare() comes first")
        return self._response

    def _key(self, index: int) -> HdrKey:
        """A key at full size; many of them would not fit into memory, so all but the last few are read anew."""
        if index not in self._kept:
            path, size = self.settings.keys[index], (self.info.width, self.info.height)
            self._kept[index] = read_key(index, path, *size, self.primaries, encoding=self.settings.key_encoding)
            while len(self._kept) > _KEYS_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(index)
        return self._kept[index]

    def small_keys(self) -> dict[int, KeyLight]:
        """The keys at work size, once `prepare` is through."""
        return self._small

    def _small_key(self, key: HdrKey, report: Registration) -> KeyLight:
        scale = np.array(self.shape[::-1]) / (self.info.width, self.info.height)
        shift = (report.shift_px[0] * float(scale[0]), report.shift_px[1] * float(scale[1]))
        return KeyLight(self._log(shrink(key.light, self.shape)), self.response, shift)

    def _log(self, light: Floats) -> Floats:
        return log_of(light, float(10 ** self.response.white.mean()))

    def open_outputs(self, stack: ExitStack) -> tuple[HdrWriter, Writer | None]:
        """Opens the writers; what is in their way is found now rather than after the work."""
        from propagation.video.writer import open_writer

        like = next(iter(self._key_facts.values())).picture
        form = self.settings.form
        if form.pixel_type == "auto":
            form = replace(form, pixel_type="half" if self._fits_half else "float")
        writer = HdrWriter(self.pattern, like, form, frames=self.frames, overwrite=self.settings.force)
        preview: Writer | None = None
        if self.settings.preview is not None:
            preview = open_writer(
                self.settings.preview, self.info, overwrite=self.settings.force, bit_depth=8, frames=self.frames
            )
            preview = stack.enter_context(preview)
        return stack.enter_context(writer), preview

    def write(
        self, source: Clip, carried: Iterator[Any], search: Cuts, writer: HdrWriter, preview: Writer | None
    ) -> Generator[Progress, None, int]:
        """Writes the range frame by frame; returns how many frames a key reached."""
        reached = 0
        coming: Any = None
        news = CutNews(search)
        for frame in source.frames(self.frames.start, self.frames.stop):
            while coming is None and (coming := next(carried, (-1, ()))) is None:
                self.cancel.check()
                yield Progress("light", frame.index - self.frames.start, len(self.frames), frame.index, news.words())
            if coming[0] != frame.index:
                search.is_cut(frame.index)  # for the news of it
            sides: tuple[Any, ...] | None = None
            if coming[0] == frame.index:
                sides, coming = coming[1], None
                reached += 1
            self.cancel.check()
            light = self._light(frame, sides)
            writer.write(frame.index, self._in_key_space(frame.index, light))
            if preview is not None:
                preview.write(self._shown(frame, light))
            done = frame.index - self.frames.start + 1
            yield Progress("light", done, len(self.frames), frame.index, news.words())
        return reached

    def _light(self, frame: Frame, sides: tuple[Any, ...] | None) -> Floats:
        """(H, W, 3) light of a frame in the clip's primaries and the keys' unit."""
        if frame.index in self._key_facts:
            place = [report.index for report in self.reports].index(frame.index)
            self._saw_exposure(frame.index, float(np.log10(self.response.exposures[place])))
            return self._key(frame.index).light
        code_values = frame.image[..., :3]
        if not sides:
            nearest = min(range(len(self.reports)), key=lambda k: abs(self.reports[k].index - frame.index))
            own = self.response.log_light(code_values) - np.float32(np.log10(self.response.exposures[nearest]))
            return light_of(own)
        carried, exposure = fused(sides, code_values.shape[:2], [self._full_log(side.key) for side in sides])
        self._saw_exposure(frame.index, exposure)
        keep = self.settings.keep_noise
        return light_of(merge(code_values, self.response, exposure, carried, keep_noise=keep))

    def _full_log(self, index: int) -> Floats:
        """A key's log light at full size; where work size is full size nothing but its work-size picture is needed."""
        if self.shape == (self.info.height, self.info.width):
            return self._small[index].log_light
        if index not in self._logs:
            self._logs[index] = self._log(self._key(index).light)
            while len(self._logs) > _KEYS_KEPT:
                self._logs.popitem(last=False)
        return self._logs[index]

    def _saw_exposure(self, index: int, log_exposure: float) -> None:
        before, self._last_exposure = self._last_exposure, (index, log_exposure)
        if before is not None and before[0] == index - 1:
            stops = abs(log_exposure - before[1]) / float(np.log10(2))
            if stops > _JUMP_STOPS:
                self._jumps.append(index)

    def _in_key_space(self, index: int, light: Floats) -> Floats:
        if index in self._key_facts:
            return self._key(index).picture.image
        like = next(iter(self._key_facts.values())).picture
        return converted(light, self.primaries, like.chromaticities)

    def _shown(self, frame: Frame, light: Floats) -> Frame:
        from propagation.color.tonemap import tone_mapped

        white = np.float32(10 ** self.response.white.mean())
        return replace(frame, image=tone_mapped(light / white, self.settings.tone_curve))

    def _refuse_own_input(self) -> None:
        from propagation.video.sequence import numbered

        inputs = {path.resolve() for path in (self.info.path, *self.info.files, *self.settings.keys.values())}
        targets = [numbered(self.pattern, index) for index in self.frames]
        if self.settings.preview is not None:
            targets.append(self.settings.preview)
        hit = next((target for target in targets if target.resolve() in inputs), None)
        if hit is not None:
            raise OutputError("the output would replace one of the inputs", path=hit, advice="Choose another name")

    def notes(self, reached: int) -> Iterator[str]:
        """What a person should know about the result."""
        missed = len(self.frames) - reached
        if missed:
            yield f"{missed} frames lie in shots without a key; they are linearised and stay clipped at white"
        if self._jumps:
            frames = ", ".join(map(str, self._jumps[:8]))
            yield f"the clip's exposure jumps by more than a stop at frame {frames}; it is followed"
        if self.pattern.suffix.lower() == ".hdr":
            yield "Radiance HDR rounds every pixel to 8 bits and an exponent, the key frames too"
        if self.pattern.suffix.lower() == ".png" and any(
            key.picture.encoding == "linear" for key in self._key_facts.values()
        ):
            yield "PNG holds the light rounded to 16-bit code values in BT.2020, the key frames too"


def _without_pixels(key: HdrKey) -> HdrKey:
    nothing = np.empty((0, 0, 3), np.float32)
    return replace(key, picture=replace(key.picture, image=nothing), light=nothing)


def _refuse_hdr_pictures(path: Path) -> None:
    """Raises HintError for a clip of EXR or Radiance pictures."""
    from propagation.video.hdr_sequence import means_hdr

    if means_hdr(path):
        raise HintError(
            "the clip is HDR already: there is no clipped light to bring back",
            path=path,
            advice="Give an ordinary clip",
        )


def refuse_hdr_clip(info: ClipInfo) -> None:
    """Raises HintError for a clip that is HDR already."""
    from propagation.video.cicp import read_cicp

    transfer = info.tags.transfer
    if info.files and info.files[0].suffix.lower() == ".png":
        tag = read_cicp(info.files[0])
        transfer = tag.transfer if tag is not None else transfer
    if transfer in _HDR_TRANSFERS:
        raise HintError(
            f"the clip is HDR already ({_HDR_TRANSFERS[transfer]}): there is no clipped light to bring back",
            path=info.path,
            advice="Give an ordinary clip",
        )
