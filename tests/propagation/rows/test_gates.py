"""Gates in one pass against torch's softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from propagation.rows.exponential import exponential
from propagation.rows.gates import shares


def test_exponentials_are_numpys():
    values = np.linspace(-80, 80, 4001).astype(np.float32)
    found = values.copy()
    exponential(found, np.empty(found.size, np.int32))
    np.testing.assert_allclose(found, np.exp(values.astype(np.float64)), rtol=2e-5)


def test_what_underflows_is_nothing_and_not_rubbish():
    values = np.array([-90, -1e4, -np.inf], np.float32)
    exponential(values, np.empty(3, np.int32))
    assert (values >= 0).all() and (values < 1e-30).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_shares_are_softmaxes_of_four(dtype, layout):
    logits = (5 * torch.randn(2, 20, 13, 37, generator=torch.Generator().manual_seed(0))).to(dtype)
    found = shares(logits.contiguous(memory_format=layout), 4, 3, 3, 0.999)
    expected = 0.999 * logits.float()[:, 4:16].unflatten(1, (3, 4)).softmax(2)[:, :, :3]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
