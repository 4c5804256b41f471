"""Tensors in memory that ends where they end: a read or write past the end stops the process at once."""

from __future__ import annotations

import ctypes
import math
import mmap

import torch
from torch import Tensor


def fenced(shape: tuple[int, ...], dtype: torch.dtype, fill: Tensor | None = None) -> Tensor:
    """A tensor before a page that cannot be touched, with the values of `fill` or NaN."""
    count = math.prod(shape)
    size = count * dtype.itemsize
    pages = -(-size // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    end = start + pages * mmap.PAGESIZE
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, mmap.PROT_NONE if hasattr(mmap, "PROT_NONE")
                                  else 0):
        raise OSError("mprotect refused")
    if not count:
        return torch.empty(shape, dtype=dtype)
    tensor = torch.frombuffer(memory, dtype=dtype, count=count, offset=pages * mmap.PAGESIZE - size).view(shape)
    return tensor.copy_(fill) if fill is not None else tensor.fill_(float("nan"))


def fenced_copy(tensor: Tensor) -> Tensor:
    """The same values, fenced."""
    return fenced(tuple(tensor.shape), tensor.dtype, tensor)
