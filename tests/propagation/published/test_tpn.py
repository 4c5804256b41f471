"""The published temporal network: linear, switchable, and trained both ways."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from kernels.scan import DIRECTIONS, line_scan
from propagation.bench.protocol import read_clip
from propagation.published.tpn import SWITCHES, PublishedCarrier, PublishedTpn, PublishedTpnConfig, Switch
from propagation.training import tpn_ablation
from propagation.training.loop import LoopConfig
from propagation.training.tpn_published import TpnPublishedRecipe, draw, held_out_pairs, loss_of, score_pairs, train

SMALL = (6, 8, 8, 8)
HEIGHT, WIDTH = 32, 48
# Sums of a few thousand float32 products, relative to their size.
ROUNDING = 1e-4


def network(switch: Switch, *, active: bool = True) -> PublishedTpn:
    """A small network; `active`: with gates far from zero, as training leaves them."""
    torch.manual_seed(0)
    model = PublishedTpn(PublishedTpnConfig(switch, channels=8, widths=SMALL)).eval()
    if active:
        with torch.no_grad():
            for head in (model.vertical, model.horizontal):
                head.weight.mul_(30.0)
    return model


def frames(seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    light = [torch.rand(1, 1, HEIGHT, WIDTH, generator=generator) * 100 for _ in range(2)]
    color = [torch.randn(1, 2, HEIGHT, WIDTH, generator=generator) * 20 for _ in range(2)]
    return (*light, *color)


def test_the_map_is_linear_and_grey_stays_grey() -> None:
    model = network("adjoint")
    first, second, u, v = frames()
    with torch.no_grad():
        mixed = model(first, second, 2 * u - 3 * v)
        parts = 2 * model(first, second, u) - 3 * model(first, second, v)
        assert not model(first, second, 0 * u).any()
    torch.testing.assert_close(mixed, parts, rtol=ROUNDING, atol=ROUNDING * float(parts.abs().max()))


def test_training_starts_from_holding_the_colors() -> None:
    model = network("adjoint", active=False)
    first, second, u, _ = frames()
    with torch.no_grad():
        model.vertical.weight.zero_()
        model.horizontal.weight.zero_()
        torch.testing.assert_close(model(first, second, u), u, rtol=0, atol=1e-4)


def test_the_way_there_is_the_mean_of_four_scans() -> None:
    model = network("adjoint")
    first, second, u, _ = frames()
    with torch.no_grad():
        gates = model.look(first, second)
        encoded = torch.nn.functional.conv2d(u, model.encoder, stride=2, padding=1)
        how = {"layout": "scanned", "backend": "reference"}
        scans = [line_scan(encoded, g, d, **how) for g, d in zip(gates, DIRECTIONS, strict=True)]
        expected = torch.nn.functional.conv_transpose2d(sum(scans) / 4, model.encoder, stride=2, padding=1)
        torch.testing.assert_close(model.carry(gates, u), expected, rtol=ROUNDING, atol=1e-3)


def test_the_exact_switch_is_the_transpose_of_the_whole_network_and_the_papers_is_not() -> None:
    first, second, u, v = frames()
    for switch, exact in (("adjoint", True), ("opposing", False)):
        model = network(switch)  # type: ignore[arg-type]
        with torch.no_grad():
            gates = model.look(first, second)
            there = float((model.carry(gates, u).double() * v).sum())
            back = float((u.double() * model.carry_back(gates, v)).sum())
        size = float(u.norm() * v.norm())
        assert (abs(there - back) < ROUNDING * size) is exact, switch


def test_opposing_maps_exchange_the_directions() -> None:
    model = network("opposing")
    first, second, u, _ = frames()
    with torch.no_grad():
        left, right, top, bottom = model.look(first, second)
        swapped = model.carry((right, left, bottom, top), u)
        assert torch.equal(model.carry_back((left, right, top, bottom), u), swapped)


def test_without_a_switch_the_pair_is_looked_at_in_the_other_order() -> None:
    model = network("two-way")
    first, second, u, v = frames()
    with torch.no_grad():
        _, back = model.both(first, second, u, v)
        assert torch.equal(back, model(second, first, v))
        with pytest.raises(ValueError, match="no switch"):
            model.carry_back(model.look(first, second), v)


def material(count: int = 6) -> list[np.ndarray]:
    """Two sequences of a sliding picture, one smaller than the crops."""
    rng = np.random.default_rng(1)
    made = []
    for height, width in ((48, 80), (40, 64)):
        scene = np.repeat(np.repeat(rng.integers(0, 256, (8, 16, 3)), 8, 0), 12, 1).astype(np.uint8)
        made.append(np.stack([scene[:height, 2 * n : 2 * n + width] for n in range(count)]))
    return made


def test_pairs_are_two_frames_of_one_place() -> None:
    pairs = draw(material(), 5, 48, np.random.default_rng(0))
    assert pairs.first.shape == (5, 1, 48, 48) and pairs.of_second.shape == (5, 2, 48, 48)
    assert pairs.first.dtype == pairs.of_first.dtype == torch.float32
    assert all(not torch.equal(one, other) for one, other in zip(pairs.first, pairs.second, strict=True))
    again = draw(material(), 5, 48, np.random.default_rng(0))
    assert torch.equal(pairs.of_first, again.of_first)
    assert len(held_out_pairs(material(), 5).first) == 2 and len(held_out_pairs(material(), 2).first) == 4


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_parameter_learns_from_both_ways(switch: Switch) -> None:
    model = network(switch)
    recipe = TpnPublishedRecipe(model=model.config, batch=2, size=32)
    loss = loss_of(model, material(), recipe, np.random.default_rng(3))
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert torch.isfinite(loss)
    assert all(bool(gradient.abs().sum() > 0) for gradient in gradients)


def test_scores_of_a_network_that_holds() -> None:
    model = network("adjoint", active=False)
    with torch.no_grad():
        model.vertical.weight.zero_()
        model.horizontal.weight.zero_()
    pairs = held_out_pairs(material(), 2)
    found = score_pairs(model, [pairs])
    error = float(((pairs.of_first - pairs.of_second).double() ** 2).mean())
    assert found.psnr == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert found.psnr_back == pytest.approx(found.psnr, abs=1e-3)
    assert found.round_trip > 90
    logs = np.log([float((u**2).sum() / (v**2).sum()) for u, v in zip(pairs.of_first, pairs.of_second, strict=True)])
    assert found.energy == pytest.approx(np.abs(logs).mean(), abs=1e-4)
    assert found.energy_ratio == pytest.approx(np.exp(logs.mean()), abs=1e-4)


def test_the_ablation_judges_every_switch_on_whole_clips(tmp_path: Path) -> None:
    from propagation.video.images import write_image

    (tmp_path / "clips" / "sliding").mkdir(parents=True)
    scene = material(30)[0]
    for number, picture in enumerate(scene):
        write_image(tmp_path / "clips" / "sliding" / f"{number:05d}.png", picture)
    models = {switch: network(switch) for switch in SWITCHES}
    found = tpn_ablation.judge(models, [tmp_path / "clips"], None)
    assert set(found) == set(tpn_ablation.variants(tmp_path, tmp_path, 1.0)) == set(SWITCHES)
    pairs = [pair for distance, pair in tpn_ablation.clip_pairs(read_clip(tmp_path / "clips" / "sliding"))]
    assert len(pairs) == 3
    with torch.no_grad():
        out = models["opposing"](pairs[2].first, pairs[2].second, pairs[2].of_first)
    error = float(((out - pairs[2].of_second) ** 2).mean())
    assert found["opposing"]["PSNR ab, 20 on"] == pytest.approx(10 * np.log10(255**2 / error), abs=0.1)


def test_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    clip = tmp_path / "data" / "clips" / "clip.mp4"
    clip.parent.mkdir(parents=True)
    clip.touch()

    def few(paths: list[Path], cache: Path, length: int, per_clip: int) -> list[np.ndarray]:
        asked.append((paths, cache))
        return material(24)

    monkeypatch.setattr("propagation.training.tpn_published.sequences", few)
    config = PublishedTpnConfig("opposing", channels=8, widths=SMALL)

    def recipe(minutes: float) -> TpnPublishedRecipe:
        return TpnPublishedRecipe(LoopConfig(minutes=minutes, warm_up=1), config, workers=1, batch=1, size=32)

    said: list[str] = []
    first, scores = train(tmp_path / "data", tmp_path / "runs" / "x", recipe(0.001), say=said.append)
    again, _ = train(tmp_path / "data", tmp_path / "runs" / "x", recipe(first.seconds / 60 + 0.001), say=said.append)
    assert again.iterations > first.iterations > 0
    assert asked[0] == ([clip], tmp_path / "runs" / "frames")
    assert set(scores) >= {"PSNR ab at 1", "energy at 1"} and said


@pytest.mark.parametrize("stepwise", [False, True])
def test_a_key_is_carried_from_itself_or_step_by_step(stepwise: bool) -> None:
    model = network("adjoint")
    rng = np.random.default_rng(0)
    lightness = [rng.uniform(0, 100, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(3)]
    key = rng.normal(0, 20, (HEIGHT, WIDTH, 2)).astype(np.float32)
    found = dict(PublishedCarrier(model, stepwise=stepwise)(lightness, {0: key}, 3))
    assert list(found) == [1, 2]
    light, color = [torch.from_numpy(x)[None, None] for x in lightness], torch.from_numpy(key).permute(2, 0, 1)[None]
    with torch.no_grad():
        start, came = (model(light[0], light[1], color), light[1]) if stepwise else (color, light[0])
        expected = model(came, light[2], start)[0].permute(1, 2, 0).numpy()
    # Gates are computed in bfloat16 where the processor has it: three digits.
    assert np.abs(found[2] - expected).max() < 0.05 * np.abs(expected).max()


def test_sizes_that_are_no_multiples_come_back_as_they_went() -> None:
    key = np.ones((33, 47, 2), np.float32)
    light = [np.full((33, 47), 50, np.float32)] * 2
    ((frame, found),) = PublishedCarrier(network("adjoint"))(light, {0: key}, 2)
    assert frame == 1 and found.shape == key.shape and np.isfinite(found).all()
