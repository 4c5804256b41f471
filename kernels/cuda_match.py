"""The kernel of cuda_match.cu on torch tensors: `propagation.matching.match` in one launch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kernels import cuda
from kernels import cuda_plan as plan

# The struct of the .cu file, field by field.
MATCH = np.dtype([*((name, "u8") for name in ("wanted", "offered", "values", "nearness", "out")),
                  *((name, "i4") for name in ("batch", "height", "width", "reach"))], align=True)


def serves(wanted: Tensor, values: Tensor) -> bool:
    """Whether the kernel can run where these are, for so many features and channels."""
    fits = (wanted.shape[1], values.shape[1]) == (plan.MATCH_FEATURES, plan.MATCH_CHANNELS)
    floats = wanted.dtype == values.dtype == torch.float32
    return fits and floats and wanted.device.type == "cuda" and cuda.unavailable() is None


def match(wanted: Tensor, offered: Tensor, values: Tensor, nearness: Tensor) -> Tensor:
    """As `propagation.matching.match`, without gradients: (B, C, H, W)."""
    wanted, offered, values, nearness = (x.contiguous() for x in (wanted, offered, values, nearness))
    b, _, h, w = wanted.shape
    out = torch.empty((b, values.shape[1], h, w), dtype=values.dtype, device=values.device)
    call = np.zeros(1, MATCH)
    tensors = {"wanted": wanted, "offered": offered, "values": values, "nearness": nearness, "out": out}
    sizes = {"batch": b, "height": h, "width": w, "reach": offered.shape[-1] - w + 1}
    for name, value in ({name: tensor.data_ptr() for name, tensor in tensors.items()} | sizes).items():
        call[name] = value
    (name, line), = plan.match_kernels()
    blocks = -(-b * h * w // plan.PIXEL_THREADS)
    cuda._device(out).launch(name, line, (blocks,), plan.PIXEL_THREADS, 0, call)
    return out
