"""The third stage of the temporal network keeps a share of what it began from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from propagation.tpn import TemporalPropagationNetwork
from propagation.training import tpn_photos
from propagation.weights import expected_tensors, load_weights, weights_path


def test_a_share_of_the_weights_that_it_began_from_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def learned(model, data, folder, recipe):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 3.0
        return SimpleNamespace(model=model), {"PSNR ab": 1.0}

    def scored(model, material, longest):
        return {"PSNR ab": next(model.parameters()).flatten()[0].item(), "longest": longest}

    monkeypatch.setattr(tpn_photos, "fit", learned)
    monkeypatch.setattr(tpn_photos, "clips_to_train_and_score", lambda *_: ([], []))
    monkeypatch.setattr(tpn_photos, "score", scored)
    run, scores = tpn_photos.train(tmp_path, tmp_path, tpn_photos.TpnPhotosRecipe(of_start=0.25))
    known = load_weights(weights_path("tpn-color"), expected_tensors(TemporalPropagationNetwork()))
    for name, parameter in run.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), known[name].float() + 0.75 * 3.0, rtol=0, atol=1e-5)
    # What is scored is what is returned, not what was learned.
    assert scores == {"PSNR ab": next(run.model.parameters()).flatten()[0].item(), "longest": 23}
