"""What each part of carrying brings: the shipped pipeline without one part at a time, and with nothing learned.

Nothing is trained anew: a part that is switched off leaves its work to the others as they are. What the network may
choose from is taken away by lowering what it believes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from propagation.alignment import Floats, MotionEstimator
from propagation.bench import carry as bench
from propagation.bench.carry_table import CHAIN, FRAME_BY_FRAME, CarryTable
from propagation.bench.protocol import clip_paths
from propagation.precision import fast_weights
from propagation.sequence import Carrier, carry
from propagation.spn import Description
from propagation.tpn import Doubt, TemporalPropagationNetwork, TpnConfig
from propagation.weights import expected_tensors, load_weights, weights_path

Progress = Callable[[int, int, str], None]

WHOLE, NOTHING_LEARNED = "whole", "nothing learned: doubt by hand, neither matching nor scans"
EVERY = 20
# What pixels are believed from, as `TemporalPropagationNetwork` has them.
_KEY, _MATCHED, _PREVIOUS, _NONE = range(4)
_NEVER = 1e3  # taken off a belief, whatever the network makes of it


class _Unanchored(MotionEstimator):
    """Tracks go step by step: what is searched for in the key frame is found where it was expected."""

    def refine(self, source: NDArray[np.uint8], target: NDArray[np.uint8], guess: Floats) -> Floats:
        return guess


class _Switched(TemporalPropagationNetwork):
    """The network with what it learned of its beliefs (B, 4, H, W) multiplied by `learned`, and without some."""

    def __init__(self, without: Sequence[int], learned: float) -> None:
        # Half of what is believed comes by the scans too, where there are any.
        super().__init__(TpnConfig(kept=1.0) if _NONE in without else None)
        offset = torch.zeros(1, 4, 1, 1)
        offset[:, list(without)] = -_NEVER
        self.offset: Tensor
        self.register_buffer("offset", offset, persistent=False)
        self.learned = learned

    def _judge(self, half: Tensor, picture: Description) -> tuple[Tensor, Tensor, Tensor]:
        belief, error, found = super()._judge(half, picture)
        return belief * self.learned + self.offset, error, found


@dataclass(frozen=True)
class _Variant:
    without: tuple[int, ...] = ()
    learned: float = 1.0  # 0: belief follows from plain doubt alone
    by_hand: bool = False  # doubt as it is before training
    anchored: bool = True


VARIANTS: Mapping[str, _Variant] = {
    WHOLE: _Variant(),
    "tracks without anchors": _Variant(anchored=False),
    "without the key frame": _Variant((_KEY, _MATCHED)),
    "without the previous frame": _Variant((_PREVIOUS,)),
    "without matching": _Variant((_MATCHED,)),
    "without scans": _Variant((_NONE,)),
    "without the belief network": _Variant(learned=0.0),
    NOTHING_LEARNED: _Variant((_MATCHED, _NONE), learned=0.0, by_hand=True),
}


@dataclass(frozen=True)
class PartsTable:
    """Every variant and the baselines on the same clips."""

    table: CarryTable

    def markdown(self) -> str:
        """One row a variant: PSNR ab, what it is beside the whole, flicker."""
        whole = self.table.psnr(WHOLE, EVERY)
        lines = [f"| carrying, K = {EVERY} | PSNR ab, dB | beside the whole | flicker |", "| --- | --- | --- | --- |"]
        for name in self.table.methods:
            found = self.table.psnr(name, EVERY)
            apart = "" if name == WHOLE else f"{found - whole:+.2f}"
            lines.append(f"| {name} | {found:.2f} | {apart} | {self.table.flicker(name, EVERY):.2f} |")
        clips = len(dict.fromkeys(score.clip for score in self.table.scores))
        return "\n".join([*lines, "", f"{clips} clips. {self.table.machine}"])

    def to_json(self) -> dict[str, Any]:
        """The carrying table as what `json.dumps` takes."""
        return self.table.to_json()


def run(folder: Path, limit: int | None = None, progress: Progress | None = None) -> PartsTable:
    """Carries a key every `EVERY` frames along the first frames of the clips of `folder`, of which `limit` keeps the
    first. Raises MediaError for an unreadable clip."""
    names = [path.stem for path in clip_paths(folder)[:limit]]
    methods = {name: _method(variant) for name, variant in VARIANTS.items()}
    table = bench.run(
        folder, EVERY, methods, frames=EVERY + 1, clips=names, with_baselines=(CHAIN, FRAME_BY_FRAME), progress=progress
    )
    return PartsTable(table)


def _method(variant: _Variant) -> bench.Carry:
    carrier = Carrier(fast_weights(_model(variant)), motion=MotionEstimator() if variant.anchored else _Unanchored())

    def method(lightness: Sequence[Floats], keys: Mapping[int, Floats], count: int) -> Iterator[tuple[int, Floats]]:
        for carried in carry(lightness.__getitem__, keys, 0, count, carrier=carrier):
            yield carried.index, carried.values

    return method


def _model(variant: _Variant) -> TemporalPropagationNetwork:
    model = _Switched(variant.without, variant.learned)
    model.load_state_dict(load_weights(weights_path("tpn-color"), expected_tensors(model)))
    if variant.by_hand:
        for doubt in (model.doubt_key, model.doubt_matched, model.doubt_previous):
            doubt.load_state_dict(Doubt().state_dict())
    return model
