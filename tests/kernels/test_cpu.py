"""What the CPU backend promises beside the contract: compiled once a type, cached, and no copies nobody asked for."""

from __future__ import annotations

import pytest
import torch

from kernels import registry
from kernels.scan import DIRECTIONS, line_scan

planes = pytest.importorskip("kernels.cpu_planes", reason=registry.why_not("cpu") or "")


def scan(height: int, width: int, direction: str, norm: str, groups: int) -> torch.Tensor:
    x, gates = torch.ones(1, 2, height, width), torch.ones(1, groups, 3, height, width)
    return line_scan(x, gates, direction, norm=norm, backend="cpu")  # type: ignore[arg-type]


def test_no_shape_norm_or_sharing_compiles_anew():
    scan(4, 5, "left_to_right", "max1", 2)
    scan(4, 5, "top_to_bottom", "max1", 2)
    kernels = planes.forward_horizontal, planes.forward_vertical
    before = [len(kernel.signatures) for kernel in kernels]
    for direction in DIRECTIONS:
        for norm in ("max1", "sum", "none"):
            scan(37, 70, direction, norm, 1)
            scan(1, 1, direction, norm, 2)
    assert [len(kernel.signatures) for kernel in kernels] == before


@pytest.mark.parametrize("name", ["forward", "backward", "adjoint"])
def test_compiled_code_is_kept_on_disk(name):
    for way in ("horizontal", "vertical"):
        kernel = getattr(planes, f"{name}_{way}")
        assert kernel.stats.cache_path
        from_disk, compiled = (sum(count.values()) for count in kernel.stats[1:])
        assert from_disk + compiled == len(kernel.signatures)


def test_contiguous_tensors_are_read_where_they_lie(monkeypatch):
    """The backend gets the caller's own memory, and one copy of what has gaps."""
    seen = []
    cpu = registry.pick("cpu", "cpu")
    real = cpu.forward

    def watched(x, gates, *rest):
        seen.append((x.data_ptr(), gates[0].data_ptr()))
        return real(x, gates, *rest)

    monkeypatch.setattr(cpu, "forward", watched)
    x, gates = torch.ones(1, 1, 20, 20), torch.ones(1, 1, 3, 20, 20)
    line_scan(x, gates, "left_to_right", backend="cpu")
    line_scan(x.transpose(-1, -2), gates, "left_to_right", backend="cpu")
    assert seen[0] == (x.data_ptr(), gates.data_ptr())
    assert seen[1][0] != x.data_ptr() and seen[1][1] == gates.data_ptr()


@pytest.mark.parametrize("layout", ["image", "scanned"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_stores_past_the_cache_write_the_same_everywhere(monkeypatch, direction, layout):
    """Rows, planes and strips begin anywhere in a cache line; outputs are poisoned, so what is left out fails."""
    cpu = registry.pick("cpu", "cpu")
    real = cpu.empty_like
    monkeypatch.setattr(cpu, "empty_like", lambda tensor: real(tensor).fill_(float("nan")))
    generator = torch.Generator().manual_seed(4)
    sizes = [(1, 16), (16, 1), (17, 33), (48, 64), (48, 65), (31, 79), (20, 80), (16, 129), (37, 150), (130, 140)]
    for height, width in sizes:
        for groups, norm in ((4, "max1"), (2, "none"), (1, "sum")):
            shape = (width, height) if layout == "scanned" and direction in DIRECTIONS[:2] else (height, width)
            x = torch.randn(1, 4, height, width, generator=generator).requires_grad_()
            gates = (torch.randn(1, groups, 3, *shape, generator=generator) / 3).requires_grad_()
            top = torch.randn(x.shape, generator=generator)
            results = []
            for least in (0, 2**62):
                monkeypatch.setattr(cpu, "_PAST_BYTES", least)
                h = line_scan(x, gates, direction, norm=norm, layout=layout, backend="cpu")
                results.append((h, *torch.autograd.grad(h, (x, gates), top)))
            for past, ordinary in zip(*results, strict=True):
                assert torch.equal(past, ordinary), (height, width, groups)
