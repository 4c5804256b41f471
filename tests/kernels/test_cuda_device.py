"""How kernels are compiled and launched, with a CuPy that only writes down what it is asked."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kernels import cuda, cuda_device
from kernels import cuda_plan as plan


class FakeKernel:
    def __init__(self, log, name):
        self.log, self.name, self.max_dynamic_shared_size_bytes = log, name, 0

    def __call__(self, grid, block, args, shared_mem):
        self.log.append(("launch", self.name, grid, block, args, shared_mem, self.max_dynamic_shared_size_bytes))


@pytest.fixture
def log(monkeypatch):
    """A machine with two devices, on each of which torch's current stream is another one at every look."""
    log: list[tuple] = []

    @contextmanager
    def entered(kind, what):
        log.append((f"enter {kind}", what))
        yield
        log.append((f"leave {kind}", what))

    def module(code, options):
        log.append(("compile", code, options))
        return SimpleNamespace(get_function=lambda name: FakeKernel(log, name))

    runtime = SimpleNamespace(cudaDevAttrMultiProcessorCount=16, cudaDevAttrMaxSharedMemoryPerBlockOptin=97,
                              deviceGetAttribute=lambda attribute, index: {16: 132, 97: 232448}[attribute])
    fake = SimpleNamespace(RawModule=module, cuda=SimpleNamespace(
        runtime=runtime, Device=lambda index: entered("device", index),
        Stream=SimpleNamespace(from_external=lambda stream: entered("stream", stream))))
    streams = iter(range(100))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda index: f"{index}:{next(streams)}")
    return log


def test_a_kernel_is_compiled_once_a_device_and_launched_on_the_current_stream(log, monkeypatch):
    variant = plan.scan_variants("Float", "FORWARD")["short"]
    call = np.zeros(1, cuda.CALL)
    monkeypatch.setattr(cuda_device, "_devices", {})
    for index in (0, 1, 0):
        device = cuda_device.device(index)
        assert (device.processors, device.shared_limit) == (132, 232448)
        device.launch(variant.name, variant.source, (3,), 64, 1000, call)
    compiled = [entry for entry in log if entry[0] == "compile"]
    assert len(compiled) == 2 and all(variant.source in code and "struct Call" in code for _, code, _ in compiled)
    launches = [i for i, entry in enumerate(log) if entry[0] == "launch"]
    assert len(launches) == 3
    for i, index, stream in zip(launches, (0, 1, 0), ("0:0", "1:1", "0:2"), strict=True):
        assert log[i - 2:i] == [("enter device", index), ("enter stream", stream)]
        assert log[i][1:] == (variant.name, (3,), (64,), (call,), 1000, 232448)


def test_every_argument_is_one_struct_by_value(log, monkeypatch):
    device = cuda_device.Device(0)
    monkeypatch.setattr(cuda, "_device", lambda tensor: device)
    x, gates = torch.zeros(1, 3, 40, 150), [torch.zeros(1, 1, 3, 150, 40), torch.zeros(1, 1, 3, 40, 150)]
    ways = [(True, True), (False, False)]
    hs = cuda.forward(x, gates, ways, "sum", True)
    launch = next(entry for entry in log if entry[0] == "launch")
    (call,) = launch[4]
    assert call.shape == (1,) and call.dtype == cuda.CALL and call.itemsize == 280
    assert call["ways"][0, 0]["images"][0] == x.data_ptr() and call["ways"][0, 1]["out"] == hs[1].data_ptr()
    assert list(call["ways"][0, :2]["horizontal"]) == [1, 0] and list(call["ways"][0, :2]["reverse"]) == [1, 0]
    assert (call["height"][0], call["width"][0], call["norm"][0], call["way_count"][0]) == (40, 150, 2, 2)
    assert launch[2] == (6,) and launch[3] == (160,)
