"""The kernel of local matching, run on the CPU by the shim, against the operations that say the same."""

from __future__ import annotations

import pytest
import torch

from kernels import cuda, cuda_match
from kernels import cuda_plan as plan
from propagation.matching import match
from tests.kernels.shim import build
from tests.kernels.shim.fence import fenced_copy
from tests.kernels.test_cuda import use

STRUCT = 'extern "C" int size_of_match() { return sizeof(Match); }\n'


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    ((_, line),) = plan.match_kernels()
    folder = tmp_path_factory.mktemp("match")
    return build.finish(build.start_compiling(build.kernel_text(), line + STRUCT, folder, "match"))


def test_the_struct_is_the_kernels(library):
    assert library.size_of_match() == cuda_match.MATCH.itemsize


@pytest.mark.parametrize("shape", [(1, 9, 13), (2, 1, 1), (3, 17, 31)])
@pytest.mark.parametrize("reach", [1, 5])
def test_the_kernel_finds_what_the_operations_find(library, monkeypatch, shape, reach):
    generator = torch.Generator().manual_seed(0)
    b, h, w = shape
    wide = (h + reach - 1, w + reach - 1)
    wanted = torch.randn(b, plan.MATCH_FEATURES, h, w, generator=generator)
    offered = torch.randn(b, plan.MATCH_FEATURES, *wide, generator=generator)
    values = 50 * torch.randn(b, plan.MATCH_CHANNELS, *wide, generator=generator)
    nearness = torch.rand(reach**2, generator=generator) + 0.1
    use(build.ShimDevice([library]), monkeypatch)
    found = cuda_match.match(*map(fenced_copy, (wanted, offered, values, nearness)))
    torch.testing.assert_close(found, match(wanted, offered, values, nearness), rtol=1e-5, atol=1e-4)


def test_it_serves_what_it_is_compiled_for_on_a_gpu_that_can_run_it(monkeypatch):
    def on_gpu(channels):
        facts = {"device": torch.device("cuda"), "dtype": torch.float32, "shape": (1, channels, 2, 2)}
        return type("Tensor", (), facts)()

    monkeypatch.setattr(cuda, "unavailable", lambda: None)
    assert cuda_match.serves(on_gpu(plan.MATCH_FEATURES), on_gpu(plan.MATCH_CHANNELS))
    assert not cuda_match.serves(on_gpu(plan.MATCH_FEATURES), on_gpu(1))
    assert not cuda_match.serves(torch.zeros(1, plan.MATCH_FEATURES, 1, 1), torch.zeros(1, plan.MATCH_CHANNELS, 1, 1))
    monkeypatch.setattr(cuda, "unavailable", lambda: "there is no CuPy")
    assert not cuda_match.serves(on_gpu(plan.MATCH_FEATURES), on_gpu(plan.MATCH_CHANNELS))
