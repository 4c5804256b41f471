"""A GPU that fails: the CPU goes on, and says so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from kernels.fallback import Placed, gpu_failure


class FailingPlaced(Placed[nn.Linear]):
    """Pretends to be on a GPU, which needs no GPU to fail."""

    def __init__(self, tell):
        super().__init__(nn.Linear(2, 1), "cpu", tell)
        self.device = "cuda"


LOST = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")


@pytest.mark.parametrize(("error", "word"), [(torch.OutOfMemoryError("CUDA out of memory."), "memory"),
                                             (LOST, "unspecified launch failure")])
def test_the_cpu_goes_on_and_says_so_once(error, word):
    said, devices = [], []
    placed = FailingPlaced(said.append)

    def work(model, device):
        devices.append(device)
        if device == "cuda":
            raise error
        return model(torch.ones(1, 2))

    assert torch.equal(placed.run(work), placed.run(work))
    assert devices == ["cuda", "cpu", "cpu"]
    assert len(said) == 1 and word in said[0] and "CPU" in said[0]


def test_other_errors_pass_through():
    placed = FailingPlaced(lambda text: pytest.fail(text))
    with pytest.raises(ValueError, match="hints"):
        placed.run(lambda model, device: (_ for _ in ()).throw(ValueError("no hints")))
    assert placed.device == "cuda"
    assert gpu_failure(RuntimeError("shapes do not fit")) is None


def test_a_failure_on_the_cpu_is_no_failure_of_a_gpu():
    placed = Placed(nn.Linear(2, 1), "cpu", lambda text: pytest.fail(text))
    with pytest.raises(RuntimeError, match="CUDA error"):
        placed.run(lambda model, device: (_ for _ in ()).throw(LOST))
