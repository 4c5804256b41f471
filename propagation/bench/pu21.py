"""PU21: light in cd/m2 to values whose differences are seen alike (Mantiuk and Azimi 2021, fit "banding + glare")."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DARKEST_NITS, BRIGHTEST_NITS = 0.005, 10_000.0
# The peak of PSNR on PU21 values: about what 100 cd/m2 is encoded as, so that figures compare with ordinary PSNR.
PEAK = 256.0
_P = (0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627, 0.09150303166, 0.9099517204, 596.3148142)


def pu21(nits: NDArray[Any]) -> NDArray[np.float64]:
    """p7 (((p1 + p2 L^p4) / (1 + p3 L^p4))^p5 - p6), L clipped to 0.005 to 10,000 cd/m2; 0 to about 595."""
    power = np.clip(np.asarray(nits, np.float64), DARKEST_NITS, BRIGHTEST_NITS) ** _P[3]
    encoded = _P[6] * (((_P[0] + _P[1] * power) / (1 + _P[2] * power)) ** _P[4] - _P[5])
    return np.asarray(np.maximum(encoded, 0))


def pu21_psnr(squared_error: float) -> float:
    """dB of a mean squared error of PU21 values; infinite for none."""
    return float("inf") if squared_error == 0 else float(10 * np.log10(PEAK**2 / squared_error))
