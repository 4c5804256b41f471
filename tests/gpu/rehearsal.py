"""`run.py` from its first line to its last without a GPU, so that its own mistakes do not wait for one.

    python -m tests.gpu.rehearsal FOLDER

The kernels run in the shim (`tests.kernels.shim`); torch's CUDA streams, events and graphs are stand-ins that compute
at once, tensors made for "cuda" lie in main memory, and the networks take the way that they take on a GPU. Sizes are
small. What speeds it prints mean nothing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from kernels import cuda, cuda_device, cuda_patches, registry
from kernels import cuda_plan as plan
from tests.gpu import bandwidth, columns, correct, pipeline, run
from tests.kernels.shim import build

STORAGE = {torch.float32: "Float", torch.float64: "Double"}
# Lines of at most 512 pixels, as everywhere here: to compile all variants would take long, and they have their tests.
CASES = [((2, 6, 13, 17), 2, 4, 99 << 10), ((1, 3, 23, 31), 1, 99, 99 << 10)]


class InMainMemory(TorchFunctionMode):
    """Whatever is asked to be on "cuda" is made in main memory, and kept there for the graph that is being captured."""

    kept: list[Any] | None = None

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.Tensor.pin_memory:
            return args[0]
        moved = {name: _moved(value) for name, value in (kwargs or {}).items()}
        made = function(*map(_moved, args), **moved)
        if self.kept is not None:
            self.kept.append(made)
        return made


def _moved(value: Any) -> Any:
    is_cuda = isinstance(value, (str, torch.device)) and str(value).startswith("cuda")
    return torch.device("cpu") if is_cuda else value


class Device(build.ShimDevice):
    """Launches at once, and into the graph that is being captured."""

    capturing: list[tuple[Any, ...]] | None = None

    def launch(self, *launch: Any) -> None:
        super().launch(*launch)
        if self.capturing is not None:
            self.capturing.append((*launch[:-1], launch[-1].copy()))


def _stand_ins(device: Device, memory: InMainMemory) -> dict[str, Any]:
    class Graph:
        def __init__(self) -> None:
            self.launches: list[tuple[Any, ...]] = []
            self.tensors: list[Any] = []

        def replay(self) -> None:
            for launch in self.launches:
                device.launch(*launch)

    @contextlib.contextmanager
    def graph(captured: Graph) -> Iterator[None]:
        device.capturing, memory.kept = captured.launches, captured.tensors
        yield
        device.capturing = memory.kept = None

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = time.perf_counter()

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, end: Event) -> float:
            return 1000 * (end.at - self.at)

    class Stream:
        def wait_stream(self, other: Stream) -> None:
            pass

    return {
        "CUDAGraph": Graph, "graph": graph, "Event": Event, "Stream": Stream, "current_stream": Stream,
        "stream": lambda _: contextlib.nullcontext(), "synchronize": lambda: None, "empty_cache": lambda: None,
        "current_device": lambda: 0, "get_device_name": lambda: "no GPU: a rehearsal", "_sleep": lambda _: None,
    }


def _lines(storage: str) -> Iterator[str]:
    """Source lines of the kernels that are launched here."""
    short = [v for v in plan.every_variant() if v.storage == storage and (v.one_warp or v.rows < 2)]
    yield from (v.source for v in short)
    yield from (line for name, line in plan.pixel_kernels() if name.endswith(f"_{storage.lower()}"))


@contextlib.contextmanager
def rehearsal(folder: Path) -> Iterator[Device]:
    """Puts everything in its place."""
    text = build.kernel_text()
    lines = {name: "".join(_lines(name)) for name in STORAGE.values()}
    lines["others"] = "".join(line for _, line in [*plan.patch_kernels(), *plan.match_kernels()])
    lines |= {kind: columns.source(kind, torch.float32) for kind in ("forward", "backward")}
    started = [build.start_compiling(text, some, folder, name) for name, some in lines.items()]
    device = Device([build.finish(each) for each in started])
    real_generator, real_load = torch.Generator, nn.Module.load_state_dict

    def load(self: nn.Module, *state: Any, **options: Any) -> Any:
        found = real_load(self, *state, **options)
        self.requires_grad_(False)
        return found

    memory = InMainMemory()
    changes = [
        mock.patch.multiple(torch.cuda, **_stand_ins(device, memory)),
        # Without inference mode, and with nothing to differentiate, a network takes the way that it takes on a GPU.
        mock.patch.multiple(torch, Generator=lambda _: real_generator(), inference_mode=contextlib.nullcontext),
        mock.patch.object(nn.Module, "load_state_dict", load),
        mock.patch.multiple(cuda, STORAGE=STORAGE, _device=lambda _: device, unavailable=lambda: None),
        mock.patch.object(cuda_patches, "serves", lambda tensor: True),
        mock.patch.object(cuda_device, "device", lambda _: device),
        mock.patch.dict(registry._BACKENDS, {"cuda": ("kernels.cuda", ("cuda", "cpu"))}),
        mock.patch.dict(registry._BACKENDS, {"cpu": ("kernels.cpu", ())}),
        mock.patch.multiple(correct, CASES=CASES, LARGE=[], FRAME=(48, 80)),
        mock.patch.multiple(bandwidth, SIZES=((8, 9), (16, 12)), PLANES=(1, 2), DTYPES=(torch.float32,), LOOP_PLANES=2,
                            ROTATED_BYTES=1 << 12, COPIED_BYTES=1 << 20),
        mock.patch.multiple(pipeline, HEIGHT=40, WIDTH=56, FRAMES=4),
        memory,
    ]
    with contextlib.ExitStack() as stack:
        for change in changes:
            stack.enter_context(change)
        yield device


def main(folder: Path) -> int:
    """Rehearses; exits as `run.py` does."""
    import propagation.densify
    import propagation.hdr.device_walk
    import propagation.sequence  # before inference_mode has a stand-in, which decorates nothing  # noqa: F401

    with rehearsal(folder):
        return run.run(folder, time.monotonic() + run.PIPELINE_S + 60, "cpu:0")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
