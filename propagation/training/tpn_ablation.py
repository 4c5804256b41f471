"""What training both ways and the switch bring the published temporal network, for `propagation.bench.ablation`.

The switch is about style energy, |U|^2: whether colors keep their strength on the way, and come back as they went. So
beside PSNR the columns say how much of the truth's energy arrives, and what a key looks like that was carried to
another frame and back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import nn

from propagation.bench.ablation import Train
from propagation.bench.protocol import Floats, clip_paths, read_clip
from propagation.guidance import STRIDE
from propagation.published.tpn import SWITCHES, PublishedTpn, Switch
from propagation.training import tpn_published
from propagation.training.loop import Run
from propagation.training.tpn_published import SCORED_DISTANCES, Pairs, TpnPublishedRecipe, pairs_of, score_pairs

FOLDERS = tpn_published.FOLDERS
# The judge carries from frame 0 of each clip, in a square of its middle: whole frames would take longer than training.
JUDGED_SIDE = 320


def variants(data: Path, cache: Path, minutes: float) -> dict[str, Train]:
    """One network a switch, the shipped one first; frames of the clips under `data` are kept in `cache`."""
    return {switch: partial(_train, data, cache, minutes, switch) for switch in reversed(SWITCHES)}


def _train(
    data: Path, cache: Path, minutes: float, switch: Switch, folder: Path, say: Callable[[str], None]
) -> tuple[Run, dict[str, float]]:
    recipe = TpnPublishedRecipe()
    loop = replace(recipe.loop, minutes=minutes, score_every_s=float("inf"))
    recipe = replace(recipe, loop=loop, model=replace(recipe.model, switch=switch))
    trained, _ = tpn_published.train(data, folder, recipe, cache=cache, say=say)
    return trained, {}


def judge(models: Mapping[str, nn.Module], folders: Sequence[Path], limit: int | None) -> dict[str, dict[str, float]]:
    """Scores on pairs of frames of the clips of `folders`, as columns by their distance in frames.

    `limit` keeps the first clips of each folder. Raises MediaError for an unreadable clip.
    """
    clips = [path for folder in folders for path in clip_paths(folder)[:limit]]
    pairs: dict[int, list[Pairs]] = {distance: [] for distance in SCORED_DISTANCES}
    for path in clips:
        for distance, pair in clip_pairs(read_clip(path, max(SCORED_DISTANCES) + 1)):
            pairs[distance].append(pair)
    table: dict[str, dict[str, float]] = {}
    for name, model in models.items():
        assert isinstance(model, PublishedTpn)
        found = {distance: score_pairs(model, each) for distance, each in pairs.items() if each}
        table[name] = {f"PSNR ab, {d} on": score.psnr for d, score in found.items()}
        for d, score in found.items():
            if d != SCORED_DISTANCES[1]:
                table[name] |= {
                    f"{d} back": score.psnr_back,
                    f"{d} on and back": score.round_trip,
                    f"% of the truth's energy, {d} on": 100 * score.energy_ratio,
                    f"off by, %, {d} on": 100 * score.energy,
                }
    return table


def clip_pairs(frames: Sequence[Floats]) -> Iterator[tuple[int, Pairs]]:
    """(distance, pair) of a clip's Lab frames (H, W, 3): their middle, in multiples of the network's stride."""
    sides = [min(side - side % STRIDE, JUDGED_SIDE) for side in frames[0].shape[:2]]
    middle = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(frames[0].shape[:2], sides, strict=True))
    for distance in SCORED_DISTANCES:
        if distance < len(frames):
            yield distance, pairs_of([(frames[0][middle], frames[distance][middle])])
