"""The reference display of BT.709 and BT.601 video: ITU-R BT.1886 (03/2011), annex 1, with a black of zero.

A camera's OETF (BT.709 item 1.2) is no inverse of it, on purpose: what counts here is the light a viewer sees.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

GAMMA = 2.4


def bt1886_to_linear(signal: NDArray[Any]) -> NDArray[Any]:
    """Signal 0..1 to display light 0..1 (relative to white), L = V^2.4; negative signals give 0."""
    return np.maximum(signal, 0) ** GAMMA


def linear_to_bt1886(linear: NDArray[Any]) -> NDArray[Any]:
    """Display light 0..1 to signal 0..1, V = L^(1/2.4); negative light gives 0."""
    return np.maximum(linear, 0) ** (1 / GAMMA)
