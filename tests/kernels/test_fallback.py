"""A GPU that fails: smaller pieces where memory lacks, then the CPU, with a word. "cpu:0" stands for the GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from torch import nn

from kernels.fallback import Placed, gpu_failure

FULL = torch.OutOfMemoryError("CUDA out of memory.")
LOST = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be reported later")
ONES = torch.ones(1, 2)


def failing(error, devices):
    """Work that `error` ends everywhere but on the CPU, and that writes down where it was tried."""

    def work(model, device):
        devices.append(device)
        if device != "cpu":
            raise error
        return model(ONES)

    return work


@pytest.mark.parametrize(("error", "word"), [(FULL, "memory"), (LOST, "unspecified launch failure")])
def test_the_cpu_goes_on_and_says_so_once(error, word):
    said, devices = [], []
    model = nn.Linear(2, 1)
    placed = Placed(model, "cpu:0", said.append)
    work = failing(error, devices)
    assert torch.equal(placed.run(work), model(ONES)) and torch.equal(placed.run(work), model(ONES))
    assert devices == ["cpu:0", "cpu", "cpu"] and placed.device == "cpu"
    assert len(said) == 1 and word in said[0] and "CPU" in said[0]


def test_without_memory_smaller_pieces_are_tried_first_and_that_is_said_once():
    said, devices, sizes = [], [], []
    placed = Placed(nn.Linear(2, 1), "cpu:0", said.append)

    def halves(model, device):
        sizes.append(2)
        raise FULL

    def quarters(model, device):
        sizes.append(4)
        return device

    for _ in range(2):
        assert placed.run(failing(FULL, devices), halves, quarters) == "cpu:0"
    assert sizes == [2, 4] * 2 and devices == ["cpu:0"] * 2
    assert len(said) == 1 and "smaller pieces" in said[0]


def test_where_the_smallest_pieces_do_not_fit_the_cpu_does_the_whole():
    said, devices = [], []
    placed = Placed(nn.Linear(2, 1), "cpu:0", said.append)
    placed.run(failing(FULL, devices), failing(FULL, devices))
    assert devices == ["cpu:0", "cpu:0", "cpu"] and len(said) == 1


def test_a_lost_gpu_is_not_tried_with_smaller_pieces():
    devices = []
    placed = Placed(nn.Linear(2, 1), "cpu:0", lambda text: None)
    placed.run(failing(LOST, devices), lambda model, device: pytest.fail("the GPU is lost"))
    assert devices == ["cpu:0", "cpu"]


def test_a_gpu_without_room_for_the_model_is_left_at_once():
    class Large(nn.Linear):
        def to(self, *where):
            raise FULL

    said = []
    placed = Placed(Large(2, 1), "cpu:0", said.append)
    assert placed.device == "cpu" and "memory" in said[0]
    assert placed.run(lambda model, device: device) == "cpu"


@pytest.mark.parametrize("said", [
    "CUDA error: out of memory\nCUDA kernel errors might be",
    "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "cudaErrorMemoryAllocation: out of memory",
    "CUDA_ERROR_OUT_OF_MEMORY: out of memory",
    "Unable to find a valid cuDNN algorithm to run convolution",
    "GET was unable to find an engine to execute this computation",
])
def test_every_library_has_its_own_word_for_full_memory(said):
    assert gpu_failure(RuntimeError(said)) == "the GPU has too little free memory"


def test_two_threads_that_fail_at_once_say_it_once():
    said, both = [], Barrier(2)
    placed = Placed(nn.Linear(2, 1), "cpu:0", said.append)

    def work(model, device):
        if device != "cpu":
            both.wait(10)
            raise LOST
        return device

    with ThreadPoolExecutor(2) as pool:
        assert [job.result() for job in [pool.submit(placed.run, work) for _ in range(2)]] == ["cpu", "cpu"]
    assert len(said) == 1


def test_other_errors_pass_through():
    placed = Placed(nn.Linear(2, 1), "cpu:0", pytest.fail)
    with pytest.raises(ValueError, match="hints"):
        placed.run(failing(ValueError("no hints"), []))
    assert placed.device == "cpu:0"
    assert gpu_failure(RuntimeError("shapes do not fit")) is None


def test_a_failure_on_the_cpu_is_no_failure_of_a_gpu():
    def work(model, device):
        raise LOST

    with pytest.raises(RuntimeError, match="CUDA error"):
        Placed(nn.Linear(2, 1), "cpu", pytest.fail).run(work)
