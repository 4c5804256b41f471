"""The scan contract, over every backend of the registry."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kernels import registry
from kernels.errors import BackendError, ShapeError
from kernels.reference import scan_lines
from kernels.scan import DIRECTIONS, line_scan, line_scan_adjoint, scan4, scan4_adjoint
from kernels.threads import get_threads, set_threads

# Rounding grows with the length of the scan; over 64 lines float32 keeps five digits of values and four of gradients.
VALUE_TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-13}
GRADIENT_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-12}
NORMS = ("max1", "sum", "none")


@pytest.fixture(params=registry.names())
def backend(request: pytest.FixtureRequest) -> str:
    reason = registry.why_not(request.param)
    if reason is not None:
        pytest.skip(f"backend {request.param}: {reason}")
    name: str = request.param
    return name


def make(shape, groups, direction, layout, norm, dtype=torch.float64, seed=0):
    """Random x and raw gates, both in need of gradients, gates in the layout asked for."""
    b, c, h, w = shape
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, dtype=dtype, generator=generator)
    gates = torch.randn(b, groups, 3, h, w, dtype=dtype, generator=generator) * (0.3 if norm == "none" else 1.0)
    if layout == "scanned" and direction in ("left_to_right", "right_to_left"):
        gates = gates.transpose(-1, -2).contiguous()
    return x.requires_grad_(), gates.requires_grad_()


def literal(x, gates, direction, layout, norm):
    """The definition, from `reference.scan_lines` alone."""
    horizontal = direction in ("left_to_right", "right_to_left")
    reverse = direction in ("right_to_left", "bottom_to_top")
    if not horizontal:
        return scan_lines(x, gates, reverse, norm)
    lines = gates if layout == "scanned" else gates.transpose(-1, -2)
    return scan_lines(x.transpose(-1, -2), lines, reverse, norm).transpose(-1, -2)


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).detach().norm() / b.norm().clamp(min=1e-30))


@pytest.mark.parametrize("dtype", VALUE_TOLERANCE)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layout", ["image", "scanned"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_values_and_gradients_equal_the_literal_loop(backend, direction, layout, norm, dtype):
    for number, (shape, groups) in enumerate([((2, 4, 9, 11), 2), ((1, 3, 33, 41), 1), ((1, 2, 64, 7), 2)]):
        x, gates = make(shape, groups, direction, layout, norm, dtype, number)
        expected = literal(x, gates, direction, layout, norm)
        top = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(9))
        expected_x, expected_gates = torch.autograd.grad(expected, (x, gates), top)
        h = line_scan(x, gates, direction, norm=norm, layout=layout, backend=backend)
        assert relative(h, expected) < VALUE_TOLERANCE[dtype]
        for got, want in zip(torch.autograd.grad(h, (x, gates), top), (expected_x, expected_gates), strict=True):
            assert relative(got, want) < GRADIENT_TOLERANCE[dtype]
            assert float(torch.nn.functional.cosine_similarity(got.flatten(), want.flatten(), 0)) > 1 - 1e-6
            assert abs(float((got - want).mean())) < GRADIENT_TOLERANCE[dtype] * float(want.abs().mean())


@pytest.mark.parametrize("norm", NORMS)
def test_gradcheck_with_borders(backend, norm):
    gates = tuple(make((1, 2, 3, 4), 1, d, "image", norm, seed=i)[1] for i, d in enumerate(DIRECTIONS))
    x = make((1, 2, 3, 4), 1, DIRECTIONS[0], "image", norm)[0]
    for merge in ("max", "sum", "stack"):
        assert torch.autograd.gradcheck(lambda x, *g, m=merge: scan4(x, g, merge=m, norm=norm, backend=backend), (x, *gates))


def test_two_hundred_awkward_shapes(backend):
    rng = np.random.default_rng(4)
    sizes = [1, 1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 33, 37]
    for number in range(200):
        h, w = (int(rng.choice(sizes)) for _ in range(2))
        groups, repeat = int(rng.integers(1, 3)), int(rng.integers(1, 3))
        direction, layout = DIRECTIONS[number % 4], ("image", "scanned")[number // 4 % 2]
        x, gates = make((1, groups * repeat, h, w), groups, direction, layout, "max1", seed=number)
        strided = torch.stack([x.detach(), x.detach()], -1)[..., 0]  # every element, with a gap after each
        assert h * w == 1 or not strided.is_contiguous()
        h1 = line_scan(strided, gates.detach(), direction, layout=layout, backend=backend)
        assert relative(h1, literal(x, gates, direction, layout, "max1").detach()) < 1e-13


def test_constants_pass_through_whatever_the_gates(backend):
    for direction in DIRECTIONS:
        _, gates = make((1, 2, 17, 19), 2, direction, "image", "max1", torch.float32)
        x = torch.full((1, 2, 17, 19), 3.25)
        h = line_scan(x, gates.detach() * 5, direction, backend=backend)
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


@pytest.mark.parametrize("layout", ["image", "scanned"])
def test_adjoint_is_the_exact_transpose(backend, layout):
    parts = [make((2, 2, 10, 13), 1, d, layout, "max1", seed=i) for i, d in enumerate(DIRECTIONS)]
    x, gates = parts[0][0].detach(), tuple(g.detach() for _, g in parts)
    y = torch.randn(2, 2, 10, 13, dtype=x.dtype)
    for direction, g in zip(DIRECTIONS, gates, strict=True):
        forth = (line_scan(x, g, direction, layout=layout, backend=backend) * y).sum()
        back = (x * line_scan_adjoint(y, g, direction, layout=layout, backend=backend)).sum()
        assert float(abs(forth - back)) < 1e-11
    for merge, top in (("sum", y), ("stack", torch.randn(2, 4, 2, 10, 13, dtype=x.dtype))):
        forth = (scan4(x, gates, merge=merge, layout=layout, backend=backend) * top).sum()
        back = (x * scan4_adjoint(top, gates, merge=merge, layout=layout, backend=backend)).sum()
        assert float(abs(forth - back)) < 1e-11


def test_the_opposite_direction_is_not_the_transpose(backend):
    x, gates = (t.detach() for t in make((1, 1, 9, 9), 1, "left_to_right", "image", "max1"))
    exact = line_scan_adjoint(x, gates, "left_to_right", backend=backend)
    assert relative(line_scan(x, gates, "right_to_left", backend=backend), exact) > 0.1


def test_every_output_is_written(backend, monkeypatch):
    real = torch.empty_like
    monkeypatch.setattr(torch, "empty_like", lambda t, **k: real(t, **k).fill_(float("nan")))
    for direction in DIRECTIONS:
        for layout in ("image", "scanned"):
            x, gates = make((1, 2, 21, 37), 2, direction, layout, "max1", torch.float32)
            h = line_scan(x, gates, direction, layout=layout, backend=backend)
            h.backward(torch.ones(h.shape))
            assert torch.isfinite(h).all() and torch.isfinite(x.grad).all() and torch.isfinite(gates.grad).all()


def test_results_do_not_depend_on_the_thread_count(backend):
    before = get_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            set_threads(threads)
            parts = [make((2, 4, 70, 90), 2, d, "scanned", "max1", torch.float32, i) for i, d in enumerate(DIRECTIONS)]
            x = parts[0][0]
            out = scan4(x, tuple(g for _, g in parts), layout="scanned", backend=backend)
            out.sum().backward()
            results.append((out.detach(), x.grad, *(g.grad for _, g in parts)))
    finally:
        set_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_concurrent_calls_do_not_disturb_each_other(backend):
    jobs = [make((1, 2, 80, 160), 1, DIRECTIONS[i % 4], "scanned", "max1", torch.float32, i) for i in range(8)]

    def scan(i: int) -> torch.Tensor:
        x, gates = jobs[i]
        return line_scan(x.detach(), gates.detach(), DIRECTIONS[i % 4], layout="scanned", backend=backend)

    alone = [scan(i) for i in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(scan, list(range(8)) * 3))
    assert all(torch.equal(together[i], alone[i % 8]) for i in range(24))


def test_wrong_shapes_are_named():
    x = torch.zeros(1, 2, 4, 6)
    for gates, word in [(torch.zeros(1, 2, 3, 6, 4), "do not fit"), (torch.zeros(1, 3, 3, 4, 6), "do not fit"),
                        (torch.zeros(1, 1, 2, 4, 6), "must be"), (torch.zeros(1, 1, 3, 4, 6, dtype=torch.float64), "float64")]:
        with pytest.raises(ShapeError, match=word):
            line_scan(x, gates, "left_to_right")
    with pytest.raises(ShapeError, match="direction"):
        line_scan(x, torch.zeros(1, 1, 3, 4, 6), "up")  # type: ignore[arg-type]
    with pytest.raises(BackendError, match="no such backend"):
        line_scan(x, torch.zeros(1, 1, 3, 4, 6), "left_to_right", backend="abacus")
