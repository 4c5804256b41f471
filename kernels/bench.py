"""Measures the scans beside memory streams and torch loops: everything in one run, contestants taking turns.

Every contestant allocates its own outputs, as an operator of torch does; the streams too, in the same shapes, because
the allocator decides by size and history whether memory is fresh pages, which cost as much as a scan. Each turn is two
calls in a row of which the second is timed, so that what the contestant before left in the allocator does not count.

A time is the fastest of all turns. A share of the stream or a multiple of the loop is the median over the turns of the
ratio within one turn: a machine that changes its speed between turns changes both sides of it. A variant whose values
or gradients differ from the torch loop's gets no time.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from kernels.cpu import empty_like
from kernels.scan import DIRECTIONS, Direction, Layout, line_scan, scan4
from kernels.threads import get_threads, run_parts

SIZES = ((32, 256, 512), (32, 480, 854))  # planes with gates of their own, rows, columns
INTERACTIVE = (3, 480, 854)  # channels under one set of gates a direction
TOLERANCE = 1e-4  # relative L2 error that still earns a time
FORWARD_FLOOR, BACKWARD_FLOOR, IMAGE_FLOOR = 0.6, 0.5, 0.25  # of the stream's speed
LOOP_FLOOR, NORM_FLOOR, INTERACTIVE_FLOOR = 8.0, 1.3, 0.25
_TURNS, _LOOP_TURNS = 9, 5  # the torch loops are slow: fewer turns must do
_STREAMS = {"forward": "4 reads, 1 write", "backward": "6 reads, 4 writes"}
_PAST = ", past the cache"

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Row:
    """One variant: its times turn by turn (none if its relative error forbids them) and those of its rivals."""

    size: tuple[int, int, int]
    direction: str
    variant: str
    times_ms: tuple[float, ...]
    stream_ms: tuple[float, ...]
    loop_ms: tuple[float, ...]
    floor: float
    error: float
    past_ms: tuple[float, ...] = ()  # of a stream that stores past the cache

    @property
    def ms(self) -> float | None:
        """Fastest time."""
        return min(self.times_ms, default=None)

    @property
    def of_stream(self) -> float | None:
        """Speed as a share of the stream's."""
        return _ratio(self.stream_ms, self.times_ms)

    @property
    def times_loop(self) -> float | None:
        """Speed as a multiple of the torch loop's."""
        return _ratio(self.loop_ms, self.times_ms)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain types."""
        return asdict(self) | {"ms": self.ms, "of_stream": self.of_stream, "times_loop": self.times_loop}


@dataclass(frozen=True)
class KernelTable:
    """What `run` measured; `machine` is a line that names it."""

    machine: str
    threads: int
    rows: tuple[Row, ...]
    interactive_ms: tuple[float, ...]  # turn by turn, none if the values are wrong
    yardstick_ms: tuple[float, ...]

    @property
    def interactive_share(self) -> float | None:
        """Time of the interactive case as a share of the yardstick's."""
        return _ratio(self.interactive_ms, self.yardstick_ms)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain types."""
        rows = [r.to_json() for r in self.rows]
        return asdict(self) | {"rows": rows, "normalisation": self.normalisation(),
                               "interactive_share": self.interactive_share}

    def normalisation(self) -> dict[str, float]:
        """Size and direction -> time of normalising and scanning over that of scanning alone."""
        found = {(r.size, r.direction, r.variant): r.times_ms for r in self.rows}
        ratios = {}
        for (size, direction, variant), alone in found.items():
            ratio = _ratio(found.get((size, direction, "forward, normalised"), ()), alone)
            if variant == "forward" and ratio is not None:
                ratios[f"{_title(size)} {direction}"] = ratio
        return ratios

    def past_streams(self) -> dict[str, tuple[float, float]]:
        """Stream -> least and greatest speed of its twin that stores past the cache, as a multiple of its own."""
        found: dict[str, list[float]] = {}
        for r in self.rows:
            ratio = _ratio(r.stream_ms, r.past_ms)
            if ratio is not None:
                found.setdefault(_STREAMS[_way(r.variant)], []).append(ratio)
        return {name: (min(ratios), max(ratios)) for name, ratios in found.items()}

    def markdown(self) -> str:
        """The tables of the README."""
        lines = [self.machine + f"; {self.threads} threads", ""]
        lines += ["| size | direction | variant | ms | of the stream | times the torch loop |", "| --- " * 6 + "|"]
        for r in self.rows:
            if r.ms is None:
                cells = f"wrong by {r.error:.1e} | - | -"
            else:
                floor = f" (floor {r.floor:.0%})"
                loop_floor = "" if "plain" in r.variant else f" (floor {LOOP_FLOOR:.0f})"
                cells = f"{r.ms:.2f} | {r.of_stream:.0%}{floor} | {r.times_loop:.1f}{loop_floor}"
            lines.append(f"| {_title(r.size)} | {r.direction} | {r.variant} | {cells} |")
        ratios = self.normalisation().values()
        if ratios:
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            lines += ["", f"Normalise and scan over scan alone: {spread} (at most {NORM_FLOOR})"]
        past = [f"{name} {low:.1f} to {high:.1f}" for name, (low, high) in self.past_streams().items()]
        if past:
            lines += ["", f"Streams that store past the cache, times the speed of the stream: {'; '.join(past)}"]
        if self.interactive_ms:
            text = f"{INTERACTIVE[0]} channels, {INTERACTIVE[2]}x{INTERACTIVE[1]}, shared gates, four directions merged"
            lines += ["", f"{text}: {min(self.interactive_ms):.2f} ms"]
            if self.interactive_share is not None:
                call = f"one DIS call of {min(self.yardstick_ms):.1f} ms (at most {INTERACTIVE_FLOOR})"
                lines[-1] += f", {self.interactive_share:.2f} of {call}"
        return "\n".join(lines)


def run(machine: str = "", yardstick: Callable[[], float] | None = None, progress: Progress | None = None,
        sizes: Sequence[tuple[int, int, int]] = SIZES, interactive: tuple[int, int, int] = INTERACTIVE,
        turns: int = _TURNS) -> KernelTable:
    """Measures every size in every direction, and the interactive case beside `yardstick` (which returns ms)."""
    rows: list[Row] = []
    steps = [(size, direction) for size in sizes for direction in DIRECTIONS]
    for done, (size, direction) in enumerate(steps):
        if progress is not None:
            progress(done, len(steps) + 1, f"{_title(size)} {direction}")
        rows += _measure(size, direction, turns)
    if progress is not None:
        progress(len(steps), len(steps) + 1, "interactive")
    times = _interactive(interactive, yardstick, turns)
    return KernelTable(machine, get_threads(), tuple(rows), *times)


def torch_loop(x: Tensor, weights: Tensor, direction: Direction) -> Tensor:
    """The scan as torch alone does it best: what does not depend on h hoisted, lines outermost, `unbind`, `addcmul`.

    weights (B, C, 3, ..) are normalised and in the order of the scan.
    """
    axis = 3 if direction in ("left_to_right", "right_to_left") else 2
    first, _, third = weights.unbind(2)
    inside = torch.ones(weights.shape[-1], dtype=x.dtype)
    first = first * torch.cat([inside[:1] * 0, inside[1:]])
    third = third * torch.cat([inside[:-1], inside[:1] * 0])
    middle = weights.unbind(2)[1]
    own = (1 - first - middle - third) * x.movedim(axis, 2)
    lines = list(zip(x.unbind(axis), own.unbind(2), first.unbind(2), middle.unbind(2), third.unbind(2), strict=True))
    if direction in ("right_to_left", "bottom_to_top"):
        lines.reverse()
    h = lines[0][0]
    out = [h]
    for _, own_line, p1, p2, p3 in lines[1:]:
        wide = F.pad(h, (1, 1))
        h = torch.addcmul(own_line, p1, wide[..., :-2]).addcmul(p2, h).addcmul(p3, wide[..., 2:])
        out.append(h)
    if direction in ("right_to_left", "bottom_to_top"):
        out.reverse()
    return torch.stack(out, axis)


def _measure(size: tuple[int, int, int], direction: Direction, turns: int) -> list[Row]:
    """All variants of one size and direction."""
    generator = torch.Generator().manual_seed(0)
    channels, height, width = size
    horizontal = direction in ("left_to_right", "right_to_left")
    x = torch.randn(1, channels, height, width, generator=generator).requires_grad_()
    top = torch.randn(x.shape, generator=generator)
    raw = torch.randn(1, channels, 3, *((width, height) if horizontal else (height, width)), generator=generator)
    weights = (raw / raw.abs().sum(2, keepdim=True).clamp(min=1.0)).requires_grad_()
    image = weights.detach().transpose(-1, -2).contiguous().requires_grad_() if horizontal else weights

    def scan(gates: Tensor, norm: Any = "none", layout: Layout = "scanned") -> Callable[[], Tensor]:
        return lambda: line_scan(x, gates, direction, norm=norm, layout=layout)

    forwards = {"forward": scan(weights), "forward, normalised": scan(raw.detach(), "max1")}
    if horizontal:
        forwards["forward, plain NCHW gates"] = scan(image, "none", "image")
    expected = torch_loop(x, weights, direction)
    wanted = _retained(expected, (x, weights), top)
    errors = {name: _error(call(), expected) for name, call in forwards.items()}
    backwards = {}
    for name, gates in (("backward", weights), ("backward, plain NCHW gates", image)):
        if name == "backward" or horizontal:
            backwards[name], errors[name] = _backward(forwards[name.replace("back", "for")], x, gates, top, wanted)
    loops: dict[str, Callable[[], object]] = {
        "forward": torch.no_grad()(lambda: torch_loop(x, weights, direction)),
        "backward": lambda: _retained(expected, (x, weights), top),
    }
    times, loop_times = _race({**_streams(x.detach(), raw), **forwards, **backwards}, loops, turns)
    rows = []
    for name in errors:
        way = _way(name)
        floor = IMAGE_FLOOR if "plain" in name else FORWARD_FLOOR if way == "forward" else BACKWARD_FLOOR
        own = times[name] if errors[name] < TOLERANCE else ()
        rows.append(Row(size, direction, name, own, times[_STREAMS[way]], loop_times[way], floor, errors[name],
                        times.get(_STREAMS[way] + _PAST, ())))
    return rows


def _way(variant: str) -> str:
    return "forward" if variant.startswith("forward") else "backward"


def _retained(out: Tensor, leaves: tuple[Tensor, ...], top: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(out, leaves, top, retain_graph=True)


def _backward(forward: Callable[[], Tensor], x: Tensor, gates: Tensor, top: Tensor,
              wanted: tuple[Tensor, ...]) -> tuple[Callable[[], object], float]:
    """A call that runs one backward scan, and its error."""
    h = forward()
    gx, gg = _retained(h, (x, gates), top)
    if gg.shape != wanted[1].shape:
        gg = gg.transpose(-1, -2)
    return lambda: _retained(h, (x, gates), top), max(_error(gx, wanted[0]), _error(gg, wanted[1]))


def _streams(x: Tensor, gates: Tensor) -> dict[str, Callable[[], object]]:
    """Loops that read and write as much as a scan of x, on as many threads, and allocate their outputs as it does.

    One of each stores as loops are compiled to, which is what a share of the stream means; the other past the cache.
    """
    from kernels import cpu_streams
    from kernels.vector import TILE

    def flat(tensor: Tensor) -> list[Any]:
        return list(tensor.view(-1, x.numel()).numpy())

    reads = [*flat(x.clone()), *flat(gates.clone()), *flat(x.clone()), *flat(x.clone())]

    def stream(kernel: Callable[..., None], inputs: int, past: bool, *like: Tensor) -> Callable[[], object]:
        def call() -> None:
            outs = [part for tensor in like for part in flat(empty_like(tensor))]
            run_parts(kernel, (*reads[:inputs], *outs, past), x.numel() // TILE, x.numel())

        return call

    calls = {}
    for past in (False, True) if x.numel() % TILE == 0 else (False,):
        name = _PAST if past else ""
        calls[_STREAMS["forward"] + name] = stream(cpu_streams.read4_write1, 4, past, x)
        calls[_STREAMS["backward"] + name] = stream(cpu_streams.read6_write4, 6, past, x, gates)
    return calls


def _interactive(size: tuple[int, int, int], yardstick: Callable[[], float] | None,
                 turns: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Times in ms of four merged scans under shared gates (none if wrong), and of the yardstick, turn by turn."""
    generator = torch.Generator().manual_seed(1)
    channels, height, width = size
    x = torch.rand(1, channels, height, width, generator=generator)
    shapes = [(width, height)] * 2 + [(height, width)] * 2
    gates = [torch.rand(1, 4, *shape, generator=generator).softmax(1)[:, None, :3].contiguous() for shape in shapes]
    merges = torch.rand(1, 1, 4, height, width, generator=generator).softmax(2)

    def call() -> Tensor:
        return scan4(x, gates, merge="sum", weights=merges, norm="none", layout="scanned")

    loops = [torch_loop(x, g.expand(-1, channels, -1, -1, -1), d) for g, d in zip(gates, DIRECTIONS, strict=True)]
    expected = (torch.stack(loops, 2) * merges).sum(2)
    right = _error(call(), expected) < TOLERANCE
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(_second(call))
        if yardstick is not None:
            theirs.append(yardstick())
    return tuple(ours) if right else (), tuple(theirs)


def _race(calls: dict[str, Callable[[], object]], loops: dict[str, Callable[[], object]],
          turns: int) -> tuple[dict[str, tuple[float, ...]], dict[str, tuple[float, ...]]]:
    """Times in ms of every call and, in the first turns, of every loop: each once a turn, one after the other."""
    times: dict[str, tuple[float, ...]] = dict.fromkeys(calls, ())
    loop_times: dict[str, tuple[float, ...]] = dict.fromkeys(loops, ())
    for turn in range(turns):
        for name, call in calls.items():
            times[name] += (_second(call),)
        for name, call in loops.items() if turn < _LOOP_TURNS else ():
            loop_times[name] += (_second(call),)
    return times, loop_times


def _second(call: Callable[[], object]) -> float:
    """Time in ms of the second of two calls in a row."""
    call()
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def _ratio(theirs: Sequence[float], ours: Sequence[float]) -> float | None:
    """Median over the turns that both took of theirs / ours; None without such turns."""
    ratios = [a / b for a, b in zip(theirs, ours, strict=False)]
    return statistics.median(ratios) if ratios else None


def _error(got: Tensor, wanted: Tensor) -> float:
    """Relative L2 error."""
    got, wanted = got.detach(), wanted.detach()
    return float((got - wanted).norm() / wanted.norm())


def _title(size: tuple[int, int, int]) -> str:
    return "x".join(map(str, size))
