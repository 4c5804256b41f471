"""The spatial propagation network for color: sparse hints and a luminance picture to a dense property.

Everything that depends on the picture alone (`describe`) is computed once; `fill` costs scans and a small network at
a quarter of the resolution, so that it can follow a brush.

    hints ─┬─ scan, full size ── scans, two passes, two gate sets, half ─┐
           └─ lookup: places that look alike, 1/16 size ──────────────┴─ correction, quarter size ─ draft and trust
    draft and trust, hints ── normalised scans, full size ── dense

Scans follow Liu et al. 2017 (three-way, four directions). Two things differ from the published network: the property is
carried together with its confidence and divided by it (normalised convolution, Knutsson and Westin 1993), which makes
the result a weighted mean of the hints; and the four directions are merged by learned weights instead of a maximum.
Scans go from neighbour to neighbour; the lookup takes color to where the picture looks the same, however far away (all
pairs, as in An and Pellacini 2008, with learned likeness).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kernels.scan import scan4
from kernels.threads import run_parts
from propagation.guidance import (
    Block,
    GateHead,
    Gates,
    Guidance,
    GuidanceConfig,
    conv,
    enlarge,
    halve,
    pad_to_stride,
    padded,
)
from propagation.lookup import Lookup

# Confidences decay by a factor per pixel; 1e-25 keeps ratios exact over any distance that float32 can carry.
TINY = 1e-25
# Colors enter networks divided by this (a* and b* reach about +-110).
AB_SCALE = 50.0
# What the correction may add to its opinions, in units of AB_SCALE.
LARGEST_CHANGE = 3.0


@dataclass(frozen=True)
class SpnConfig:
    """What the network is made of; the ablation (`propagation.bench.ablation`) leaves out one part at a time."""

    channels: int = 2  # of the property
    guidance: GuidanceConfig = GuidanceConfig(inputs=1)
    sets: int = 2  # gate sets of the first two passes: the correction sees two opinions
    heads: int = 2  # of the lookup; 0 leaves it out
    features: int = 32  # guidance features handed to the correction
    correct: tuple[int, int, int] | None = (48, 64, 96)  # its channels at 1/4, 1/8, 1/16; None: one answer for all
    enter: bool = True  # a pass at full size before all others: a hint spreads within its edges before sizes halve
    normalised: bool = True  # False: bare colors are carried, and not divided by how much arrives
    merge: Literal["learned", "max"] = "learned"  # "max", element by element, is the published one


@dataclass(frozen=True)
class Description:
    """What depends on the picture alone. Gate layout as `kernels.scan`; sizes are padded to `guidance.STRIDE`."""

    spread: Gates  # B, sets, 3, .. at half size
    settle: Gates  # B, 1, 3, ..
    merges: tuple[Tensor, Tensor, Tensor]  # of the three passes: B, sets, 4, H/2, W/2 twice, then B, 1, 4, H, W
    edges: Tensor | None  # B, 1, H, W: what the picture adds to the logit of a draft's trust
    likeness: Tensor | None  # B, heads, T, T: of each of T places (rows) to each other; columns lie together
    places: tuple[int, int]  # rows and columns of the T places
    features: Tensor  # B, features, H/4, W/4; none without correction


def merged_scan(x: Tensor, gates: Gates, merges: Tensor) -> Tensor:
    """One pass of four scans of (B, S K, H, W), merged by weights (B, S, 4, H, W) of S gate sets of K channels each; by
    their maximum where there are no weights."""
    if not merges.shape[1]:
        return scan4(x, gates, merge="max", norm="none", layout="scanned")
    return scan4(x, gates, merge="sum", weights=merges, norm="none", layout="scanned")


class Correction(nn.Module):
    """A small U-Net that sees what the scans and the lookup found and mends it."""

    def __init__(self, inputs: int, outputs: int, widths: tuple[int, int, int]) -> None:
        super().__init__()
        w0, w1, w2 = widths
        self.enter = conv(inputs, w0)
        self.down = nn.ModuleList([nn.Conv2d(w0, w1, 4, 2, 1), nn.Conv2d(w1, w2, 4, 2, 1)])
        self.bottom = Block(w2)
        self.middle = Block(w1)
        self.up = nn.ModuleList([conv(w2, w1, 1), conv(w1, w0, 1)])
        self.leave = conv(w0, w0)
        self.out = conv(w0, outputs)
        with torch.no_grad():
            self.out.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        # In place: none of these layers needs its own output once more.
        top = F.relu_(self.enter(x))
        second = F.relu_(self.down[0](top))
        third = self.bottom(F.relu_(self.down[1](second)))
        second = self.middle(enlarge(self.up[0](third)).add_(second))
        top = F.relu_(self.leave(enlarge(self.up[1](second)).add_(top)))
        out: Tensor = self.out(top)
        return out


class Verdict(nn.Module):
    """In place of the correction where that is left out: one answer for every pixel, (B, outputs, H, W)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.answer = nn.Parameter(torch.zeros(outputs, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.answer.expand(x.shape[0], -1, *x.shape[-2:])


class SpatialPropagationNetwork(nn.Module):
    """Dense property from sparse hints. Inputs: lightness L* (B, 1, H, W), 0 to 100; values (B, C, H, W); strength
    (B, 1, H, W), 0 to 1."""

    def __init__(self, config: SpnConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or SpnConfig()
        sets, heads, c, widths = config.sets, config.heads, config.channels, config.guidance.widths
        merges = 1 if config.merge == "learned" else 0
        self.guidance = Guidance(config.guidance)
        self.spread = GateHead(widths[0], sets, 2 * sets * merges)
        self.settle = GateHead(config.guidance.full, 1, merges)
        self.edges = conv(config.guidance.full, 1) if config.normalised else None
        self.lookup = Lookup(widths[3], heads) if heads else None
        self.features = conv(widths[1], config.features, 1) if config.correct else None
        opinions = sets + heads
        outputs = opinions + c + 2
        self.correction: Correction | Verdict = Verdict(outputs)
        if config.correct:
            self.correction = Correction(config.features + (opinions + 1) * (c + 1), outputs, config.correct)
        with torch.no_grad():
            if self.edges is not None:
                self.edges.weight.mul_(0.1)
            bias = self.correction.answer if isinstance(self.correction, Verdict) else self.correction.out.bias
            assert bias is not None
            bias.zero_()
            bias[sets:opinions] = -2.0  # scans first, the lookup where it has shown its worth

    def describe(self, lightness: Tensor) -> Description:
        """Guidance, gates, likeness and features of a picture."""
        found = self.guidance(pad_to_stride(lightness) / 50.0 - 1.0)
        spread, merges = self.spread(found.half)
        settle, last = self.settle(found.full)
        first, second = merges.chunk(2, 1) if merges.shape[1] else (merges, merges)
        edges = None if self.edges is None else self.edges(found.full).float()
        likeness, places = (None, (0, 0)) if self.lookup is None else self.lookup(found.sixteenth)
        features = found.quarter[:, :0] if self.features is None else self.features(found.quarter)
        return Description(spread, settle, (first, second, last), edges, likeness, places, features)

    def fill(self, picture: Description, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        """Carries the hints over the picture.

        Returns `values` (B, C, H, W); `reach` (B, 1, H, W): log10 of the confidence that arrived, 0 at a hint and
        falling with distance and across edges; `error` (B, 1, H, W): the expected absolute error in the property's
        units; and, where it is trained, `first` (B, sets, C, H/2, W/2) and `alike` (B, heads, C, H/4, W/4), padded:
        what the first passes and the lookup found.
        """
        if self._fuses(values):
            return self._fill_fused(picture, values, strength)
        h, w = values.shape[-2:]
        c = self.config.channels
        values, strength = pad_to_stride(values / AB_SCALE), _pad_zero(strength)
        hints = torch.cat([values * strength, strength], 1).float()  # B, C + 1, H, W
        first, log_amount = self._scan(picture, self._enter(picture, hints))
        tokens = F.adaptive_avg_pool2d(hints, picture.places) if self.lookup is not None else hints
        found = self._look_up(picture, tokens, (hints.shape[-2] // 4, hints.shape[-1] // 4))
        alike, log_alike = found.unflatten(1, (self.config.heads, c + 1)).split((c, 1), 2)
        marks = halve(halve(hints))
        clues = [
            halve(torch.cat([first.flatten(1, 2), log_amount / 8.0], 1)),
            alike.flatten(1, 2),
            log_alike[:, :, 0] / 8.0,
            marks[:, :c] / (marks[:, c:] + 1e-3),
            marks[:, c:].sqrt(),
        ]
        seen = torch.cat([picture.features, *(clue.to(picture.features.dtype) for clue in clues)], 1)
        mended = enlarge(self.correction(seen).float())  # at half size
        shares, change, doubts = mended.split((self.config.sets + self.config.heads, c, 2), 1)
        opinions = first
        if self.lookup is not None:
            opinions = torch.cat([first, enlarge(alike.flatten(1, 2)).unflatten(1, alike.shape[1:3])], 1)
        # Bounded, because one wild step of training would otherwise be paid for by all that follow.
        draft = (opinions * shares.softmax(1)[:, :, None]).sum(1) + change.clamp(-LARGEST_CHANGE, LARGEST_CHANGE)
        trust, error = doubts.split(1, 1)
        draft, trust, error = enlarge(torch.cat([draft, trust, F.softplus(error)], 1)).split((c, 1, 1), 1)
        draft = draft + (values - draft) * strength
        dense = self._settle(picture.settle, picture.merges[2], picture.edges, draft, trust, strength)
        out = {
            "values": dense[..., :h, :w] * AB_SCALE,
            "reach": self._reach(log_amount, strength)[..., :h, :w],
            "error": error[..., :h, :w] * AB_SCALE,
            "first": first * AB_SCALE,
        }
        return out if self.lookup is None else {**out, "alike": alike * AB_SCALE}

    def _fuses(self, values: Tensor) -> bool:
        """Whether `_fill_fused` can do what is asked: on a CPU, without gradients, with every part there is."""
        parts = self.config.normalised and self.config.merge == "learned" and self.lookup is not None
        return parts and values.device.type == "cpu" and values.dtype == torch.float32 and not torch.is_grad_enabled()

    def _fill_fused(self, picture: Description, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        """`fill` with what lies between scans and convolutions fused to passes over the rows."""
        from propagation.rows import spn as passes  # here because numba takes a second to import

        c, sets, heads = self.config.channels, self.config.sets, self.config.heads
        assert picture.edges is not None
        (b, _, h, w), (rows, columns) = values.shape, picture.edges.shape[-2:]
        carried = values.new_empty(b, sets * (c + 1), rows // 2, columns // 2)
        marks = values.new_empty(b, c + 1, rows // 4, columns // 4)
        _by_rows(passes.gather_rows, (values, strength), (carried, marks), b * rows // 4)
        if self.config.enter:
            hints = values.new_empty(b, c + 1, rows, columns)
            _by_rows(passes.hint_rows, (values, strength), (hints,), b * rows)
            spread = merged_scan(hints, picture.settle, picture.merges[2])
            _by_rows(passes.halve_rows, (spread,), (carried,), b * rows // 2)
        for merges in picture.merges[:2]:
            carried = merged_scan(carried, picture.spread, merges)
        amounts = carried.unflatten(1, (sets, c + 1))[:, :, c].clamp(min=TINY).log10_()
        found = self._look_up(picture, self._tokens(picture, values, strength, marks), (rows // 4, columns // 4))
        clues = marks.new_empty(b, rows // 4, columns // 4, (sets + heads + 1) * (c + 1)).permute(0, 3, 1, 2)
        _by_rows(passes.clue_rows, (carried, amounts, found, marks), (clues,), b * rows // 4)
        seen = torch.cat([picture.features, clues.to(picture.features.dtype)], 1)
        mended = self.correction(seen).float().contiguous()
        blended = values.new_empty(b, c + 2, rows // 2, columns // 2)
        _by_rows(passes.blend_rows, (carried, found, mended), (blended,), b * rows // 2)
        blended[:, c + 1] = F.softplus(blended[:, c + 1])
        weighted, error = values.new_empty(b, c + 1, rows, columns), torch.empty_like(strength)
        _by_rows(passes.weigh_rows, (blended, picture.edges, values, strength), (weighted, error), b * rows)
        settled = merged_scan(weighted, picture.settle, picture.merges[2])
        dense, reach = values.new_empty(b, h, w, c), torch.empty_like(strength)
        amount = amounts.mean(1, keepdim=True)
        _by_rows(passes.settle_rows, (settled, amount, strength), (dense, reach), b * h)
        return {"values": dense.permute(0, 3, 1, 2), "reach": reach, "error": error}

    def scan_alone(self, picture: Description, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        """As `fill` for a property (B, K, H, W) of any K and range that the correction was not trained on.

        Every value is a mean of hints, weighted by what reaches it. There is no learned `error`: it is how far apart
        the gate sets' results lie, as a mean absolute difference.
        """
        h, w = values.shape[-2:]
        values, strength = pad_to_stride(values), _pad_zero(strength)
        hints = self._enter(picture, torch.cat([values * strength, strength], 1).float())
        first, log_amount = self._scan(picture, hints)
        draft = first.mean(1)
        error = (first - draft[:, None]).abs().mean((1, 2))[:, None]
        draft, error = enlarge(draft), enlarge(error)
        draft = draft + (values - draft) * strength
        trust = torch.zeros_like(strength)
        dense = self._settle(picture.settle, picture.merges[2], picture.edges, draft, trust, strength)
        return {
            "values": dense[..., :h, :w],
            "reach": self._reach(log_amount, strength)[..., :h, :w],
            "error": error[..., :h, :w],
        }

    def refine(self, lightness: Tensor, draft: Tensor, values: Tensor, strength: Tensor) -> Tensor:
        """The last pass alone, over a draft (B, K, H, W) that was made at a smaller size: the draft, brought to the
        edges of the picture. values (B, K, H, W) of any range, of strength (B, 1, H, W)."""
        h, w = draft.shape[-2:]
        lightness, draft, values = (pad_to_stride(x) for x in (lightness, draft, values))
        strength = _pad_zero(strength)
        found = self.guidance(lightness / 50.0 - 1.0)
        settle, merges = self.settle(found.full)
        edges = None if self.edges is None else self.edges(found.full).float()
        draft = draft + (values - draft) * strength
        trust = torch.zeros_like(strength)
        return self._settle(settle, merges, edges, draft, trust, strength)[..., :h, :w]

    def forward(self, lightness: Tensor, values: Tensor, strength: Tensor) -> dict[str, Tensor]:
        return self.fill(self.describe(lightness), values, strength)

    def _enter(self, picture: Description, hints: Tensor) -> Tensor:
        """Hints (B, C + 1, H, W) at half size, spread before by the gates of the last pass."""
        return halve(merged_scan(hints, picture.settle, picture.merges[2]) if self.config.enter else hints)

    def _scan(self, picture: Description, hints: Tensor) -> tuple[Tensor, Tensor]:
        """Two passes of every gate set: what arrives (B, sets, C, h, w), and log10 of how much (B, sets, h, w)."""
        c, sets = hints.shape[1] - 1, self.config.sets
        carried = hints.repeat(1, sets, 1, 1)
        for merges in picture.merges[:2]:
            carried = merged_scan(carried, picture.spread, merges)
        weighted, amount = carried.unflatten(1, (sets, c + 1)).split((c, 1), 2)
        amount = amount.clamp(min=TINY)
        return weighted / amount if self.config.normalised else weighted, amount[:, :, 0].log10()

    def _settle(
        self, gates: Gates, merges: Tensor, edges: Tensor | None, draft: Tensor, trust: Tensor, strength: Tensor
    ) -> Tensor:
        """The last pass, at full size: the draft (B, C, H, W) weighs by the logit of its trust, hints by their own."""
        if edges is None:
            return merged_scan(draft, gates, merges)
        trust = torch.sigmoid(trust + edges) * (1.0 - strength) + strength
        weighted = torch.cat([draft * trust, trust], 1)
        settled, weight = merged_scan(weighted, gates, merges).split((draft.shape[1], 1), 1)
        return settled / weight.clamp(min=TINY)

    def _reach(self, log_amount: Tensor, strength: Tensor) -> Tensor:
        return enlarge(log_amount.mean(1, keepdim=True)) * (strength == 0)

    def _look_up(self, picture: Description, tokens: Tensor, size: tuple[int, int]) -> Tensor:
        """What is hinted at like places, (B, heads (C + 1), h, w) at `size`: of each head the property, and log10 of
        how much. tokens (B, C + 1, rows, columns): the hints' means in the places."""
        c = self.config.channels
        if picture.likeness is None:
            return tokens.new_zeros(tokens.shape[0], 0, *size)
        known, table = tokens.flatten(2), picture.likeness.transpose(2, 3)
        if not torch.is_grad_enabled() and tokens.device.type == "cpu":
            # Few places are hinted at while a person paints, and the others add nothing. A GPU takes them all: how many
            # there are would have to be waited for.
            hinted = known[:, c].amax(0).nonzero()[:, 0]
            known, table = known[:, :, hinted], table[:, :, hinted]
        # Not in 16 bits: turning the whole table would take longer than the product.
        with torch.autocast(tokens.device.type, enabled=False):
            weighted, amount = (known[:, None] @ table).split((c, 1), 2)  # B, heads, .., T
        amount = amount.clamp(min=TINY)
        found = torch.cat([weighted / amount, amount.log10()], 2).flatten(1, 2).unflatten(2, picture.places)
        return F.interpolate(found, size, mode="bilinear", align_corners=False)

    def _tokens(self, picture: Description, values: Tensor, strength: Tensor, marks: Tensor) -> Tensor:
        """Means of hints in the lookup's places, from those at quarter size where these divide them."""
        if (marks.shape[-2] // 4, marks.shape[-1] // 4) == picture.places:
            return F.adaptive_avg_pool2d(marks, picture.places)
        hints = torch.cat([values / AB_SCALE * strength, strength], 1)
        return F.adaptive_avg_pool2d(_pad_zero(hints), picture.places)


def _by_rows(kernel: Callable[..., None], inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], rows: int) -> None:
    """One of `propagation.rows.spn` over all rows, which the threads share."""
    arrays = tuple(x.numpy() for x in (*inputs, *outputs))
    run_parts(kernel, arrays, rows, outputs[0].numel())


def _pad_zero(x: Tensor) -> Tensor:
    h, w = x.shape[-2:]
    return F.pad(x, (0, padded(w) - w, 0, padded(h) - h))
