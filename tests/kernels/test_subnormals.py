"""Numbers that are too small for a normal float32 are zero in kernels, and only there."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from kernels.scan import line_scan
from kernels.subnormals import flush, restore
from kernels.threads import get_threads, run_all, set_threads

SMALL = np.float32(1e-38)  # the smallest normal number is 1.18e-38
pytestmark = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="only x86 takes a detour for subnormal numbers"
)


def product() -> float:
    return float(SMALL * np.float32(0.5))


def test_a_thread_flushes_until_it_restores() -> None:
    assert product() > 0
    before = flush()
    inside = product()
    restore(before)
    assert inside == 0 and product() > 0


def test_what_was_set_before_comes_back() -> None:
    outer = flush()
    inner = flush()
    restore(inner)
    still = product()
    restore(outer)
    assert still == 0 and product() > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_flush_on_every_thread_and_leave_the_callers_as_it_was(threads: int) -> None:
    found: list[float] = []
    usual = get_threads()
    set_threads(threads)
    try:
        run_all([(lambda: found.append(product()), ())] * 8, 10**6)
        with pytest.raises(ZeroDivisionError):
            run_all([(lambda: 1 / 0, ())], 10**6)
    finally:
        set_threads(usual)
    assert found == [0.0] * 8 and product() > 0
    with ThreadPoolExecutor(1) as other:
        assert other.submit(product).result() > 0


def test_a_scan_ends_at_zero_rather_than_below_normal_numbers() -> None:
    x = torch.zeros(1, 1, 1, 300)
    x[..., 0] = 1.0
    gates = torch.full((1, 1, 3, 1, 300), 0.5)
    carried = line_scan(x, gates, "left_to_right", norm="none", backend="cpu")[0, 0, 0].numpy()
    wanted = 0.5 ** np.arange(300.0)
    assert np.array_equal(carried[:126], wanted[:126].astype(np.float32))
    assert not carried[128:].any()
