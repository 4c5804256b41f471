"""Compiles every CUDA kernel for the architectures that matter, without a GPU, and reads what the assembler reports.

Each kernel is compiled for two of the architectures, in turns; with HUECAST_EVERY_ARCHITECTURE set, for all of them
(two minutes of processor time).
"""

from __future__ import annotations

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch  # noqa: F401  before CuPy

from kernels import cuda_device
from kernels import cuda_plan as plan

ARCHITECTURES = (75, 80, 86, 89, 90)
REGISTERS = 65536  # of a multiprocessor: those of a block must fit
# CuPy's own additions to `cuda_device.OPTIONS`, and the report.
OPTIONS = (*cuda_device.OPTIONS, "-ftz=true", "--device-as-default-execution-space", "--ptxas-options=-v")
REPORT = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@pytest.fixture(scope="module")
def nvrtc():
    """CuPy's binding of the compiler, which needs no driver."""
    pytest.importorskip("cupy", reason="CuPy is not installed (it comes with the test extra)")
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except Exception as error:  # raised by CuPy's loader in a class that is not public
        pytest.skip(f"NVRTC cannot be loaded (it comes with the test extra): {error}")
    return nvrtc


def kernels():
    """Name, source line and threads of every kernel."""
    yield from ((v.name, v.source, v.threads) for v in plan.every_variant())
    yield from ((name, line, plan.PIXEL_THREADS)
                for name, line in [*plan.pixel_kernels(), *plan.patch_kernels(), *plan.match_kernels()])


def compiled(nvrtc, line, architecture):
    """The assembler's report."""
    program = nvrtc.createProgram(cuda_device.source() + line, "kernels.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*OPTIONS, f"-arch=sm_{architecture}"))
    except nvrtc.NVRTCError:
        raise AssertionError(nvrtc.getProgramLog(program)) from None
    report = nvrtc.getProgramLog(program)
    nvrtc.destroyProgram(program)
    return report


def test_every_kernel_compiles_without_spilling(nvrtc):
    jobs = []
    for number, (name, line, threads) in enumerate(kernels()):
        turns = ARCHITECTURES if "HUECAST_EVERY_ARCHITECTURE" in os.environ else (
            ARCHITECTURES[number % 5], ARCHITECTURES[(number + 2) % 5])
        jobs += [(name, line, threads, architecture) for architecture in turns]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(lambda job: compiled(nvrtc, job[1], job[3]), jobs))
    faults = [f"{name} for sm_{architecture}: {fault}"
              for (name, _, threads, architecture), report in zip(jobs, reports, strict=True)
              for fault in found_faults(name, threads, report)]
    assert not faults, "\n".join(faults)


def found_faults(name, threads, report):
    """What a report says against a kernel."""
    if f"'{name}'" not in report:
        yield "it is not in the report"
    frame = REPORT.search(report)
    if frame is None or frame.groups() != ("0", "0", "0"):
        yield f"it spills: {frame and frame.group()}"
    registers = int(re.search(r"Used (\d+) registers", report).group(1))
    if -(-registers // 8) * 8 * threads > REGISTERS:
        yield f"{registers} registers a thread, {threads} threads"
    static = re.search(r"(\d+) bytes smem", report)
    if static is not None and int(static.group(1)):
        yield f"{static.group()} beside what the plan counts"


def test_a_mistake_is_reported_with_its_line(nvrtc):
    with pytest.raises(AssertionError, match="undeclared_thing"):
        compiled(nvrtc, 'extern "C" __global__ void k() { undeclared_thing(); }', 80)


def test_cupy_has_what_the_backend_calls():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed (it comes with the test extra)")
    assert callable(cupy.RawModule) and callable(cupy.cuda.Device)
    assert hasattr(cupy.cuda.Stream, "from_external") or callable(cupy.cuda.ExternalStream)
    assert isinstance(cupy.cuda.runtime.cudaDevAttrMaxSharedMemoryPerBlockOptin, int)
    assert isinstance(cupy.cuda.runtime.cudaDevAttrMultiProcessorCount, int)
    assert isinstance(cupy.cuda.runtime.runtimeGetVersion(), int)


@pytest.mark.parametrize("limit", [64 << 10, 99 << 10, 163 << 10, 227 << 10])
def test_no_plan_asks_for_more_than_the_device_has(limit):
    for storage in plan.STORED_BYTES:
        for operation in plan.OPERATIONS:
            for length in (1, 31, 128, 129, 480, 512, 854, 1080, 1920, 2048, 2049, 9000):
                for units, channels in ((1, 1), (1, 3), (32, 1), (2, 32)):
                    for scanned in (True, False):
                        size = plan.Size(units, channels, length, 640, 4, True, True, scanned)
                        layout = plan.lay_out(storage, operation, size, 132, limit)
                        assert layout.shared_bytes <= limit and layout.threads <= layout.variant.threads
                        assert layout.threads % plan.LANES == 0
                        assert layout.variant.rows == 0 or size.length <= layout.variant.longest
