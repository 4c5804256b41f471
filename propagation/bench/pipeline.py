"""The whole pipeline: superpixel samples on frame 0 made dense, then carried over the frames that follow.

An error of the key and an error of carrying should add up and no more: the squared error far from the key is held
against the sum of both, each measured alone, and against the classical pair (Levin's exact solve, DIS chain).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from propagation.bench import baselines, carry
from propagation.bench.carry_table import CHAIN, CarryTable
from propagation.bench.protocol import Floats, psnr, to_jsonable
from propagation.hints import superpixel_hints

Fill = Callable[[Floats, NDArray[np.bool_], Floats], "Floats | tuple[Floats, Floats]"]
Progress = Callable[[int, int, str], None]

FRAMES = 31  # the key, and 30 frames that are carried
FAR = range(10, 31)
SUPERPIXELS = 300
SHARE, GAIN_DB = 1.2, 1.5
_OURS = "Huecast"


@dataclass(frozen=True)
class PipelineTable:
    """Squared errors of a and b, means over clips (`key`) or pooled over clips and frames 10 to 30.

    `key`: of the dense key; `carried`: of carrying the true key; `whole`: of both together; `levin_key`, `levin`: of
    Levin's key, and of it carried by the DIS chain; `chain`: of the true key by the DIS chain.
    """

    folder: str
    clips: int
    key: float
    carried: float
    whole: float
    levin_key: float
    levin: float
    chain: float
    machine: str

    @property
    def share(self) -> float:
        """The whole error beside the sum of its parts."""
        return self.whole / (self.key + self.carried)

    @property
    def gain_db(self) -> float:
        """PSNR above Levin and the DIS chain."""
        return psnr(self.whole) - psnr(self.levin)

    def markdown(self) -> str:
        """PSNR of every part, then the two floors."""
        rows = [
            ("true key, frames 10 to 30", self.carried, self.chain),
            ("dense key, frame 0", self.key, self.levin_key),
            ("dense key, frames 10 to 30", self.whole, self.levin),
        ]
        lines = ["| PSNR ab, dB (mean squared error) | Huecast | Levin, DIS chain |", "| --- | --- | --- |"]
        lines += [f"| {name} | {psnr(a):.2f} ({a:.2f}) | {psnr(b):.2f} ({b:.2f}) |" for name, a, b in rows]
        reached = ["yes" if each else "no" for each in (self.share <= SHARE, self.gain_db >= GAIN_DB)]
        lines += ["", "| target | floor | measured | reached |", "| --- | --- | --- | --- |"]
        lines.append(f"| error of the whole beside its parts' | at most {SHARE} | {self.share:.2f} | {reached[0]} |")
        lines.append(f"| above Levin and DIS chain, dB | {GAIN_DB:+.1f} | {self.gain_db:+.2f} | {reached[1]} |")
        return "\n".join([*lines, "", f"{self.clips} clips. {self.machine}"])

    def to_json(self) -> dict[str, Any]:
        """The whole table as what `json.dumps` takes."""
        return dict(to_jsonable({**vars(self), "share": self.share, "gain_db": self.gain_db}))


def run(
    folder: Path,
    fill: Fill,
    method: carry.Carry,
    clips: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> PipelineTable:
    """Carries the true key, the key that `fill` makes of superpixel samples, and Levin's, over 30 frames of each clip.

    Raises MediaError for an unreadable clip, ValueError when no clip has 31 frames.
    """
    runs: list[CarryTable] = []
    rounds: list[tuple[dict[str, carry.Carry], list[str], carry.PaintKey | None]] = [
        ({_OURS: method}, [CHAIN], None),
        ({_OURS: method}, [], lambda lightness, ab: painted_key(fill, lightness, ab)),
        ({}, [CHAIN], lambda lightness, ab: painted_key(baselines.levin, lightness, ab)),
    ]
    for number, (methods, with_baselines, paint_key) in enumerate(rounds):

        def step(done: int, total: int, text: str, number: int = number) -> None:
            if progress is not None:
                progress(number * total + done, len(rounds) * total, text)

        runs.append(
            carry.run(
                folder, FRAMES, methods, frames=FRAMES, shortest=FRAMES, clips=clips, with_baselines=with_baselines,
                paint_key=paint_key, progress=step,
            )
        )  # fmt: skip
    true, ours, levin = runs
    if not true.scores:
        raise ValueError(f"no clip in {folder} has {FRAMES} frames")
    return PipelineTable(
        folder=Path(folder).name,
        clips=len(true.of(_OURS, FRAMES)),
        key=_key_error(ours),
        carried=true.mean_error(_OURS, FRAMES, FAR),
        whole=ours.mean_error(_OURS, FRAMES, FAR),
        levin_key=_key_error(levin),
        levin=levin.mean_error(CHAIN, FRAMES, FAR),
        chain=true.mean_error(CHAIN, FRAMES, FAR),
        machine=true.machine,
    )


def painted_key(fill: Fill, lightness: Floats, ab: Floats) -> Floats:
    """What a fill makes of superpixel samples of the true colors, as the protocol draws them."""
    hints = superpixel_hints(np.dstack([lightness, ab]), SUPERPIXELS, np.random.default_rng(0))
    filled = fill(lightness, hints.mask, np.where(hints.mask[..., None], hints.ab, 0).astype(np.float32))
    return filled[0] if isinstance(filled, tuple) else filled


def _key_error(table: CarryTable) -> float:
    return statistics.fmean(score.key_error for score in table.scores)
