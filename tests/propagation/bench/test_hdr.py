"""The HDR bench: metrics against literal ones, baselines on clips where their result is known, the whole table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from propagation.bench import hdr
from propagation.bench.panoramas import VALIDATION, ClipRanges, make_clip
from propagation.bench.pu21 import pu21, pu21_psnr
from propagation.sequence import Carried
from propagation.video.hdr_images import HdrImage
from propagation.video.hdr_writer import write_hdr
from tests.propagation.bench.test_panoramas import panorama
from tests.propagation.hdr.scenes import scene

SMALL = ClipRanges(size=(64, 48), frames=5, pan_px=1.0)


def test_pu21_at_the_values_that_are_published() -> None:
    # 100 cd/m2 is about 256 by design; the range ends at 10,000 cd/m2 with 595.39.
    assert pu21(np.array(100.0)) == pytest.approx(256, abs=1)
    assert pu21(np.array(0.005)) == pytest.approx(0, abs=0.01)
    assert pu21(np.array(10000.0)) == pytest.approx(595.4, abs=0.1)
    assert (np.diff(pu21(np.geomspace(0.005, 10000, 500))) > 0).all()
    assert pu21_psnr(256.0**2) == 0


def test_the_truth_scores_perfectly_and_errors_as_they_are() -> None:
    clip = make_clip(panorama(), "a", 0, SMALL)
    perfect = hdr.score(clip, "truth", False, lambda frames, keys: enumerate(clip.truth))
    assert (perfect.clipped_error, perfect.pu21_error, perfect.gradient, perfect.flicker) == (0, 0, 0, 0)
    doubled = hdr.score(clip, "twice", False, lambda frames, keys: enumerate(2 * clip.truth))
    assert doubled.clipped_error**0.5 == pytest.approx(np.log10(2), rel=1e-3)
    assert doubled.clipped_pixels == sum(int(clip.clipped(n).sum()) for n in (1, 2, 3))
    literal = np.mean([(pu21(406 * clip.truth[n]) - pu21(203 * clip.truth[n])) ** 2 for n in (1, 2, 3)])
    assert doubled.pu21_error == pytest.approx(literal, rel=1e-6)
    # A factor changes neither gradients nor changes of log10 light, but for what lies below the floor.
    assert doubled.gradient < 0.01
    assert doubled.flicker < 1e-4


def test_a_method_that_leaves_frames_out_is_refused() -> None:
    clip = make_clip(panorama(), "a", 0, SMALL)
    with pytest.raises(ValueError, match="left out"):
        hdr.score(clip, "lazy", False, lambda frames, keys: [(1, clip.truth[1])])
    with pytest.raises(ValueError, match="finite"):
        hdr.score(clip, "nan", False, lambda frames, keys: [(1, clip.truth[1] * np.float32(np.nan))])


def test_baselines_do_what_their_names_say() -> None:
    still = ClipRanges(size=(64, 48), frames=4, pan_px=0.0, zoom=(1.0, 1.0), rotation_degrees=0.0, drift_stops=0.0)
    clip = make_clip(panorama(), "a", 1, still)
    frames, key = list(clip.frames), {0: clip.truth[0]}
    fitted = dict(hdr.response_fit(frames, key))[2]
    open_ = (clip.frames[2] > 60) & (clip.frames[2] < 240)
    assert np.median(np.abs(np.log10(fitted / clip.truth[2]))[open_]) < 0.02
    expanded = dict(hdr.gamma_expansion(frames, key))[2]
    np.testing.assert_allclose(expanded[open_] / (clip.frames[2][open_] / 255) ** 2.2, expanded.max(), rtol=1e-4)
    carried = dict(hdr.key_by_dis(frames, key))
    assert sorted(carried) == [1, 2, 3]
    assert np.median(np.abs(np.log10(carried[1] / clip.truth[1]))) < 0.05


def test_the_table_has_every_row_and_ours_is_best(tmp_path: Path) -> None:
    for name in VALIDATION:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        write_hdr(path, scene(), HdrImage(scene()))
    told: list[str] = []
    table = hdr.run(
        tmp_path,
        {"ours": hdr.ours},
        {"both": hdr.ours},
        names=["bridge"],
        seeds=[0],
        ranges=replace(SMALL, size=(96, 64), pan_px=1.5),
        timed=False,
        progress=lambda done, total, text: told.append(f"{done}/{total} {text}"),
    )
    assert told == ["1/1 bridge, seed 0"]
    assert table.methods == [hdr.RESPONSE, hdr.CHAIN, hdr.GAMMA, "ours", "both"]
    assert table.log_rmse("ours") < min(table.log_rmse(m) for m in table.baselines)
    assert table.psnr("ours") > max(table.psnr(m) for m in table.baselines)
    floors = table.floors()
    assert floors["log RMSE"] == pytest.approx(0.6 * min(map(table.log_rmse, table.baselines)))
    assert floors["PU21-PSNR"] == pytest.approx(max(map(table.psnr, table.baselines)) + 3)
    assert all(name in table.markdown() for name in ("ours", "both", "floor, two-sided", hdr.GAMMA))
    assert table.to_json()["summary"][3]["method"] == "ours"


class Still:
    """A carrier whose clip stands still."""

    def walk(self, lightness_of, order, start, key):  # type: ignore[no-untyped-def]
        for index in order:
            assert lightness_of(index).shape == key.values.shape[:2]
            yield Carried(index, key.values, key.confidence, key.error)


def test_the_network_alone_gets_log_light_and_gives_it_back() -> None:
    clip = make_clip(scene(), "still", 3, replace(SMALL, size=(96, 64), pan_px=0.0))
    found = dict(hdr.tpn_alone(list(clip.frames), {0: clip.truth[0]}, Still()))  # type: ignore[arg-type]
    assert sorted(found) == list(range(len(clip.frames)))
    np.testing.assert_allclose(found[2], np.maximum(clip.truth[0], 1e-4), rtol=1e-4)
