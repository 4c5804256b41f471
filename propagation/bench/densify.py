"""Sparse hints to dense color: ours beside every baseline, on the protocol's hints.

A method is any `fill(lightness, mask, ab)`: (H, W) float32 L* 0..100, (H, W) bool, (H, W, 2) float32 read under the
mask only. It returns (H, W, 2), or that and a (H, W) confidence where more is surer.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from propagation.bench import baselines
from propagation.bench.machine import YARDSTICK_SIZE, dis_medium_ms, machine_line, median_ms
from propagation.bench.protocol import Floats, Picture, one_opencv_thread, psnr_rgb, read_pictures, to_jsonable
from propagation.densify import Densifier, Hints
from propagation.hints import GENERATORS, SparseColor
from propagation.precision import fast_convolutions

Fill = Callable[[Floats, NDArray[np.bool_], Floats], "Floats | tuple[Floats, Floats]"]
Progress = Callable[[int, int, str], None]

BAR = "Levin exact"  # the baseline that floors are counted from
STROKE_COUNTS = (10, 40)
LEAST_SURE_SHARE = 0.2


def grey(lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> Floats:
    """No color at all."""
    return np.zeros_like(ab)


BASELINES: Mapping[str, Fill] = {
    "grey": grey,
    "nearest hint": baselines.nearest_hint,
    "guided fill": baselines.guided_fill,
    "bilateral fill": baselines.bilateral_fill,
    BAR: baselines.levin,
}


@dataclass(frozen=True)
class HintKind:
    """How hints are drawn; `count` None draws 10 to 40 anew for every picture. `size` is (width, height) in pixels."""

    generator: Literal["superpixels", "patches", "strokes"]
    count: int | None
    size: tuple[int, int]

    @property
    def title(self) -> str:
        count = f"{STROKE_COUNTS[0]} to {STROKE_COUNTS[1]}" if self.count is None else str(self.count)
        return f"{count} {self.generator}, {self.size[0]}x{self.size[1]}"


SUPERPIXELS = HintKind("superpixels", 300, (512, 256))
STROKES = HintKind("strokes", None, (512, 256))
PATCHES = tuple(HintKind("patches", count, (256, 256)) for count in (20, 50, 100, 200, 500))
PROTOCOL_KINDS = (SUPERPIXELS, STROKES, *PATCHES)


@dataclass(frozen=True)
class FillScore:
    """One method on one picture: PSNR RGB in dB, and how far its confidence is right, where it has one.

    `rank_correlation`: Spearman between lack of confidence and the true error. `error_share_dropped`: the share of the
    squared error that lies in the 20 % of pixels it is least sure of.
    """

    kind: str
    folder: str
    picture: str
    method: str
    psnr: float
    fill_ms: float
    rank_correlation: float | None = None
    error_share_dropped: float | None = None


@dataclass(frozen=True)
class FillSpeed:
    """Median times in ms at 854x480: of what a frame costs once, and of every stroke after that."""

    opening_ms: float
    stroke_ms: float


@dataclass(frozen=True)
class DensifyTable:
    """Every score of a run, and the machine it was made on."""

    scores: tuple[FillScore, ...]
    machine: str
    dis_ms: float
    speed: FillSpeed | None = None
    memory: dict[str, int] | None = None  # bytes at the peak, by the frame's size

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(score.method for score in self.scores))

    def of(self, method: str, kind: str | None = None, folder: str | None = None) -> list[FillScore]:
        """The scores of `method`, all or those of one kind of hints or one folder, in the order of measuring."""
        return [
            score
            for score in self.scores
            if score.method == method and kind in (None, score.kind) and folder in (None, score.folder)
        ]

    def mean_psnr(self, method: str, kind: str | None = None, folder: str | None = None) -> float:
        """The mean over pictures, in dB; NaN when there is none."""
        scores = self.of(method, kind, folder)
        return statistics.fmean(score.psnr for score in scores) if scores else math.nan

    def share_above(self, method: str, bar: str = BAR, kind: str | None = None) -> float:
        """The share of pictures, 0..1, on which `method` has a higher PSNR than `bar`; NaN when there is none."""
        pairs = list(zip(self.of(method, kind), self.of(bar, kind), strict=False))
        return statistics.fmean(one.psnr > other.psnr for one, other in pairs) if pairs else math.nan

    def markdown(self) -> str:
        """PSNR RGB by kind of hints and folder, then one row a method: above the bar, time, confidence."""
        lines = [
            f"| PSNR RGB, dB | {' | '.join(self.methods)} |",
            f"| --- |{' --- |' * len(self.methods)}",
        ]
        for kind in dict.fromkeys(score.kind for score in self.scores):
            folders = list(dict.fromkeys(score.folder for score in self.scores if score.kind == kind))
            groups: list[tuple[str, str | None]] = [(folder, folder) for folder in folders]
            if len(folders) > 1:
                groups.append(("all", None))
            for title, folder in groups:
                cells = (f"{self.mean_psnr(method, kind, folder):.2f}" for method in self.methods)
                lines.append(f"| {kind}, {title} | {' | '.join(cells)} |")
        lines += ["", f"| method | above {BAR} | ms a picture | DIS calls | rank correlation | error dropped |"]
        lines.append("| --- | --- | --- | --- | --- | --- |")
        lines += [self._method_row(method) for method in self.methods]
        if self.speed is not None:
            opening, stroke = self.speed.opening_ms, self.speed.stroke_ms
            lines += ["", f"At 854x480, opening a frame: {opening:.0f} ms, {opening / self.dis_ms:.1f} DIS calls;"]
            lines[-1] += f" stroke to picture: {stroke:.0f} ms, {stroke / self.dis_ms:.2f} DIS calls."
        if self.memory:
            peaks = "; ".join(f"{size}: {peak / 1e9:.2f} GB" for size, peak in self.memory.items())
            lines += ["", f"Peak memory of a process that opens and fills one frame. {peaks}."]
        lines += ["", f"DIS MEDIUM at 854x480: {self.dis_ms:.1f} ms. {self.machine}"]
        return "\n".join(lines)

    def _method_row(self, method: str) -> str:
        scores = self.of(method)
        milliseconds = statistics.median(score.fill_ms for score in scores)
        above = f"{100 * self.share_above(method):.0f} %" if BAR in self.methods and method != BAR else "-"
        cells = [method, above, f"{milliseconds:.0f}", f"{milliseconds / self.dis_ms:.1f}"]
        ranks = [score.rank_correlation for score in scores if score.rank_correlation is not None]
        dropped = [score.error_share_dropped for score in scores if score.error_share_dropped is not None]
        cells.append(f"{statistics.fmean(ranks):.2f}" if ranks else "-")
        cells.append(f"{100 * statistics.fmean(dropped):.0f} %" if dropped else "-")
        return f"| {' | '.join(cells)} |"

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes, with the means over pictures under "summary"."""
        rows = dict.fromkeys((score.kind, score.folder, score.method) for score in self.scores)
        summary = [
            {"kind": kind, "folder": folder, "method": method, "psnr": self.mean_psnr(method, kind, folder)}
            for kind, folder, method in rows
        ]
        return dict(to_jsonable({**asdict(self), "summary": summary}))


def run(
    folders: Sequence[str | Path],
    methods: Mapping[str, Fill],
    kinds: Sequence[HintKind] = PROTOCOL_KINDS,
    *,
    with_baselines: bool = True,
    limit: int | None = None,
    speed: Callable[[], FillSpeed] | None = None,
    memory: Callable[[], dict[str, int]] | None = None,
    progress: Progress | None = None,
) -> DensifyTable:
    """Fill the hints of every kind on every picture of `folders` with the baselines and `methods`.

    `limit` keeps the first pictures of each folder. `speed` and `memory` are measured after everything else.
    `progress(done, total, text)` is called after every picture.
    Raises MediaError for an unreadable picture, ValueError when a method returns something that is not a picture.
    """
    every = {**(BASELINES if with_baselines else {}), **methods}
    sizes = dict.fromkeys(kind.size for kind in kinds)
    scores: list[FillScore] = []
    with one_opencv_thread():
        pictures = {
            (folder, size): list(islice(read_pictures(folder, size), limit))
            for folder in map(Path, folders)
            for size in sizes
        }
        work = [
            (kind, folder.name, picture)
            for kind in kinds
            for (folder, size), of_folder in pictures.items()
            if size == kind.size
            for picture in of_folder
        ]
        for done, (kind, folder_name, picture) in enumerate(work, start=1):
            scores += _score_picture(kind, folder_name, picture, every)
            if progress is not None:
                progress(done, len(work), f"{kind.title}: {picture.name}")
    machine, dis_ms, reached = machine_line(), dis_medium_ms(), None if speed is None else speed()
    return DensifyTable(tuple(scores), machine, dis_ms, reached, None if memory is None else memory())


def measure_speed(densifier: Densifier) -> FillSpeed:
    """How soon the picture follows the brush, with the strokes of a real frame's size."""
    width, height = YARDSTICK_SIZE
    ys, xs = np.mgrid[:height, :width].astype(np.float32)
    lightness = np.asarray(50 + 30 * np.sin(xs / 37) * np.cos(ys / 23), np.float32)
    hints = Hints(np.zeros((height, width, 2), np.float32), np.zeros((height, width), np.float32))
    for stroke in range(20):
        place = (slice(20 * stroke, 20 * stroke + 6), slice(30 * stroke, 30 * stroke + 60))
        hints.values[place], hints.strength[place] = (stroke, -stroke), 1
    prepared = densifier.prepare(lightness)
    return FillSpeed(
        median_ms(lambda: densifier.prepare(lightness)), median_ms(lambda: densifier.fill(prepared, hints))
    )


def fill_by(model: nn.Module, lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> Floats:
    """A network of lightness, values and strength, (1, C, H, W) each, to `values`, as a method of the bench."""
    maps = (lightness[..., None], ab, mask[..., None].astype(np.float32))
    with torch.inference_mode(), fast_convolutions():
        out = model(*(torch.from_numpy(np.ascontiguousarray(m.transpose(2, 0, 1)))[None] for m in maps))
    return np.ascontiguousarray(out["values"][0].permute(1, 2, 0).numpy())


def draw_hints(kind: HintKind, lab: Floats) -> SparseColor:
    """The protocol's hints for one picture: the generator starts from seed 0 each time."""
    rng = np.random.default_rng(0)
    count = kind.count if kind.count is not None else int(rng.integers(STROKE_COUNTS[0], STROKE_COUNTS[1] + 1))
    return GENERATORS[kind.generator](lab, count, rng)


def _score_picture(kind: HintKind, folder: str, picture: Picture, methods: Mapping[str, Fill]) -> list[FillScore]:
    hints = draw_hints(kind, picture.lab)
    scores: list[FillScore] = []
    for method, fill in methods.items():
        # Each method gets copies: the true colors off the mask are no business of its, nor is another's scribbling.
        ab = np.where(hints.mask[..., None], hints.ab, 0)
        start = time.perf_counter()
        filled = fill(picture.lab[..., 0].copy(), hints.mask.copy(), ab)
        fill_ms = 1000 * (time.perf_counter() - start)
        dense, confidence = filled if isinstance(filled, tuple) else (filled, None)
        if dense.shape != ab.shape or not np.isfinite(dense).all():
            raise ValueError(f"{method} returned no picture of {ab.shape} finite numbers on {picture.name}")
        rank, dropped = (None, None) if confidence is None else _judge_confidence(confidence, dense, picture.lab)
        score = psnr_rgb(picture.lab, dense)
        scores.append(FillScore(kind.title, folder, picture.name, method, score, fill_ms, rank, dropped))
    return scores


def _judge_confidence(confidence: Floats, ab: Floats, lab: Floats) -> tuple[float, float]:
    from scipy.stats import spearmanr

    squared = np.square(ab - lab[..., 1:], dtype=np.float64).sum(-1).ravel()
    doubt = -np.asarray(confidence, np.float64).ravel()
    least_sure = np.argsort(-doubt, kind="stable")[: round(LEAST_SURE_SHARE * doubt.size)]
    total = float(squared.sum())
    rank = float(spearmanr(doubt, squared).statistic) if np.ptp(doubt) and np.ptp(squared) else 0.0
    return rank, float(squared[least_sure].sum()) / total if total else 1.0
