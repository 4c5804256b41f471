"""What the networks and the tracker do pixel by pixel on a CPU, as numba passes over the rows: every map is read and
written once, where separate tensor operations would go through memory for each."""

from pathlib import Path

from kernels.compiled import drop_stale

drop_stale(Path(__file__).parent)
