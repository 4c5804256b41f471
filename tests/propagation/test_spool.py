"""The spool: what went in comes out, whatever its shape."""

from __future__ import annotations

import numpy as np
import pytest

from propagation.spool import Spool


def test_arrays_of_any_shape_and_type_come_back_in_any_order():
    rng = np.random.default_rng(0)
    blocks = {7: rng.random((3, 4, 2)).astype(np.float16), -1: rng.random((5, 1)), 2: np.arange(6, dtype=np.int16)}
    with Spool() as spool:
        for index, block in blocks.items():
            spool.put(index, block)
        for index in (2, 7, -1, 7):
            taken = spool.take(index)
            assert taken.dtype == blocks[index].dtype and np.array_equal(taken, blocks[index])
    with pytest.raises(ValueError, match="closed"):
        spool.take(7)
