"""The memory that the bench prints: of a process of its own, and growing with what it does."""

from __future__ import annotations

import numpy as np

from propagation.bench import memory
from propagation.bench.densify import DensifyTable


def test_the_peak_is_what_was_held_and_given_back():
    before = memory.peak_bytes()
    ballast = np.ones(10**8 // 8)
    held = ballast.nbytes
    del ballast
    # The other count of the same starts from what the process before this one held.
    assert max(before, held) <= memory.peak_bytes() <= 1.1 * memory._rusage_bytes()


def test_a_frame_is_filled_in_a_process_of_its_own():
    """Its peak is not that of the process that asks, which holds a gigabyte here."""
    ballast = np.ones(10**9 // 8)
    peaks = memory.fill_peaks(((96, 64),))
    assert list(peaks) == ["96x64"] and 50e6 < peaks["96x64"] < ballast.nbytes
    table = DensifyTable((), "a machine", 1.0, memory=peaks)
    assert "96x64: 0." in table.markdown() and table.to_json()["memory"] == peaks
