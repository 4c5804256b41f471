"""The carrying table: what every method scored on every clip, pooled as the protocol has it, and printed."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import Any

from propagation.bench.machine import YARDSTICK_PIXELS
from propagation.bench.protocol import psnr, to_jsonable

PROTOCOL_EVERY = (10, 20, 30, 40)
HOLD, CHAIN, FRAME_BY_FRAME, TWO_SIDED = "hold", "DIS chain", "DIS frame by frame", "DIS two-sided"
BASELINES = (HOLD, CHAIN, FRAME_BY_FRAME, TWO_SIDED)
# Frames that the key of frame 0 is followed over in addition, and those of them that lie far from it.
FIRST_FRAMES = 41
FAR_FRAMES = range(35, 41)


@dataclass(frozen=True)
class CarryScore:
    """One method on one clip with a key every `every` frames; the tuples have one entry for each frame but the keys.

    `ages`: frames since the last key. `errors`: mean squared error of a and b. `energies`: ln(|ab|^2 / |true ab|^2),
    NaN where either is grey. `flickers`: mean squared flicker, for each neighboring pair of frames without a key.
    `key_error`: mean squared error of the keys themselves, 0 unless they were painted. `frame_ms`: time a frame, None
    for baselines, which share their flows.
    """

    clip: str
    method: str
    every: int
    two_sided: bool
    size: tuple[int, int]
    frames: tuple[int, ...]
    ages: tuple[int, ...]
    errors: tuple[float, ...]
    energies: tuple[float, ...]
    flickers: tuple[float, ...]
    key_error: float
    frame_ms: float | None


@dataclass(frozen=True)
class CarryTable:
    """Every score of a run, and the machine it was made on."""

    folder: str
    frames: int
    scores: tuple[CarryScore, ...]
    machine: str
    dis_ms: float
    first: tuple[CarryScore, ...] = ()  # of the key of frame 0 alone, on clips long enough for FIRST_FRAMES

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(score.method for score in self.scores))

    def of(self, method: str, every: int) -> list[CarryScore]:
        """The scores of `method` with a key every `every` frames, by clip."""
        return [score for score in self.scores if score.method == method and score.every == every]

    def mean_error(self, method: str, every: int, ages: range | None = None) -> float:
        """Mean squared error pooled over all frames but keys, or those of certain `ages`; NaN when there is none."""
        errors = [
            error
            for score in self.of(method, every)
            for age, error in zip(score.ages, score.errors, strict=True)
            if ages is None or age in ages
        ]
        return statistics.fmean(errors) if errors else math.nan

    def psnr(self, method: str, every: int, ages: range | None = None) -> float:
        """PSNR ab in dB of the pooled error, of all frames or of certain ages: `range(35, 41)` is far from the key."""
        return psnr(self.mean_error(method, every, ages))

    def flicker(self, method: str, every: int) -> float:
        """RMSE of (our change - the truth's change) between neighboring frames, in units of a and b."""
        errors = [error for score in self.of(method, every) for error in score.flickers]
        return statistics.fmean(errors) ** 0.5 if errors else math.nan

    def energy(self, method: str, every: int, age: int = 30) -> float:
        """Mean over clips of |ln(|ab|^2 / |true ab|^2)| at `age`: 0 where colors neither wash out nor grow."""
        clips = []
        for score in self.of(method, every):
            at_age = [abs(e) for a, e in zip(score.ages, score.energies, strict=True) if a == age and not math.isnan(e)]
            clips += [statistics.fmean(at_age)] if at_age else []
        return statistics.fmean(clips) if clips else math.nan

    def far_psnr(self, method: str) -> float:
        """PSNR ab in dB over frames 35 to 40 of the key of frame 0, pooled; NaN where they were not measured."""
        errors = [
            error
            for score in self.first
            for frame, error in zip(score.frames, score.errors, strict=True)
            if score.method == method and frame in FAR_FRAMES
        ]
        return psnr(statistics.fmean(errors)) if errors else math.nan

    def energy_off(self, method: str, frame: int = 30) -> float:
        """Mean over clips of |ln(|ab|^2 / |true ab|^2)| at a frame of the key of frame 0; NaN where there is none."""
        found = [
            abs(energy)
            for score in self.first
            for number, energy in zip(score.frames, score.energies, strict=True)
            if score.method == method and number == frame and not math.isnan(energy)
        ]
        return statistics.fmean(found) if found else math.nan

    def frame_ms(self, method: str) -> float:
        """Median over clips of the time a frame, in ms, scaled to 854x480 pixels; NaN for baselines."""
        times = [
            score.frame_ms * YARDSTICK_PIXELS / (score.size[0] * score.size[1])
            for score in self.scores
            if score.method == method and score.frame_ms is not None
        ]
        return statistics.median(times) if times else math.nan

    def markdown(self) -> str:
        """PSNR ab and flicker by distance between keys, then the time a frame."""
        lines = [
            f"| PSNR ab, dB (flicker RMSE) | {' | '.join(self.methods)} |",
            f"| --- |{' --- |' * len(self.methods)}",
        ]
        for every in dict.fromkeys(score.every for score in self.scores):
            cells = [self._cell(method, every) for method in self.methods]
            lines.append(f"| K = {every} | {' | '.join(cells)} |")
        for title, unit in (("ms a frame at 854x480", 1.0), ("in DIS calls", self.dis_ms)):
            times = [self.frame_ms(method) / unit for method in self.methods]
            if all(map(math.isnan, times)):
                break
            cells = ["-" if math.isnan(time_ms) else f"{time_ms:.1f}" for time_ms in times]
            lines.append(f"| {title} | {' | '.join(cells)} |")
        if self.first:
            far = [self.far_psnr(method) for method in self.methods]
            cells = ["-" if math.isnan(each) else f"{each:.2f}" for each in far]
            lines.append(f"| frames {FAR_FRAMES[0]} to {FAR_FRAMES[-1]} of one key | {' | '.join(cells)} |")
            off = [self.energy_off(method) for method in self.methods]
            cells = ["-" if math.isnan(each) else f"{each:.3f}" for each in off]
            lines.append(f"| style energy at frame 30, abs(ln) | {' | '.join(cells)} |")
        lines += ["", f"DIS MEDIUM at 854x480: {self.dis_ms:.1f} ms. {self.machine}"]
        return "\n".join(lines)

    def _cell(self, method: str, every: int) -> str:
        if not self.of(method, every):
            return "-"
        return f"{self.psnr(method, every):.2f} ({self.flicker(method, every):.2f})"

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes, with the pooled figures under "summary"."""
        rows = dict.fromkeys((score.method, score.every, score.two_sided) for score in self.scores)
        summary = [
            {
                "method": method,
                "every": every,
                "two_sided": two_sided,
                "psnr": self.psnr(method, every),
                "flicker": self.flicker(method, every),
                "energy_30": self.energy(method, every),
                "frame_ms": self.frame_ms(method),
                "far_psnr": self.far_psnr(method),
                "energy_off_30": self.energy_off(method),
            }
            for method, every, two_sided in rows
        ]
        return dict(to_jsonable({**asdict(self), "summary": summary}))
