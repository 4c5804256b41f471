"""What convolutions in bfloat16 change, and where they are used."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import torch

from propagation.bench.protocol import to_lab
from propagation.densify import Densifier, Hints
from propagation.training.clips import shrink
from propagation.video.reader import open_clip
from tests.propagation.test_densify import FLOWER


def test_colors_from_bfloat16_are_within_a_tenth_of_a_unit_on_average(monkeypatch):
    """As `propagation.precision` says; bfloat16 is emulated where the processor has none."""
    with open_clip(FLOWER) as clip:
        lab = to_lab(shrink(clip.frame(75).image, 160))
    strength = (np.random.default_rng(0).random(lab.shape[:2]) < 0.005).astype(np.float32)
    hints = Hints(lab[..., 1:] * strength[..., None], strength)
    densifier = Densifier.load()
    found = {}
    for name, context in (("float32", nullcontext()), ("bfloat16", torch.autocast("cpu", torch.bfloat16))):
        monkeypatch.setattr("propagation.densify.fast_convolutions", lambda device, context=context: context)
        found[name] = densifier.fill(densifier.prepare(lab[..., 0]), hints).values
    difference = np.abs(found["bfloat16"] - found["float32"])
    assert 0 < difference.mean() < 0.1
