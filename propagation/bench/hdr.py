"""HDR from HDR key frames: ours beside every baseline on clips whose truth is known, scored as the protocol has it.

A method is any `carry(frames, keys)`: `frames` are (H, W, 3) 8-bit RGB pictures, `keys` maps frame numbers to their
true light (H, W, 3); it returns or yields (frame, light (H, W, 3)), key frames optional. One-sided methods get the
first frame's key alone, two-sided ones also the last frame's. Both are scored on the frames between.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from propagation.bench import baselines, panoramas
from propagation.bench.machine import YARDSTICK_SIZE, dis_medium_ms, machine_line
from propagation.bench.panoramas import PanoramaClip
from propagation.bench.protocol import Floats, one_opencv_thread, sample, sampling_grid, to_jsonable, to_lab
from propagation.bench.pu21 import pu21, pu21_psnr
from propagation.hdr.carrying import KeyLight, MotionCarrier, light_of, log_of
from propagation.hdr.merging import fused, merge
from propagation.hdr.response import FLOOR, Pair, estimate_response
from propagation.hdr.sequence import carry_light
from propagation.sequence import Carrier, carry
from propagation.tpn import TpnConfig
from propagation.video.hdr_images import REFERENCE_WHITE_NITS

Carry = Callable[[Sequence[NDArray[np.uint8]], Mapping[int, Floats]], Iterable[tuple[int, Floats]]]
Progress = Callable[[int, int, str], None]

RESPONSE, CHAIN, GAMMA = "response fit of the key", "key by DIS chain", "gamma 2.2 expansion"
BORDER_PX = 3  # on either side of the edge of a clipped region
# Floors, each against the best baseline of the same run.
ERROR_SHARE, ONE_SIDED_DB, TWO_SIDED_DB, GRADIENT, FLICKER_SHARE, DIS_CALLS = 0.6, 3.0, 4.0, 1.1, 0.8, 6.0
AB_A_DECADE = np.float32(30)  # units of a* and b* that stand for a factor of 10 in light
LIGHT_TPN = TpnConfig(kept=1.0)  # a mean over the neighborhood would level the light of lamps
_TIMED_FRAMES = 20  # as many as are carried from a key


@dataclass(frozen=True)
class HdrScore:
    """One method on one clip. `clipped_error`: mean squared error of log10 light on clipped pixels, of which there are
    `clipped_pixels`; `pu21_error`: mean squared error of PU21 values of whole frames; `gradient`: error of the gradient
    of log10 light around clipped regions over the truth's own; `flicker`: mean squared difference of changes along the
    true motion, `clipped_flicker` that of clipped pixels alone."""

    clip: str
    method: str
    two_sided: bool
    clipped_error: float
    clipped_pixels: int
    pu21_error: float
    gradient: float
    flicker: float
    clipped_flicker: float


@dataclass(frozen=True)
class HdrTable:
    """Every score of a run, the time of ours at 854x480, and the machine."""

    scores: tuple[HdrScore, ...]
    baselines: tuple[str, ...]
    frame_ms: dict[str, float]
    dis_ms: float
    machine: str

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(score.method for score in self.scores))

    def of(self, method: str) -> list[HdrScore]:
        """The scores of `method` by clip."""
        return [score for score in self.scores if score.method == method]

    def log_rmse(self, method: str) -> float:
        """RMSE of log10 light over clipped pixels, every clip with the same weight however much of it is clipped."""
        errors = [score.clipped_error for score in self.of(method) if score.clipped_pixels]
        return math.sqrt(float(np.mean(errors))) if errors else math.nan

    def psnr(self, method: str) -> float:
        """PU21-PSNR in dB, the error pooled over all frames."""
        return pu21_psnr(float(np.mean([score.pu21_error for score in self.of(method)])))

    def gradient(self, method: str) -> float:
        """Mean over clips of the gradient's error around clipped regions, as a share of the truth's gradient."""
        return float(np.nanmean([score.gradient for score in self.of(method)]))

    def flicker(self, method: str, *, clipped: bool = False) -> float:
        """RMSE of changes of log10 light along the true motion, of all pixels or of clipped ones alone."""
        errors = [score.clipped_flicker if clipped else score.flicker for score in self.of(method)]
        return math.sqrt(float(np.nanmean(errors)))

    def floors(self, two_sided: bool = False) -> dict[str, float]:
        """What a method has to reach, from the baselines of this run."""
        return {
            "log RMSE": ERROR_SHARE * min(map(self.log_rmse, self.baselines)),
            "PU21-PSNR": max(map(self.psnr, self.baselines)) + (TWO_SIDED_DB if two_sided else ONE_SIDED_DB),
            "gradient": GRADIENT,
            "flicker": FLICKER_SHARE * self.flicker(CHAIN),
            "clipped flicker": FLICKER_SHARE * self.flicker(CHAIN, clipped=True),
            "DIS calls": DIS_CALLS,
        }

    def markdown(self) -> str:
        """A row a method; the floors, which follow from the baselines above them, in the last rows."""
        lines = [
            "| HDR, K = 20 | clipped pixels, RMSE of log10 | PU21-PSNR, dB | border gradient error | "
            "flicker of log10 (clipped pixels) | ms a frame at 854x480 (DIS calls) |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for method in self.methods:
            cells = (self.log_rmse(method), self.psnr(method), self.gradient(method), self.flicker(method))
            calm = self.flicker(method, clipped=True)
            ms = self.frame_ms.get(method)
            timed = "-" if ms is None else f"{ms:.0f} ({ms / self.dis_ms:.1f})"
            figures = " | ".join(f"{x:.{digits}f}" for x, digits in zip(cells, (3, 2, 2, 4), strict=True))
            lines.append(f"| {method} | {figures} ({calm:.4f}) | {timed} |")
        for title, two_sided in (("floor", False), ("floor, two-sided", True)):
            floors = self.floors(two_sided)
            lines.append(
                f"| {title} | {floors['log RMSE']:.3f} | {floors['PU21-PSNR']:.2f} | {GRADIENT} | "
                f"{floors['flicker']:.4f} ({floors['clipped flicker']:.4f}) | ({DIS_CALLS:.0f}) |"
            )
        clips = len(dict.fromkeys(score.clip for score in self.scores))
        return "\n".join([*lines, "", f"{clips} clips. DIS MEDIUM at 854x480: {self.dis_ms:.1f} ms. {self.machine}"])

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes, with the pooled figures under "summary"."""
        summary = [
            {"method": m, "log_rmse": self.log_rmse(m), "pu21_psnr": self.psnr(m), "gradient": self.gradient(m),
             "flicker": self.flicker(m), "clipped_flicker": self.flicker(m, clipped=True)}
            for m in self.methods
        ]
        return dict(to_jsonable({**asdict(self), "summary": summary, "floors": self.floors()}))


def run(
    folder: Path,
    methods: Mapping[str, Carry],
    two_sided: Mapping[str, Carry] | None = None,
    *,
    names: Sequence[str] | None = None,
    seeds: Sequence[int] = panoramas.VALIDATION_SEEDS,
    ranges: panoramas.ClipRanges | None = None,
    timed: bool = True,
    progress: Progress | None = None,
) -> HdrTable:
    """Scores the baselines and ours on the validation panoramas of `folder`; `names` keeps some of them, `timed`
    measures ours at 854x480 besides.

    `progress(done, total, text)` is called after every clip. Raises MissingMediaError and MediaError, and ValueError
    when a method leaves a frame out or returns something that is not its picture.
    """
    paths = {n: p for n, p in panoramas.validation_panoramas(folder).items() if names is None or n in names}
    contenders = [(name, False, carry) for name, carry in {**BASELINES, **methods}.items()]
    contenders += [(name, True, carry) for name, carry in (two_sided or {}).items()]
    scores: list[HdrScore] = []
    total, done = len(paths) * len(seeds), 0
    any_clip: PanoramaClip | None = None
    with one_opencv_thread():
        for name, path in paths.items():
            panorama = panoramas.read_panorama(path)
            for seed in seeds:
                clip = panoramas.make_clip(panorama, name, seed, ranges)
                scores += [score(clip, method, sides, carry) for method, sides, carry in contenders]
                any_clip = any_clip or clip
                done += 1
                if progress is not None:
                    progress(done, total, f"{name}, seed {seed}")
    frame_ms: dict[str, float] = {}
    if timed and any_clip is not None:
        for name, carry in {**methods, **(two_sided or {})}.items():
            frame_ms[name] = _frame_ms(any_clip, carry, name in methods)
    return HdrTable(tuple(scores), tuple(BASELINES), frame_ms, dis_medium_ms(), machine_line())


def score(clip: PanoramaClip, method: str, two_sided: bool, carry: Carry) -> HdrScore:
    """One method on one clip."""
    last = len(clip.frames) - 1
    keys = {n: clip.truth[n].copy() for n in ((0, last) if two_sided else (0,))}
    inner = range(1, last)
    found: dict[int, Floats] = {}
    for index, light in carry(list(clip.frames), keys):
        if index in inner:
            if light.shape != clip.truth[index].shape or not np.isfinite(light).all():
                raise ValueError(f"{method} returned no {clip.truth[index].shape} of finite numbers, frame {index}")
            found[index] = light
    if sorted(found) != list(inner):
        raise ValueError(f"{method} left out a frame of {clip.name}")
    clipped_sum, clipped_pixels = 0.0, 0
    pu21_errors: list[float] = []
    flickers: list[float] = []
    calm: list[float] = []
    gradients = np.zeros(2)
    for index in inner:
        ours, truth, mask = _log(found[index]), _log(clip.truth[index]), clip.clipped(index)
        clipped_sum += float(np.sum((ours - truth)[mask] ** 2, dtype=np.float64)) / 3
        clipped_pixels += int(mask.sum())
        encoded = (pu21(light * REFERENCE_WHITE_NITS) for light in (found[index], clip.truth[index]))
        pu21_errors.append(float(np.mean((next(encoded) - next(encoded)) ** 2)))
        gradients += _border_gradients(ours, truth, mask)
        if index > 1:
            squared, inside = _flicker(clip, index, (_log(found[index - 1]), ours))
            flickers.append(float(squared[inside].mean(dtype=np.float64)))
            if (inside & mask).any():
                calm.append(float(squared[inside & mask].mean(dtype=np.float64)))
    return HdrScore(
        clip.name,
        method,
        two_sided,
        clipped_sum / max(1, clipped_pixels),
        clipped_pixels,
        float(np.mean(pu21_errors)),
        float(gradients[0] / gradients[1]) if gradients[1] else math.nan,
        float(np.mean(flickers)),
        float(np.mean(calm)) if calm else math.nan,
    )


def response_fit(frames: Sequence[NDArray[np.uint8]], keys: Mapping[int, Floats]) -> Iterator[tuple[int, Floats]]:
    """The camera curve of the key, applied to every frame; clipped pixels get the key's median light of such pixels."""
    first = min(keys)
    curve = estimate_response([Pair(frames[first], keys[first])]).curve.copy()
    for channel in range(3):
        light, code = _log(keys[first][..., channel]), frames[first][..., channel]
        for level in range(250, 256):
            if (code == level).sum() >= 20:
                curve[level, channel] = np.median(light[code == level])
    light = (10.0**curve).astype(np.float32)
    for index, frame in enumerate(frames):
        yield index, np.dstack([light[frame[..., c], c] for c in range(3)])


def key_by_dis(frames: Sequence[NDArray[np.uint8]], keys: Mapping[int, Floats]) -> Iterator[tuple[int, Floats]]:
    """The key's log light where the DIS chain leads."""
    first = min(keys)
    motion = baselines.Motion([np.ascontiguousarray(to_lab(frame)[..., 0]) for frame in frames])
    for index, log_light in baselines.dis_chain(motion, first, _log(keys[first]), range(first + 1, len(frames))):
        yield index, np.asarray(10**log_light, np.float32)


def gamma_expansion(frames: Sequence[NDArray[np.uint8]], keys: Mapping[int, Floats]) -> Iterator[tuple[int, Floats]]:
    """Signal to the power of 2.2, times the scale that fits the key best in PU21 values."""
    first = min(keys)
    expanded: list[Floats] = [np.asarray((frame / np.float32(255)) ** 2.2, np.float32) for frame in frames]
    truth = pu21(keys[first] * REFERENCE_WHITE_NITS)
    scales = np.geomspace(0.25, 16, 49)
    errors = [np.mean((pu21(expanded[first] * s * REFERENCE_WHITE_NITS) - truth) ** 2) for s in scales]
    best = np.float32(scales[int(np.argmin(errors))])
    for index, light in enumerate(expanded):
        yield index, light * best


def ours(
    frames: Sequence[NDArray[np.uint8]],
    keys: Mapping[int, Floats],
    *,
    merged: bool = True,
    keep_noise: bool = False,
) -> Iterator[tuple[int, Floats]]:
    """What `propagate --property hdr` does; with `merged=False` the carried light alone, the source left out, with
    `keep_noise` as the option of that name."""
    order = sorted(keys)
    response = estimate_response([Pair(frames[n], keys[n]) for n in order])
    small = {n: KeyLight(log_of(keys[n]), response) for n in order}
    shape = frames[0].shape[:2]
    for index, sides in carry_light(frames.__getitem__, small, 0, len(frames), carrier=MotionCarrier()):
        if sides:
            log_light, exposure = fused(sides, (shape[0], shape[1]), [small[side.key].log_light for side in sides])
            if merged:
                log_light = merge(frames[index], response, exposure, log_light, keep_noise=keep_noise)
            yield index, light_of(log_light)


def tpn_alone(
    frames: Sequence[NDArray[np.uint8]], keys: Mapping[int, Floats], carrier: Carrier
) -> Iterator[tuple[int, Floats]]:
    """The temporal network alone on log10 light, two channels at a time, as it is for color: neither the camera nor the
    frame's own code values speak. The network learned on a* and b* before light, so light is given at their scale."""
    logs = {n: _log(light) for n, light in keys.items()}
    middle = np.float32(np.median(logs[min(logs)]))
    lightness = [np.ascontiguousarray(to_lab(frame)[..., 0]) for frame in frames]
    found = []
    for channels in ((0, 1), (2, 1)):
        given = {n: np.ascontiguousarray((x[..., channels] - middle) * AB_A_DECADE) for n, x in logs.items()}
        carried = carry(lightness.__getitem__, given, 0, len(frames), carrier=carrier)
        found.append([each.values for each in carried])
    for index, (one, other) in enumerate(zip(*found, strict=True)):
        log_light = np.dstack([one, other[..., :1]]) / AB_A_DECADE + middle
        yield index, np.asarray(10**log_light, np.float32)


BASELINES: dict[str, Carry] = {RESPONSE: response_fit, CHAIN: key_by_dis, GAMMA: gamma_expansion}


def _log(light: Floats) -> Floats:
    return np.asarray(np.log10(np.maximum(light, np.float32(FLOOR))), np.float32)


def _border_gradients(ours: Floats, truth: Floats, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sums of |gradient of ours - that of the truth| and of |that of the truth| along the edges of clipped regions."""
    square = np.ones((2 * BORDER_PX + 1,) * 2, np.uint8)
    border = cv2.dilate(mask.astype(np.uint8), square) > cv2.erode(mask.astype(np.uint8), square)
    slopes = [np.stack([*np.gradient(log_light, axis=(0, 1))], axis=-1)[border] for log_light in (ours, truth)]
    lengths = (np.linalg.norm(slope, axis=-1).sum(dtype=np.float64) for slope in (slopes[0] - slopes[1], slopes[1]))
    return np.array(list(lengths))


def _flicker(
    clip: PanoramaClip, index: int, ours: tuple[Floats, Floats]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Squared (our change - the truth's change) of log10 light from the frame before (H, W), mean of the channels, and
    where it lies inside both frames."""
    positions = sampling_grid(*clip.frames.shape[1:3]) + clip.motion(index, index - 1)
    limit = np.array(clip.frames.shape[2:0:-1]) - 1
    inside: NDArray[np.bool_] = np.asarray(((positions >= 0) & (positions <= limit)).all(axis=-1))
    change = ours[1] - sample(ours[0], positions)
    true = _log(clip.truth[index]) - sample(_log(clip.truth[index - 1]), positions)
    return np.asarray(((change - true) ** 2).mean(axis=-1), np.float32), inside


def _frame_ms(clip: PanoramaClip, carry: Carry, one_sided: bool) -> float:
    """Milliseconds a frame at 854x480, the first frame's share of the start left in."""
    frames = [cv2.resize(frame, YARDSTICK_SIZE, interpolation=cv2.INTER_CUBIC) for frame in clip.frames]
    frames = frames[: _TIMED_FRAMES + 1]
    last = len(frames) - 1
    keys = {n: cv2.resize(clip.truth[n], YARDSTICK_SIZE) for n in ((0,) if one_sided else (0, last))}
    start = time.perf_counter()
    made = sum(1 for index, _ in carry(frames, keys) if index not in keys)
    return 1000 * (time.perf_counter() - start) / max(1, made)
