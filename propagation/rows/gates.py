"""Logits to gates in one pass: read in the convolution's own layout and type, written in the layout of the scans."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

from kernels.threads import run_parts
from propagation.rows.exponential import softmax

_options: Any = {"nogil": True, "cache": True, "fastmath": {"contract", "nsz", "arcp"}, "error_model": "numpy"}


def shares(logits: Tensor, first: int, groups: int, kept: int, scale: float) -> Tensor:
    """scale * the first `kept` of four softmaxed logits, for `groups` groups from channel `first` on.

    logits (B, C, H, W), float32 or bfloat16, best in channels-last layout; returns (B, groups, kept, H, W) float32.
    """
    b, _, h, w = logits.shape
    lines = logits.permute(0, 2, 3, 1).contiguous()
    # As bits: bfloat16 is the upper half of a float32.
    if lines.dtype == torch.bfloat16:
        codes, missing = lines.view(torch.int16).numpy().view(np.uint16), 16
    else:
        codes, missing = lines.float().numpy().view(np.uint32), 0
    out = torch.empty(b, groups, kept, h, w)
    run_parts(_shares, (codes, np.uint32(missing), first, groups, np.float32(scale), out.numpy()), b * h, out.numel())
    return out


@njit(**_options)
def _shares(codes: Any, missing: Any, channel: int, groups: int, scale: Any, out: Any, first: int, last: int) -> None:
    h, w = codes.shape[1:3]
    rows, room = np.empty((4, w), np.float32), np.empty(w, np.int32)
    bits = rows.view(np.uint32)
    for n in range(first, last):
        b, y = n // h, n % h
        for g in range(groups):
            for k in range(4):
                for x in range(w):
                    bits[k, x] = np.uint32(codes[b, y, x, channel + 4 * g + k]) << missing
            softmax(rows, room)
            for k in range(out.shape[2]):
                for x in range(w):
                    out[b, g, k, y, x] = scale * rows[k, x]
