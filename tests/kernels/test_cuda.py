"""The CUDA kernels, run on the CPU by the shim, against the literal loop; and what the backend says without a GPU."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kernels import cuda, reference, registry
from kernels import cuda_plan as plan
from kernels.scan import DIRECTIONS, scan4
from tests.kernels.shim import build
from tests.kernels.shim.fence import fenced, fenced_copy

ROOT = Path(__file__).resolve().parents[2]
WAYS = [(True, False), (True, True), (False, False), (False, True)]
NORMS = ("max1", "sum", "none")
DTYPES = tuple(cuda.STORAGE)
# Relative L2 error against the loop in float64 on the same stored numbers. State is float32 (float64 for float64);
# 16-bit results are rounded once when stored, 2^-11 and 2^-8 at most. Gate gradients read the stored h.
VALUE_TOLERANCE = {torch.float64: 1e-14, torch.float32: 1e-6, torch.float16: 5e-4, torch.bfloat16: 4e-3}
GRADIENT_TOLERANCE = {torch.float64: 1e-13, torch.float32: 5e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}

# (B, C, H, W), groups, processors, bytes of shared memory. Together they reach every variant; few processors make
# several channels share a block, little memory makes tiles narrow or forbids them.
CASES = [
    ((1, 1, 1, 1), 1, 4, 99 << 10),
    ((1, 2, 1, 37), 2, 4, 99 << 10),
    ((2, 1, 41, 1), 1, 4, 99 << 10),
    ((2, 6, 13, 17), 2, 4, 99 << 10),
    ((1, 3, 131, 19), 1, 1, 227 << 10),
    ((1, 5, 67, 137), 1, 1, 99 << 10),
    ((1, 3, 23, 131), 1, 99, 99 << 10),
    ((1, 2, 150, 13), 2, 99, 16 << 10),
    ((1, 2, 139, 11), 1, 99, 4 << 10),
    ((1, 1, 5, 523), 1, 99, 48 << 10),
    ((1, 1, 1100, 7), 1, 99, 64 << 10),
    ((1, 1, 3, 2053), 1, 99, 99 << 10),
]


def source_lines(storage: str) -> str:
    lines = [v.source for v in plan.every_variant() if v.storage == storage]
    lines += [line for name, line in plan.pixel_kernels() if name.endswith(storage.lower())]
    structs = {"call": "Call", "way": "Way", "merge": "Merge", "gather": "Gather"}
    lines += [f'extern "C" int size_of_{name}() {{ return sizeof({struct}); }}\n' for name, struct in structs.items()]
    return "".join(lines)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """All kernels, compiled for the CPU, one library a storage type."""
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("shim")
    started = [build.start_compiling(build.kernel_text(), source_lines(s), folder, s) for s in plan.STORED_BYTES]
    return [build.finish(each) for each in started]


@pytest.fixture
def device(compiled, monkeypatch):
    """Puts the shim in a GPU's place for tensors on the CPU, and fences every output."""
    shim = build.ShimDevice(compiled)
    use(shim, monkeypatch)
    return shim


def use(shim, monkeypatch):
    monkeypatch.setattr(cuda, "_device", lambda tensor: shim)
    monkeypatch.setattr(torch, "empty_like", lambda t: fenced(tuple(t.shape), t.dtype))
    real = torch.empty

    def empty(*shape, dtype=None, device=None, **options):
        sizes = shape[0] if isinstance(shape[0], tuple) else shape
        return fenced(sizes, dtype) if device is not None else real(*shape, dtype=dtype, **options)

    monkeypatch.setattr(torch, "empty", empty)


def make(shape, groups, scanned, norm, dtype, seed=0, ways=WAYS):
    """x, and gates for the ways."""
    generator = torch.Generator().manual_seed(seed)
    b, _, h, w = shape
    x = torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)
    gates = []
    for horizontal, _ in ways:
        lines = (w, h) if horizontal and scanned else (h, w)
        g = torch.randn(b, groups, 3, *lines, dtype=torch.float64, generator=generator)
        gates.append(fenced_copy((g * (0.3 if norm == "none" else 1)).to(dtype)))
    return fenced_copy(x), gates


def relative(got, want):
    got, want = got.double(), want.double()
    return float((got - want).norm() / want.norm().clamp(min=1e-30))


def wide(tensors):
    return [t.double() for t in tensors]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: "x".join(map(str, case[0])))
def test_all_directions_equal_the_literal_loop(device, case, dtype):
    shape, groups, device.processors, device.shared_limit = case
    number = CASES.index(case) + DTYPES.index(dtype)
    # Thin pictures are there for their long lines; the many steps across would take most of the time.
    ways = WAYS if max(shape) < 500 else WAYS[:2] if shape[2] > shape[3] else WAYS[2:]
    for scanned in (True, False) if ways == WAYS else (number % 2 == 0,):
        norm = NORMS[(number + scanned) % 3]
        x, gates = make(shape, groups, scanned, norm, dtype, number, ways)
        tops = [fenced_copy(torch.randn(shape, generator=torch.Generator().manual_seed(i)).to(dtype)) for i in range(4)]
        tops = tops[:len(ways)]
        hs = cuda.forward(x, gates, ways, norm, scanned)
        for got, want in zip(hs, reference.forward(x.double(), wide(gates), ways, norm, scanned), strict=True):
            assert got.dtype == dtype and relative(got, want) < VALUE_TOLERANCE[dtype]
        gxs, ggs = cuda.backward(tops, x, gates, hs, ways, norm, scanned)
        wanted = reference.backward(wide(tops), x.double(), wide(gates), wide(hs), ways, norm, scanned)
        for got, want in zip([*gxs, *ggs], [*wanted[0], *wanted[1]], strict=True):
            assert got.dtype == dtype and relative(got, want) < GRADIENT_TOLERANCE[dtype]
        for got, want in zip(cuda.adjoint(tops, gates, ways, norm, scanned), gxs, strict=True):
            assert relative(got, want) < 2 * VALUE_TOLERANCE[dtype]


def test_the_cases_reach_every_variant(compiled, monkeypatch):
    shim = build.ShimDevice(compiled)
    use(shim, monkeypatch)
    for shape, groups, shim.processors, shim.shared_limit in CASES:
        for dtype in DTYPES:
            for scanned in (True, False):
                across, along = max(shape) < 500 or shape[2] > shape[3], max(shape) < 500 or shape[2] < shape[3]
                ways = 2 * (across + along)
                size = plan.Size(shape[0] * groups, shape[1] // groups, *shape[2:], ways, across, along, scanned)
                for operation in plan.OPERATIONS:
                    layout = plan.lay_out(cuda.STORAGE[dtype], operation, size, shim.processors, shim.shared_limit)
                    shim.launched.append(layout.variant.name)
                    assert layout.shared_bytes <= shim.shared_limit
    assert set(shim.launched) == {variant.name for variant in plan.every_variant()}


def test_one_direction_alone(device):
    x, gates = make((1, 2, 9, 140), 1, True, "max1", torch.float32)
    for way, g in zip(WAYS, gates, strict=True):
        got = cuda.forward(x, [g], [way], "max1", True)[0]
        assert relative(got, reference.forward(x.double(), [g.double()], [way], "max1", True)[0]) < 1e-6


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_merge_and_split(device, dtype):
    shape = (2, 6, 37, 41)
    x, gates = make(shape, 3, True, "max1", dtype)
    w = fenced_copy(torch.rand(2, 3, 4, 37, 41, generator=torch.Generator().manual_seed(1)).to(dtype))
    hs = cuda.forward(x, gates, WAYS, "max1", True)
    assert relative(cuda.merge(hs, w), reference.merge(wide(hs), w.double())) < VALUE_TOLERANCE[dtype]
    merged = cuda.forward_merged(x, gates, WAYS, "max1", True, w)
    assert torch.equal(merged, cuda.merge(hs, w))
    tops, gw = cuda.split(x, hs, w)
    want_tops, want_gw = reference.split(x.double(), wide(hs), w.double())
    for got, want in zip([*tops, gw], [*want_tops, want_gw], strict=True):
        assert got.dtype == dtype and relative(got, want) < VALUE_TOLERANCE[dtype]


def test_results_do_not_depend_on_the_order_of_warps(device):
    device.processors = 1
    x, gates = make((1, 5, 40, 140), 1, False, "max1", torch.float32)
    runs = []
    for _ in range(3):  # every launch has another order
        hs = cuda.forward(x, gates, WAYS, "max1", False)
        gxs, ggs = cuda.backward(hs, x, gates, hs, WAYS, "max1", False)
        runs.append([*hs, *gxs, *ggs])
    for other in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], other, strict=True))


def test_autograd_through_scan4(device, monkeypatch):
    monkeypatch.setattr(registry, "pick", lambda kind, name=None: cuda)
    x, gates = make((1, 2, 11, 13), 1, True, "max1", torch.float64)
    w = torch.rand(1, 1, 4, 11, 13, dtype=torch.float64)
    leaves = [t.requires_grad_() for t in (x, w, *gates)]
    loss = scan4(x, gates, merge="sum", weights=w, layout="scanned").square().sum()
    got = torch.autograd.grad(loss, leaves)
    monkeypatch.setattr(registry, "pick", lambda kind, name=None: reference)
    monkeypatch.setattr(torch, "empty_like", torch.Tensor.clone)
    want = torch.autograd.grad(scan4(x, gates, merge="sum", weights=w, layout="scanned").square().sum(), leaves)
    assert len(DIRECTIONS) == len(WAYS) and all(relative(a, b) < 1e-13 for a, b in zip(got, want, strict=True))


def test_structs_are_laid_out_as_the_compiler_lays_them_out(compiled):
    for name, kind in (("call", cuda.CALL), ("way", cuda.WAY), ("merge", cuda.MERGE), ("gather", cuda.GATHER)):
        assert compiled[0][f"size_of_{name}"]() == kind.itemsize


BARRIER = re.compile(r"^ *(?:__syncthreads|__syncwarp|meet<ONE_WARP>)\(\);", re.MULTILINE)
# What the mutants run: a block and a warp, through tiles and without, and a long line.
MUTANT_CASES = [((1, 1, 40, 140), "max1", WAYS), ((1, 1, 50, 20), "sum", WAYS), ((1, 1, 3, 2053), "none", WAYS[2:])]


def wrong(shim, monkeypatch):
    """Whether a set of kernels is caught computing wrongly."""
    use(shim, monkeypatch)
    for shape, norm, ways in MUTANT_CASES:
        x, gates = make(shape, 1, False, norm, torch.float32, 0, ways)
        try:
            hs = cuda.forward(x, gates, ways, norm, False)
            gxs, ggs = cuda.backward(hs, x, gates, hs, ways, norm, False)
        except RuntimeError:
            return True
        want = reference.forward(x.double(), wide(gates), ways, norm, False)
        want_back = reference.backward(wide(hs), x.double(), wide(gates), wide(hs), ways, norm, False)
        pairs = zip([*hs, *gxs, *ggs], [*want, *want_back[0], *want_back[1]], strict=True)
        if not all(relative(a, b) < 5e-6 for a, b in pairs):
            return True
    return False


def test_without_any_one_barrier_results_are_wrong(tmp_path, monkeypatch):
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    text = build.kernel_text()
    roles = ("short", "warp", "long")
    lines = "".join(plan.scan_variants("Float", o)[r].source for o in ("FORWARD", "BACKWARD") for r in roles)
    lines += "".join(plan.scan_variants("Float", o)["wide"].source for o in ("FORWARD", "BACKWARD"))
    sites = list(BARRIER.finditer(text))
    assert len(sites) == 5
    texts = [text] + [text[:site.start()] + text[site.end():] for site in sites]
    started = [build.start_compiling(t, lines, tmp_path, f"mutant{i}") for i, t in enumerate(texts)]
    shims = [build.ShimDevice([build.finish(each)]) for each in started]
    caught = [wrong(shim, monkeypatch) for shim in shims]
    assert caught == [False] + [True] * len(sites)


def test_the_shim_catches_threads_that_leave_a_barrier_out(tmp_path):
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    lines = """struct Nothing { int unused; };
        KERNEL(early_exit, 512, Nothing) { if (threadIdx.x < 40) return; __syncthreads(); }
        KERNEL(other_place, 512, Nothing) { if (threadIdx.x < 32) { __syncthreads(); } else {
            __syncthreads(); } }
        KERNEL(out_of_bounds, 512, Nothing) { SHARED_MEMORY(shared); shared[threadIdx.x] = 0; }"""
    library = build.finish(build.start_compiling(build.kernel_text(), lines, tmp_path, "bad"))
    for name in ("early_exit", "other_place", "out_of_bounds"):
        call = torch.zeros(1, dtype=torch.int32).numpy()
        with pytest.raises(RuntimeError, match="never come|outside of shared"):
            build.ShimDevice([library]).launch(name, name, (1,), 64, 32, call)


def test_the_backend_says_why_it_is_absent(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    cuda.unavailable.cache_clear()
    assert "without CUDA" in str(cuda.unavailable())
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cuda.unavailable.cache_clear()
    assert "driver" in str(cuda.unavailable())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda.importlib.util, "find_spec", lambda name: None)
    cuda.unavailable.cache_clear()
    assert "huecast[cuda13]" in str(cuda.unavailable())
    cuda.unavailable.cache_clear()


def test_importing_the_backend_loads_no_cupy():
    probe = "import sys, kernels.scan, kernels.cuda; kernels.cuda.unavailable(); print('cupy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False" or torch.cuda.is_available()


@pytest.mark.parametrize(("sizes", "room"), [((1, 6, 6, 3), 1), ((1, 6, 2, 2), 3), ((1, 4, 1, 1), 1), ((3, 2, 2, 1), 2),
                                             ((1, 4, 4, 1), 2)])
def test_without_memory_planes_are_scanned_in_parts(monkeypatch, sizes, room):
    pictures, channels, sets, merges = sizes
    torch.manual_seed(0)
    x = torch.randn(pictures, channels, 7, 5)
    gates = [torch.randn(pictures, sets, 3, *((5, 7) if horizontal else (7, 5))) for horizontal, _ in WAYS]
    weights = torch.randn(pictures, merges, 4, 7, 5)
    scanned = []

    def forward(x, *rest):
        if x.shape[0] * x.shape[1] > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        scanned.append(x.shape[0] * x.shape[1])
        return reference.forward(x, *rest)

    monkeypatch.setattr(cuda, "forward", forward)
    monkeypatch.setattr(cuda, "merge", reference.merge)
    found = cuda.forward_merged(x, gates, WAYS, "max1", True, weights)
    whole = reference.merge(reference.forward(x, gates, WAYS, "max1", True), weights)
    assert torch.equal(found, whole) and sum(scanned) == pictures * channels and max(scanned) <= room


def test_where_one_plane_does_not_fit_it_says_so(monkeypatch):
    def forward(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(cuda, "forward", forward)
    with pytest.raises(torch.OutOfMemoryError):
        cuda.forward_merged(torch.ones(1, 2, 3, 3), [torch.ones(1, 1, 3, 3, 3)] * 4, WAYS, "none", True,
                            torch.ones(1, 1, 4, 3, 3))
