"""The kernels that search patches, run on the CPU by the shim, against the tensor operations that say the same."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from kernels import cuda, cuda_patches
from kernels import cuda_plan as plan
from propagation import patch_flow
from propagation.patch_flow import FlowConfig
from tests.kernels.shim import build
from tests.kernels.shim.fence import fenced_copy
from tests.kernels.test_cuda import use

STRUCT = 'extern "C" int size_of_patches() { return sizeof(Patches); }\n'


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    reason = build.why_not()
    if reason is not None:
        pytest.skip(reason)
    lines = "".join(line for _, line in plan.patch_kernels()) + STRUCT
    folder = tmp_path_factory.mktemp("patches")
    return build.finish(build.start_compiling(build.kernel_text(), lines, folder, "patches"))


def pair(batch: int, h: int, w: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two textured pictures (batch, 1, h, w) of which one has moved a little."""
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(batch):
        big = cv2.GaussianBlur(rng.random((h + 12, w + 12)).astype(np.float32), (0, 0), 2) * 400
        pictures.append((big[6 : 6 + h, 6 : 6 + w].copy(), big[4 : 4 + h, 7 : 7 + w].copy()))
    return tuple(torch.from_numpy(np.stack(each))[:, None] for each in zip(*pictures, strict=True))


def both(library, monkeypatch, source, target, flow, config):
    """What the operations find, and what the kernels do."""
    wanted = patch_flow.search_by_operations(source, target, flow, config)
    with monkeypatch.context() as patch:
        use(build.ShimDevice([library]), patch)
        patch.setattr(cuda_patches, "serves", lambda tensor: True)
        pictures = fenced_copy(source), fenced_copy(target)
        return wanted, patch_flow.search(*pictures, flow, config)


def test_the_struct_is_the_kernels(library):
    assert library.size_of_patches() == cuda_patches.PATCHES.itemsize


@pytest.mark.parametrize("shape", [(1, 40, 61), (2, 33, 28), (1, 1, 1), (1, 3, 50), (2, 17, 8)])
@pytest.mark.parametrize("rounds", [1, 2])
def test_motion_is_that_of_the_operations(library, monkeypatch, shape, rounds):
    source, target = pair(*shape)
    b, h, w = shape
    flow = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (b, 2, h, w)).astype(np.float32))
    wanted, found = both(library, monkeypatch, source, target, flow, FlowConfig(1, 5, rounds))
    assert found.shape == wanted.shape and torch.isfinite(found).all()
    # Sums in another order: where two motions fit equally well the other one may be taken, and its patch is 8 by 8.
    assert ((found - wanted).abs() > 0.01).float().mean() < 0.02


def test_a_motion_far_out_of_the_picture_reads_the_border(library, monkeypatch):
    source, target = pair(1, 24, 24)
    flow = torch.full((1, 2, 24, 24), 1e6)
    wanted, found = both(library, monkeypatch, source, target, flow, FlowConfig(1, 2))
    assert torch.allclose(found, wanted)


def test_a_whole_flow_is_that_of_the_operations(library, monkeypatch):
    source, target = pair(2, 70, 90)
    config = FlowConfig(finest=1, steps=4)
    wanted = patch_flow.patch_flow(source, target, config)
    shim = build.ShimDevice([library])
    use(shim, monkeypatch)
    monkeypatch.setattr(cuda_patches, "serves", lambda tensor: True)
    found = patch_flow.patch_flow(source, target, config)
    assert ((found - wanted).abs() > 0.02).float().mean() < 0.02
    assert shim.launched == ["search_patches", "mean_patches"] * 2


def test_the_kernels_serve_floats_on_a_gpu_that_can_run_them(monkeypatch):
    assert not cuda_patches.serves(torch.zeros(1))
    on_gpu = type("Tensor", (), {"device": torch.device("cuda"), "dtype": torch.float32})()
    for reason in (None, "there is no CuPy"):
        monkeypatch.setattr(cuda, "unavailable", lambda reason=reason: reason)
        assert cuda_patches.serves(on_gpu) == (reason is None)
