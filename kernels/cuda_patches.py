"""The kernels of cuda_patches.cu on torch tensors: what `propagation.patch_flow` otherwise does in many operations."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernels import cuda
from kernels import cuda_plan as plan

# The struct of the .cu file, field by field.
PATCHES = np.dtype([*((name, "u8") for name in ("source", "target", "start", "motion", "level", "flow")),
                    *((name, "i4") for name in ("batch", "height", "width", "rows", "columns", "steps")),
                    ("noise", "f4"), ("equal", "f4")], align=True)


def serves(tensor: Tensor) -> bool:
    """Whether the kernels can run where the tensor is."""
    return tensor.device.type == "cuda" and tensor.dtype == torch.float32 and cuda.unavailable() is None


def search(source: Tensor, target: Tensor, start: Tensor, steps: int, rounds: int, noise: float,
           equal: float) -> Tensor:
    """Motion (B, 2, H, W) from source (B, 1, H, W) to target, in pixels, x first.

    start (B, rows, columns, 2): motion of each patch beforehand. In each round a patch takes the best of it and of its
    neighbours', and goes on from there by so many Gauss-Newton steps. `noise` is added to structure tensors; below a
    difference of `equal` a pixel fits as well as it can.
    """
    source, target, start = source.contiguous(), target.contiguous(), start.contiguous()
    b, _, h, w = source.shape
    rows, columns = start.shape[1:3]
    level = torch.empty((b, rows, columns), dtype=source.dtype, device=source.device)
    flow = torch.empty((b, 2, h, w), dtype=source.dtype, device=source.device)
    call = np.zeros(1, PATCHES)
    values = {"source": source.data_ptr(), "target": target.data_ptr(), "level": level.data_ptr(),
              "flow": flow.data_ptr(), "batch": b, "height": h, "width": w, "rows": rows, "columns": columns,
              "steps": steps, "noise": noise, "equal": equal}
    for name, value in values.items():
        call[name] = value
    motion = start
    for _ in range(rounds):
        before, motion = motion, torch.empty_like(start)
        call["start"], call["motion"] = before.data_ptr(), motion.data_ptr()
        _launch("search", source, b * rows * columns * plan.LANES, call)
    _launch("mean", source, b * h * w, call)
    return flow


def _launch(kind: str, tensor: Tensor, threads: int, call: NDArray[Any]) -> None:
    name = f"{kind}_patches"
    blocks = -(-threads // plan.PIXEL_THREADS)
    cuda._device(tensor).launch(name, plan.patch_source(kind), (blocks,), plan.PIXEL_THREADS, 0, call)
