"""Elementary functions of rows against numpy's."""

from __future__ import annotations

import numpy as np

from propagation.rows.exponential import log_one_plus_root


def test_the_logarithm_is_that_of_one_and_the_root():
    squares = np.concatenate([[0, 1e-12, 1e12], np.logspace(-8, 8, 5000)]).astype(np.float32)
    found = squares.copy()
    log_one_plus_root(found, np.empty(squares.size, np.int32))
    wanted = np.log1p(np.sqrt(squares.astype(np.float64)))
    # Of 1 + root in float32, half an epsilon is lost before anything else.
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=2e-7)
    assert found[0] == 0
