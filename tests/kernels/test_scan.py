"""The scan contract, over every backend of the registry."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kernels import cpu, registry
from kernels.errors import BackendError, ShapeError
from kernels.reference import scan_lines
from kernels.scan import DIRECTIONS, line_scan, line_scan_adjoint, scan4, scan4_adjoint
from kernels.threads import get_threads, set_threads

# Relative L2 error against the loop in float64 on the same stored numbers, by dtype and number of lines scanned.
# Rounding grows slowly with the length; 16-bit types are computed in float32, so theirs is that of storing the result
# once (half a unit in the last place, 2^-11 and 2^-8), whatever the length. Gate gradients read the stored h.
VALUE_TOLERANCE = {
    torch.float64: {64: 1e-14, 512: 1e-14},
    torch.float32: {64: 1e-6, 512: 1e-6},
    torch.float16: {64: 5e-4, 512: 5e-4},
    torch.bfloat16: {64: 4e-3, 512: 4e-3},
}
GRADIENT_TOLERANCE = {
    torch.float64: {64: 1e-13, 512: 1e-13},
    torch.float32: {64: 2e-6, 512: 5e-6},
    torch.float16: {64: 1e-3, 512: 1e-3},
    torch.bfloat16: {64: 8e-3, 512: 8e-3},
}
NORMS = ("max1", "sum", "none")


@pytest.fixture(params=registry.names())
def backend(request: pytest.FixtureRequest) -> str:
    reason = registry.why_not(request.param)
    if reason is not None:
        pytest.skip(f"backend {request.param}: {reason}")
    if not registry.serves(request.param, "cpu"):
        pytest.skip(f"backend {request.param} serves no tensors on a CPU; tests/gpu/run.py tests it")
    name: str = request.param
    return name


def make(shape, groups, direction, layout, norm, dtype=torch.float64, seed=0):
    """Random x and raw gates, both in need of gradients, gates in the layout asked for."""
    b, c, h, w = shape
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, dtype=torch.float64, generator=generator)
    gates = torch.randn(b, groups, 3, h, w, dtype=torch.float64, generator=generator) * (0.3 if norm == "none" else 1.0)
    if layout == "scanned" and direction in ("left_to_right", "right_to_left"):
        gates = gates.transpose(-1, -2).contiguous()
    return x.to(dtype).requires_grad_(), gates.to(dtype).requires_grad_()


def literal(x, gates, direction, layout, norm):
    """The definition, from `reference.scan_lines` alone."""
    horizontal = direction in ("left_to_right", "right_to_left")
    reverse = direction in ("right_to_left", "bottom_to_top")
    if not horizontal:
        return scan_lines(x, gates, reverse, norm)
    lines = gates if layout == "scanned" else gates.transpose(-1, -2)
    return scan_lines(x.transpose(-1, -2), lines, reverse, norm).transpose(-1, -2)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    """Relative L2 error of a."""
    a, b = a.detach().double(), b.detach().double()
    return float((a - b).norm() / b.norm().clamp(min=1e-30))


@pytest.mark.parametrize("dtype", VALUE_TOLERANCE, ids=str)
@pytest.mark.parametrize("layout", ["image", "scanned"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_values_and_gradients_equal_the_literal_loop(backend, direction, layout, dtype):
    long = (1, 1, 20, 300) if direction in ("left_to_right", "right_to_left") else (1, 1, 300, 20)
    cases = [((2, 4, 9, 11), 2, "max1"), ((1, 3, 33, 41), 1, "sum"), ((1, 2, 50, 39), 2, "none"), (long, 1, "max1")]
    for number, (shape, groups, norm) in enumerate(cases):
        length = 64 if max(shape) <= 64 else 512
        x, gates = make(shape, groups, direction, layout, norm, dtype, number)
        exact = x.detach().double().requires_grad_(), gates.detach().double().requires_grad_()
        expected = literal(*exact, direction, layout, norm)
        top = torch.randn(shape, generator=torch.Generator().manual_seed(9)).to(dtype)
        h = line_scan(x, gates, direction, norm=norm, layout=layout, backend=backend)
        assert h.dtype == dtype
        assert relative(h, expected) < VALUE_TOLERANCE[dtype][length]
        wanted = torch.autograd.grad(expected, exact, top.double())
        for got, want in zip(torch.autograd.grad(h, (x, gates), top), wanted, strict=True):
            close(got, want, GRADIENT_TOLERANCE[dtype][length])


def close(got: torch.Tensor, want: torch.Tensor, tolerance: float) -> None:
    """Gradients: relative L2 error, direction, and no bias to one side."""
    assert relative(got, want) < tolerance
    got, want = got.double().flatten(), want.double().flatten()
    assert float(torch.nn.functional.cosine_similarity(got, want, 0)) > 1 - tolerance
    assert abs(float((got - want).mean())) < tolerance * float(want.abs().mean())


def test_a_gate_that_points_outside_counts_in_the_normaliser_alone(backend):
    """Worked by hand: gates 2, 1, 1 divide by 4, and each of a line's two pixels has a neighbour on one side only."""
    x = torch.tensor([[10.0, 2.0], [20.0, 4.0]], dtype=torch.float64)[None, None]
    gates = torch.tensor([2.0, 1.0, 1.0], dtype=torch.float64).view(1, 1, 3, 1, 1).expand(1, 1, 3, 2, 2)
    top = 0.5 * 2.0 + 0.25 * 10.0 + 0.25 * 20.0  # the upper gate is gone, its share of the sum is not replaced
    bottom = 0.25 * 4.0 + 0.5 * 10.0 + 0.25 * 20.0
    for norm in ("max1", "sum"):
        h = line_scan(x, gates, "left_to_right", norm=norm, backend=backend)
        assert h[0, 0].tolist() == [[10.0, top], [20.0, bottom]]
    small = line_scan(x, gates / 8, "left_to_right", norm="max1", backend=backend)  # sums to 0.5: not divided
    assert small[0, 0, 0, 1] == 0.75 * 2.0 + 0.125 * 10.0 + 0.125 * 20.0


def test_gradcheck_with_borders(backend):
    shape = (1, 2, 2, 3)
    gates = tuple(make(shape, 1, d, "image", "max1", seed=i)[1] for i, d in enumerate(DIRECTIONS))
    x = make(shape, 1, DIRECTIONS[0], "image", "max1")[0]
    w = torch.rand(1, 1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    fast = {"fast_mode": backend == "reference"}  # the loop's own gradients are autograd's
    for merge, norm in (("max", "max1"), ("sum", "sum"), ("stack", "none")):
        assert torch.autograd.gradcheck(
            lambda x, *g, m=merge, n=norm: scan4(x, g, merge=m, norm=n, backend=backend), (x, *gates), **fast)
    assert torch.autograd.gradcheck(
        lambda x, w, *g: scan4(x, g, merge="sum", weights=w, norm="none", backend=backend), (x, w, *gates), **fast)
    for g, direction in zip(gates, DIRECTIONS, strict=True):
        assert torch.autograd.gradcheck(
            lambda u, g, d=direction: line_scan_adjoint(u, g, d, backend=backend), (x, g), **fast)
    assert torch.autograd.gradcheck(lambda u, *g: scan4_adjoint(u, g, backend=backend), (x, *gates), **fast)


@pytest.mark.parametrize("dtype", VALUE_TOLERANCE, ids=str)
def test_four_directions_merged_equal_four_scans(backend, dtype):
    parts = [make((2, 6, 18, 21), 3, d, "scanned", "max1", dtype, i) for i, d in enumerate(DIRECTIONS)]
    x, gates = parts[0][0], tuple(g for _, g in parts)
    w = torch.rand(2, 3, 4, 18, 21, dtype=torch.float64).to(dtype).requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in (x, w, *gates)]
    scans = [literal(exact[0], g, d, "scanned", "max1") for g, d in zip(exact[2:], DIRECTIONS, strict=True)]
    stack = torch.stack(scans, 1)
    spread = exact[1].repeat_interleave(2, 1).transpose(1, 2)  # 2, 4, 6, 18, 21
    top = torch.randn(2, 6, 18, 21, generator=torch.Generator().manual_seed(3)).to(dtype)
    weighted = (stack * spread).sum(1)
    for merge, weights, want in (("max", None, stack.amax(1)), ("sum", None, stack.sum(1)), ("sum", w, weighted)):
        got = scan4(x, gates, merge=merge, weights=weights, layout="scanned", backend=backend)
        assert relative(got, want) < 3 * VALUE_TOLERANCE[dtype][64]  # every scan is stored, then their merge
        with torch.no_grad():
            assert torch.equal(scan4(x, gates, merge=merge, weights=weights, layout="scanned", backend=backend), got)
        if merge == "max" and dtype.itemsize == 2:
            continue  # rounded scans can tie; the float types show where the gradient goes
        leaves = [i for i in range(6) if i != 1 or weights is not None]
        wanted = torch.autograd.grad(want, [exact[i] for i in leaves], top.double(), retain_graph=True)
        given = torch.autograd.grad(got, [(x, w, *gates)[i] for i in leaves], top)
        for a, b in zip(given, wanted, strict=True):
            close(a, b, 3 * GRADIENT_TOLERANCE[dtype][64])


def test_two_hundred_awkward_shapes(backend):
    rng = np.random.default_rng(4)
    sizes = [1, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33, 37, 65, 131]
    for number in range(200):
        h, w = (int(rng.choice(sizes)) for _ in range(2))
        groups, repeat = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        direction, layout = DIRECTIONS[number % 4], ("image", "scanned")[number // 4 % 2]
        x, gates = make((1, groups * repeat, h, w), groups, direction, layout, "max1", seed=number)
        strided = [with_gaps(t) for t in (x, gates)]
        scanned = line_scan(strided[0], strided[1], direction, layout=layout, backend=backend)
        expected = literal(x, gates, direction, layout, "max1")
        assert relative(scanned, expected) < 1e-13
        if h * w > 1 and (h if direction in DIRECTIONS[2:] else w) > 1:  # one line alone reads no gate
            top = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(number))
            wanted = torch.autograd.grad(expected, (x, gates), top)
            for got, want in zip(torch.autograd.grad(scanned, strided, with_gaps(top)), wanted, strict=True):
                assert relative(got, want) < 1e-12


def with_gaps(tensor: torch.Tensor) -> torch.Tensor:
    """The same values with a gap after each, as a leaf."""
    view = torch.stack([tensor.detach(), tensor.detach()], -1)[..., 0]
    assert tensor.numel() == 1 or not view.is_contiguous()
    return view.requires_grad_()


def test_constants_pass_through_whatever_the_gates(backend):
    x = torch.full((1, 2, 17, 19), 3.25)
    for direction in DIRECTIONS:
        for norm in ("max1", "sum"):
            _, gates = make((1, 2, 17, 19), 2, direction, "image", norm, torch.float32)
            h = line_scan(x, gates.detach() * 5, direction, norm=norm, backend=backend)
            assert float((h - x).abs().max()) < 2e-6 * 3.25  # a few roundings; gates up to 15 grow no error


def test_positive_gates_never_exceed_the_input(backend):
    for norm in ("max1", "sum"):
        for direction in DIRECTIONS:
            x, gates = make((1, 3, 23, 29), 1, direction, "image", norm, torch.float32)
            h = line_scan(x.detach(), gates.detach().abs(), direction, norm=norm, backend=backend)
            assert float(h.abs().max()) <= float(x.detach().abs().max()) * (1 + 1e-6)


def test_transposing_the_image_swaps_the_directions(backend):
    pairs = {"left_to_right": "top_to_bottom", "right_to_left": "bottom_to_top"}
    for across, along in pairs.items():
        x, gates = (t.detach() for t in make((1, 2, 12, 15), 2, across, "image", "max1"))
        turned = line_scan(x.transpose(-1, -2), gates.transpose(-1, -2), along, backend=backend).transpose(-1, -2)
        assert relative(line_scan(x, gates, across, backend=backend), turned) < 1e-14


@pytest.mark.parametrize("dtype", VALUE_TOLERANCE, ids=str)
@pytest.mark.parametrize("layout", ["image", "scanned"])
def test_adjoint_is_the_exact_transpose(backend, layout, dtype):
    shape = (2, 2, 20, 35)
    parts = [make(shape, 1, d, layout, "max1", dtype, i) for i, d in enumerate(DIRECTIONS)]
    x, gates = parts[0][0].detach(), tuple(g.detach() for _, g in parts)
    y = torch.randn(shape, generator=torch.Generator().manual_seed(5)).to(dtype)
    tolerance = 4 * VALUE_TOLERANCE[dtype][64]

    def product(a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
        return float((a.double() * b.double()).sum()), float(a.double().norm() * b.double().norm())

    def same(forth: torch.Tensor, top: torch.Tensor, back: torch.Tensor) -> bool:
        (left, scale), (right, _) = product(forth, top), product(x, back)
        return abs(left - right) < tolerance * scale

    for direction, g in zip(DIRECTIONS, gates, strict=True):
        forth = line_scan(x, g, direction, layout=layout, backend=backend)
        assert same(forth, y, line_scan_adjoint(y, g, direction, layout=layout, backend=backend))
    tops = torch.randn(2, 4, *shape[1:], generator=torch.Generator().manual_seed(6)).to(dtype)
    for merge, top in (("sum", y), ("stack", tops)):
        forth = scan4(x, gates, merge=merge, layout=layout, backend=backend)
        assert same(forth, top, scan4_adjoint(top, gates, merge=merge, layout=layout, backend=backend))


def test_the_opposite_direction_is_not_the_transpose(backend):
    x, gates = (t.detach() for t in make((1, 1, 9, 9), 1, "left_to_right", "image", "max1"))
    exact = line_scan_adjoint(x, gates, "left_to_right", backend=backend)
    assert relative(line_scan(x, gates, "right_to_left", backend=backend), exact) > 0.1


@pytest.mark.parametrize("dtype", VALUE_TOLERANCE, ids=str)
def test_every_output_is_written(backend, monkeypatch, dtype):
    for name in ("empty", "empty_like"):
        real = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *a, real=real, **k: real(*a, **k).fill_(float("nan")))
    own = cpu.empty_like  # the CPU backend takes its outputs from numpy
    monkeypatch.setattr(cpu, "empty_like", lambda tensor: own(tensor).fill_(float("nan")))
    for layout in ("image", "scanned"):
        parts = [make((1, 2, 21, 37), 2, d, layout, "max1", dtype, i) for i, d in enumerate(DIRECTIONS)]
        x, gates = parts[0][0], tuple(g for _, g in parts)
        w = torch.ones(1, 1, 4, 21, 37, dtype=dtype, requires_grad=True)
        out = scan4(x, gates, merge="sum", weights=w, layout=layout, backend=backend)
        out.backward(torch.ones(out.shape, dtype=dtype))
        pairs = zip(gates, DIRECTIONS, strict=True)
        back = [line_scan_adjoint(x, g, d, layout=layout, backend=backend) for g, d in pairs]
        for tensor in (out, x.grad, w.grad, *(g.grad for g in gates), *back):
            assert torch.isfinite(tensor).all()


@pytest.mark.parametrize("past", [False, True])
def test_results_do_not_depend_on_the_thread_count(backend, past, monkeypatch):
    """`past`: what is stored past the cache where it is large is small enough here to be tested."""
    if past:
        monkeypatch.setattr(cpu, "_PAST_BYTES", 0)
    before = get_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            set_threads(threads)
            parts = [make((2, 4, 70, 90), 2, d, "scanned", "max1", torch.float32, i) for i, d in enumerate(DIRECTIONS)]
            x = parts[0][0]
            w = torch.full((2, 1, 4, 70, 90), 0.3, requires_grad=True)
            out = scan4(x, tuple(g for _, g in parts), merge="sum", weights=w, layout="scanned", backend=backend)
            out.square().sum().backward()
            one = x.detach()[:1], parts[0][1].detach()[:1, :1]
            single = line_scan(*one, DIRECTIONS[0], layout="scanned", backend=backend)
            u, images = x.detach(), [make(x.shape, 4, d, "image", "sum", torch.float32, 9)[1] for d in DIRECTIONS]
            planes = scan4(u, images, norm="sum", backend=backend)
            back = scan4_adjoint(u, images, merge="sum", norm="sum", backend=backend)
            results.append((out.detach(), single, x.grad, w.grad, planes.detach(), back.detach(),
                            *(g.grad for _, g in parts)))
    finally:
        set_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_concurrent_calls_do_not_disturb_each_other(backend):
    jobs = [make((1, 2, 80, 160), 1, DIRECTIONS[i % 4], "scanned", "max1", torch.float32, i) for i in range(8)]

    def scan(i: int) -> torch.Tensor:
        x, gates = jobs[i]
        return line_scan(x.detach(), gates.detach(), DIRECTIONS[i % 4], layout="scanned", backend=backend)

    def scan_four(i: int) -> torch.Tensor:
        gates = [make((1, 2, 30, 60 + i), 1, d, "scanned", "max1", torch.float32, i) for d in DIRECTIONS]
        w = torch.full((1, 1, 4, 30, 60 + i), 0.25)
        return scan4(gates[0][0].detach(), [g.detach() for _, g in gates], merge="sum", weights=w, layout="scanned",
                     backend=backend)

    alone = [scan(i) for i in range(8)] + [scan_four(i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: scan(i) if i < 8 else scan_four(i - 8), list(range(16)) * 3))
    assert all(torch.equal(together[i], alone[i % 16]) for i in range(48))


def test_wrong_shapes_are_named():
    x = torch.zeros(1, 2, 4, 6)
    double = torch.zeros(1, 1, 3, 4, 6, dtype=torch.float64)
    for gates, word in [(torch.zeros(1, 2, 3, 6, 4), "do not fit"), (torch.zeros(1, 3, 3, 4, 6), "do not fit"),
                        (torch.zeros(1, 1, 2, 4, 6), "must be"), (double, "float64")]:
        with pytest.raises(ShapeError, match=word):
            line_scan(x, gates, "left_to_right")
    with pytest.raises(ShapeError, match="direction"):
        line_scan(x, torch.zeros(1, 1, 3, 4, 6), "up")  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="no such backend"):
        line_scan(x, torch.zeros(1, 1, 3, 4, 6), "left_to_right", backend="abacus")


def test_without_numba_the_loop_takes_over_and_the_reason_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "kernels.cpu_planes", None)  # as if its import failed
    assert "numba is not installed" in (registry.why_not("cpu") or "")
    x, gates = (t.detach() for t in make((1, 1, 4, 5), 1, "left_to_right", "image", "max1"))
    expected = literal(x, gates, "left_to_right", "image", "max1")
    assert torch.equal(line_scan(x, gates, "left_to_right"), expected)
    with pytest.raises(BackendError, match="'cpu' cannot be used: numba is not installed"):
        line_scan(x, gates, "left_to_right", backend="cpu")
