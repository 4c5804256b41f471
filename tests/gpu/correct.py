"""Every variant of the CUDA kernels on a GPU against the literal loop in float64, and the ways they are launched."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from kernels import cuda, cuda_device, cuda_match, reference
from kernels import cuda_plan as plan
from kernels.scan import DIRECTIONS, line_scan
from propagation.alignment import CLUES
from propagation.device_tracker import ANCHOR, STEP, DeviceTracker
from propagation.matching import match
from propagation.patch_flow import search, search_by_operations
from propagation.precision import channels_last, fast_convolutions
from tests.gpu import columns
from tests.gpu.pipeline import frames, light_clip
from tests.kernels.test_cuda import CASES, GRADIENT_TOLERANCE, NORMS, VALUE_TOLERANCE, WAYS, relative, wide

# Beyond those that fit the CPU: the sizes of the work itself.
LARGE = [
    ((2, 8, 256, 512), 8, 1, 227 << 10),
    ((1, 3, 480, 854), 1, 1, 227 << 10),
    ((1, 2, 1080, 1920), 2, 99, 227 << 10),
]
FRAME = (480, 854)  # of the checks of tracker and light


def make(shape: tuple[int, ...], groups: int, scanned: bool, norm: str,
         dtype: torch.dtype) -> tuple[Tensor, list[Tensor]]:
    """Random x and gates of the four ways, on the GPU."""
    generator = torch.Generator("cuda").manual_seed(0)
    b, _, h, w = shape
    x = torch.randn(shape, device="cuda", generator=generator).to(dtype)
    scale = 0.3 if norm == "none" else 1.0
    sizes = [(w, h) if horizontal and scanned else (h, w) for horizontal, _ in WAYS]
    return x, [(torch.randn(b, groups, 3, *s, device="cuda", generator=generator) * scale).to(dtype) for s in sizes]


def check_all() -> Iterator[tuple[str, float, float]]:
    """Yields name, worst relative L2 error and its bound for every check; nothing is raised on a wrong value."""
    device = cuda_device.device(torch.cuda.current_device())
    real = device.processors, device.shared_limit
    try:
        for number, (shape, groups, processors, limit) in enumerate([*CASES, *LARGE]):
            device.processors, device.shared_limit = processors, min(limit, real[1])
            for dtype in cuda.STORAGE:
                if (shape, groups, processors, limit) in LARGE and dtype == torch.float64:
                    continue
                for scanned in (True, False):
                    norm = NORMS[(number + scanned) % 3]
                    name = f"{'x'.join(map(str, shape))} {dtype} {norm} {'scanned' if scanned else 'image'}"
                    yield from _check(name, shape, groups, scanned, norm, dtype)
    finally:
        device.processors, device.shared_limit = real
    for check in (_on_a_stream, _in_a_graph, _merges, _columns, _match, _patches, _tracker, _light, _network):
        yield from check()


def _check(name: str, shape: tuple[int, ...], groups: int, scanned: bool, norm: str,
           dtype: torch.dtype) -> Iterator[tuple[str, float, float]]:
    x, gates = make(shape, groups, scanned, norm, dtype)
    tops = [torch.randn_like(x) for _ in WAYS]
    hs = cuda.forward(x, gates, WAYS, norm, scanned)
    want = reference.forward(x.double(), wide(gates), WAYS, norm, scanned)
    yield f"{name} forward", _worst(hs, want), VALUE_TOLERANCE[dtype]
    gxs, ggs = cuda.backward(tops, x, gates, hs, WAYS, norm, scanned)
    want_gxs, want_ggs = reference.backward(wide(tops), x.double(), wide(gates), wide(hs), WAYS, norm, scanned)
    yield f"{name} backward", _worst([*gxs, *ggs], [*want_gxs, *want_ggs]), GRADIENT_TOLERANCE[dtype]
    yield f"{name} adjoint", _worst(cuda.adjoint(tops, gates, WAYS, norm, scanned), gxs), 2 * VALUE_TOLERANCE[dtype]


def _worst(got: list[Tensor], want: list[Tensor]) -> float:
    errors = [relative(a, b) for a, b in zip(got, want, strict=True)]
    return max(error if error == error else float("inf") for error in errors)


def _on_a_stream() -> Iterator[tuple[str, float, float]]:
    """Work queued behind slow work on a stream of its own must wait for it."""
    x, gates = make((1, 4, 300, 400), 4, True, "max1", torch.float32)
    want = cuda.forward(x, gates, WAYS, "max1", True)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        late = torch.zeros_like(x)
        torch.cuda._sleep(20_000_000)
        late.copy_(x)
        got = cuda.forward(late, gates, WAYS, "max1", True)
    torch.cuda.current_stream().wait_stream(side)
    yield "on a stream of its own", _worst(got, want), 1e-12


def _in_a_graph() -> Iterator[tuple[str, float, float]]:
    x, gates = make((1, 4, 120, 160), 4, True, "max1", torch.float32)
    cuda.forward(x, gates, WAYS, "max1", True)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = cuda.forward(x, gates, WAYS, "max1", True)
    x.mul_(2)
    graph.replay()
    yield "replayed from a CUDA graph", _worst(got, cuda.forward(x, gates, WAYS, "max1", True)), 1e-12


def _merges() -> Iterator[tuple[str, float, float]]:
    for dtype in cuda.STORAGE:
        x, gates = make((2, 6, 37, 41), 3, True, "max1", dtype)
        w = torch.rand(2, 3, 4, 37, 41, device="cuda").to(dtype)
        hs = cuda.forward(x, gates, WAYS, "max1", True)
        tops, gw = cuda.split(x, hs, w)
        want_tops, want_gw = reference.split(x.double(), wide(hs), w.double())
        merged = reference.merge(wide(hs), w.double())
        yield f"merge {dtype}", _worst([cuda.merge(hs, w)], [merged]), VALUE_TOLERANCE[dtype]
        yield f"split {dtype}", _worst([*tops, gw], [*want_tops, want_gw]), VALUE_TOLERANCE[dtype]
    x, gates = make((1, 2, 33, 45), 1, True, "max1", torch.float64)
    leaves = x.requires_grad_(), gates[0].requires_grad_()
    got, want = (torch.autograd.grad(line_scan(*leaves, DIRECTIONS[0], layout="scanned", backend=backend).sum(), leaves)
                 for backend in ("cuda", "reference"))
    yield "autograd", _worst(list(got), list(want)), 1e-12


def _columns() -> Iterator[tuple[str, float, float]]:
    """The kernels that ours are raced against must be right too."""
    device = cuda_device.device(torch.cuda.current_device())
    x, gates = make((1, 2, 33, 45), 2, True, "none", torch.float32)
    hs = columns.scan(device, x, gates, WAYS)
    yield "column launches forward", _worst(hs, cuda.forward(x, gates, WAYS, "none", True)), 1e-6
    got = columns.scan_back(device, hs, x, gates, hs, WAYS)
    want = cuda.backward(hs, x, gates, hs, WAYS, "none", True)
    yield "column launches backward", _worst([*got[0], *got[1]], [*want[0], *want[1]]), 5e-6


def _match() -> Iterator[tuple[str, float, float]]:
    wanted, offered = torch.randn(2, 4, 61, 83, device="cuda"), torch.randn(2, 4, 65, 87, device="cuda")
    values, nearness = 50 * torch.randn(2, 3, 65, 87, device="cuda"), torch.rand(25, device="cuda")
    got = cuda_match.match(wanted, offered, values, nearness)
    yield "match", _worst([got], [match(wanted, offered, values, nearness).double()]), 1e-5


def _patches() -> Iterator[tuple[str, float, float]]:
    """The error is the share of pixels with another motion: sums come in another order, and choices by them."""
    lights = torch.from_numpy(np.stack(frames(3, *FRAME)))[:, None].to("cuda")
    start = torch.randn(2, 2, *FRAME, device="cuda")
    for config in (STEP, ANCHOR):
        got, want = (find(lights[1:], lights[:2], start, config) for find in (search, search_by_operations))
        yield f"patches, {config.rounds} rounds", float((~((got - want).abs() < 0.05)).float().mean()), 0.02


def _tracker() -> Iterator[tuple[str, float, float]]:
    """Tracks and clues after three steps, as on the CPU; the error is the share of pixels that are somewhere else."""
    lights = frames(4, *FRAME)
    values, none = np.dstack([lights[0], -lights[0]]), np.zeros_like(lights[0])
    found = []
    for device in ("cuda", "cpu"):
        tracker = DeviceTracker(lights[0], values, none, device)
        for light in lights[1:]:
            step = tracker.follow(light)
            clues = tracker.clues(step)
            tracker.accept(step, clues[:, 1:3], clues[:, :1])
        found.append([x.cpu() for x in (step.step[:, :2], step.tracks[:, :2], clues)])
    for name, one, other in zip(("steps", "tracks", "clues"), *found, strict=True):
        # Sums come in another order, and what is chosen by them may fall the other way at a few places.
        yield f"tracker, {name}", float((~((one - other).abs() < 0.1)).float().mean()), 0.01


def _light() -> Iterator[tuple[str, float, float]]:
    """HDR light after three steps, as on the CPU; the error is the share of values that are others."""
    from propagation.hdr.device_walk import DeviceWalk

    pictures, key = light_clip(frames(4, *FRAME))
    found = []
    for device in ("cuda", "cpu"):
        walk = DeviceWalk(pictures[0], key, device)
        found.append([walk.step(picture) for picture in pictures[1:]][-1].cpu())
    pixels = key.log_light[..., 0].size
    parts = (row[: 6 * pixels].split((3 * pixels, pixels, 2 * pixels)) for row in found)
    for name, bound, one, other in zip(("log10", "error", "positions"), (0.02, 0.02, 0.1), *parts, strict=True):
        yield f"light, {name}", float((~((one - other).abs() < bound)).float().mean()), 0.01


def _network() -> Iterator[tuple[str, float, float]]:
    """The temporal network beside the same in main memory; convolutions on a GPU may round inputs to ten bits."""
    from propagation.tpn import TemporalPropagationNetwork

    torch.manual_seed(0)
    model = TemporalPropagationNetwork().eval().requires_grad_(False)
    light, clues = 50 + 10 * torch.randn(1, 1, 61, 83), torch.randn(1, len(CLUES), 61, 83)
    wanted = model(light, clues)["values"].double()  # as with gradients: the way that a GPU takes, not the fused one
    model = channels_last(model.to("cuda"))
    with torch.inference_mode():
        exact = model(light.to("cuda"), clues.to("cuda"))["values"].cpu()
        with fast_convolutions("cuda"):
            rounded = model(light.to("cuda"), clues.to("cuda"))["values"].cpu()
    yield "network", _worst([exact], [wanted]), 1e-2
    yield "network in bfloat16", _worst([rounded], [wanted]), 5e-2


def untested() -> set[str]:
    """Variants that no case reaches; empty unless the plan and the cases have drifted apart."""
    reached: set[str] = set()
    for shape, groups, processors, limit in CASES:
        for storage in plan.STORED_BYTES:
            for scanned in (True, False):
                size = plan.Size(shape[0] * groups, shape[1] // groups, shape[2], shape[3], 4, True, True, scanned)
                reached |= {plan.lay_out(storage, operation, size, processors, limit).variant.name
                            for operation in plan.OPERATIONS}
    return {variant.name for variant in plan.every_variant()} - reached


