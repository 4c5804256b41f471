"""Recipe `tpn-published`: the temporal propagation network as published, on pairs of frames of natural clips.

A pair is trained both ways at once: its property carried from the first frame to the second by what the network sees,
and from the second to the first by the switch of the very same gates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from propagation.bench.protocol import psnr, to_lab
from propagation.precision import channels_last, fast_convolutions
from propagation.published.tpn import PublishedTpn, PublishedTpnConfig
from propagation.spn import AB_SCALE
from propagation.training.clips import Pictures, clip_paths, sequences
from propagation.training.loop import LoopConfig, Run
from propagation.training.losses import mean_squared

Floats = NDArray[np.float32]

NAME = "tpn-published"
FOLDERS = ("clips",)

# Every 23rd sequence never trains, as for the network that the program uses.
HELD_OUT_EVERY = 23
# Distances between the frames of the pairs that are scored, where they begin in a sequence, and their side in pixels.
SCORED_DISTANCES = (1, 5, 20)
SCORED_STARTS = (0, 3)
SCORED_SIZE = 256


@dataclass(frozen=True)
class TpnPublishedRecipe:
    loop: LoopConfig = LoopConfig(minutes=10, rate=2e-3, warm_up=50)
    model: PublishedTpnConfig = PublishedTpnConfig()
    workers: int = 2
    batch: int = 3  # pairs a worker
    size: int = 144
    length: int = 24
    per_clip: int = 4
    way_back: float = 1.0  # weight of the way from the second frame to the first


@dataclass(frozen=True)
class Pairs:
    """first, second: L* (B, 1, H, W); of_first, of_second: a*, b* (B, 2, H, W)."""

    first: Tensor
    second: Tensor
    of_first: Tensor
    of_second: Tensor


def draw(material: Sequence[Pictures], batch: int, size: int, rng: np.random.Generator) -> Pairs:
    """Random pairs of the same place at any distance in time the sequences allow, either frame first."""
    frames: list[tuple[Floats, Floats]] = []
    for _ in range(batch):
        sequence = material[int(rng.integers(len(material)))]
        one, other = rng.choice(len(sequence), 2, replace=False)
        height, width = sequence.shape[1:3]
        y, x = int(rng.integers(max(1, height - size + 1))), int(rng.integers(max(1, width - size + 1)))
        turn, saturation = (1, -1)[int(rng.integers(2))], rng.uniform(0.7, 1.3)
        scale = np.array((1, saturation, saturation), np.float32)
        first, second = (_crop(sequence[t], y, x, size)[:, ::turn] * scale for t in (one, other))
        frames.append((first, second))
    return pairs_of(frames)


def _crop(picture: Pictures, y: int, x: int, size: int) -> Floats:
    """(size, size, 3) CIE Lab; what a smaller picture lacks repeats its edge."""
    crop = np.ascontiguousarray(picture[y : y + size, x : x + size])
    lacks = [(0, size - side) for side in crop.shape[:2]]
    return to_lab(np.pad(crop, (*lacks, (0, 0)), mode="edge"))


def pairs_of(frames: Sequence[tuple[Floats, Floats]]) -> Pairs:
    """A batch of pairs of CIE Lab pictures (H, W, 3), all of one size."""
    stacks = (np.stack([pair[side] for pair in frames]).transpose(0, 3, 1, 2) for side in (0, 1))
    first, second = (torch.from_numpy(np.ascontiguousarray(stack, np.float32)) for stack in stacks)
    return Pairs(first[:, :1], second[:, :1], first[:, 1:], second[:, 1:])


def loss_of(
    model: PublishedTpn, material: Sequence[Pictures], recipe: TpnPublishedRecipe, rng: np.random.Generator
) -> Tensor:
    """|G_AB U_A - U_B|^2 + way_back |G_BA U_B - U_A|^2; without the second where the network is trained one way."""
    pairs = draw(material, recipe.batch, recipe.size, rng)
    with fast_convolutions():
        if model.config.switch == "one-way":
            there = model(pairs.first, pairs.second, pairs.of_first)
            return mean_squared(there / AB_SCALE, pairs.of_second / AB_SCALE)
        there, back = model.both(pairs.first, pairs.second, pairs.of_first, pairs.of_second)
    loss = mean_squared(there / AB_SCALE, pairs.of_second / AB_SCALE)
    return loss + recipe.way_back * mean_squared(back / AB_SCALE, pairs.of_first / AB_SCALE)


def held_out_pairs(material: Sequence[Pictures], distance: int) -> Pairs:
    """Two pairs of frames `distance` apart, of the middle of every sequence that is long enough."""
    frames = []
    for sequence in material:
        height, width = sequence.shape[1:3]
        place = (max(0, (height - SCORED_SIZE) // 2), max(0, (width - SCORED_SIZE) // 2), SCORED_SIZE)
        for start in SCORED_STARTS:
            if start + distance < len(sequence):
                frames.append((_crop(sequence[start], *place), _crop(sequence[start + distance], *place)))
    return pairs_of(frames)


@dataclass(frozen=True)
class PairScore:
    """How a network does on pairs of frames. `psnr`, `psnr_back`: PSNR ab in dB of the second frame from the
    first, and of the first from the second. `energy`: mean over pairs of |ln(|ab|^2 / |true ab|^2)| of the way there.
    `energy_ratio`: exp of the mean of the logarithm, below 1 where colors wash out. `round_trip`: PSNR ab of the first
    frame's colors carried there and back against themselves."""

    psnr: float
    psnr_back: float
    energy: float
    energy_ratio: float
    round_trip: float


def score_pairs(model: PublishedTpn, batches: Sequence[Pairs]) -> PairScore:
    """Scores over all pairs of some batches, of any sizes; squared errors are pooled."""
    errors: list[tuple[float, float, float]] = []
    logs: list[float] = []
    with torch.inference_mode(), fast_convolutions():
        for pairs in batches:
            there, back = model.both(pairs.first, pairs.second, pairs.of_first, pairs.of_second)
            _, returned = model.both(pairs.first, pairs.second, pairs.of_first, there)
            wanted = ((there, pairs.of_second), (back, pairs.of_first), (returned, pairs.of_first))
            errors += zip(*(_squared_errors(ours, truth) for ours, truth in wanted), strict=True)
            logs += _log_energy_ratios(there, pairs.of_second)
    psnr_there, psnr_back, round_trip = (psnr(float(np.mean(each))) for each in zip(*errors, strict=True))
    energy, ratio = float(np.mean(np.abs(logs))), math.exp(float(np.mean(logs)))
    return PairScore(psnr_there, psnr_back, energy, ratio, round_trip)


def _squared_errors(ours: Tensor, truth: Tensor) -> list[float]:
    """Mean squared error of every picture of a batch."""
    found: list[float] = ((ours.double() - truth) ** 2).mean((1, 2, 3)).tolist()
    return found


def _log_energy_ratios(ours: Tensor, truth: Tensor) -> list[float]:
    """ln(|ours|^2 / |truth|^2) of every picture of a batch that has colors in both."""
    energies = [(x.double() ** 2).sum((1, 2, 3)).tolist() for x in (ours, truth)]
    return [math.log(o / t) for o, t in zip(*energies, strict=True) if o > 0 and t > 0]


def score(model: nn.Module, held_out: Sequence[Pictures]) -> dict[str, float]:
    """PSNR ab and style energy on pairs of sequences that never train, by their distance."""
    assert isinstance(model, PublishedTpn)
    model.eval()
    result: dict[str, float] = {}
    for distance in SCORED_DISTANCES:
        found = score_pairs(model, [held_out_pairs(held_out, distance)])
        result |= {f"PSNR ab at {distance}": found.psnr, f"energy at {distance}": found.energy}
    model.train()
    return result


def split(material: Sequence[Pictures]) -> tuple[list[Pictures], list[Pictures]]:
    """Sequences to train on, and those that never train."""
    return [m for i, m in enumerate(material) if i % HELD_OUT_EVERY], list(material[::HELD_OUT_EVERY])


def train(
    data: Path,
    folder: Path,
    recipe: TpnPublishedRecipe | None = None,
    *,
    cache: Path | None = None,
    say: Callable[[str], None] = print,
) -> tuple[Run, dict[str, float]]:
    """Trains (or goes on training) in `folder` from the data collection `data`; returns the run and its last scores.

    `cache`: where decoded frames are kept, beside the run unless told. `say` takes a line at every score.
    """
    recipe = recipe or TpnPublishedRecipe()
    cache = cache or folder.parent / "frames"
    torch.manual_seed(recipe.loop.seed)
    training, held_out = split(sequences(clip_paths(data / "clips"), cache, recipe.length, recipe.per_clip))
    model, twin = (channels_last(PublishedTpn(recipe.model)) for _ in range(2))
    run = Run(model, folder, recipe.loop)
    losses = [lambda rng: loss_of(model, training, recipe, rng)] * recipe.workers
    scores = run.train(losses, lambda m: score(m, held_out), twin, say)
    run.average_into(model)
    return run, scores
