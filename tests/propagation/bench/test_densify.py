"""The densification table: what it averages, what it refuses, and the protocol's own figures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.bench import densify
from propagation.bench.densify import HintKind
from propagation.video.images import write_image

Floats = NDArray[np.float32]
SMALL = HintKind("patches", 6, (48, 32))


@pytest.fixture(autouse=True)
def quick_yardstick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(densify, "dis_medium_ms", lambda: 50.0)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in "ab":
        coarse = rng.integers(0, 256, (4, 5, 3)).astype(np.uint8)
        write_image(folder / f"{name}.png", cv2.resize(coarse, (60, 40), interpolation=cv2.INTER_LINEAR))
    return folder


def constant(lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> Floats:
    return np.broadcast_to(ab[mask].mean(0), ab.shape)


def test_a_table_holds_every_method_on_every_picture(pictures: Path) -> None:
    steps: list[tuple[int, int]] = []
    kinds = (SMALL, HintKind("strokes", None, (64, 48)), HintKind("superpixels", 20, (48, 32)))
    table = densify.run(
        [pictures], {"constant": constant}, kinds, progress=lambda done, total, _: steps.append((done, total))
    )
    assert steps == [(done, 6) for done in range(1, 7)]
    assert table.methods == [*densify.BASELINES, "constant"]
    assert len(table.scores) == 6 * len(table.methods)
    scores = table.of("constant", SMALL.title)
    assert [score.picture for score in scores] == ["a.png", "b.png"]
    assert table.mean_psnr("constant", SMALL.title) == pytest.approx((scores[0].psnr + scores[1].psnr) / 2)
    assert table.mean_psnr("nearest hint") > table.mean_psnr("grey")
    assert table.share_above("grey") == 0
    assert "constant" in table.markdown()
    assert "6 patches, 48x32, photographs" in table.markdown()
    restored = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert restored["summary"][0]["method"] == "grey"


def test_runs_repeat_and_the_limit_keeps_the_first_pictures(pictures: Path) -> None:
    first, again = (
        densify.run([pictures], {"constant": constant}, [SMALL], limit=1, with_baselines=False) for _ in range(2)
    )
    assert [score.picture for score in first.scores] == ["a.png"]
    assert first.scores[0].psnr == again.scores[0].psnr


def test_a_method_sees_the_hints_and_nothing_of_the_truth(pictures: Path) -> None:
    def spoil(lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> Floats:
        assert not ab[~mask].any()
        mask[:] = True
        lightness[:] = 0
        ab[:] = 100
        return ab

    alone = densify.run([pictures], {"constant": constant}, [SMALL], with_baselines=False)
    beside = densify.run([pictures], {"spoil": spoil, "constant": constant}, [SMALL], with_baselines=False)
    assert beside.mean_psnr("constant") == alone.mean_psnr("constant")


def test_confidence_is_judged_against_the_true_error(pictures: Path) -> None:
    lab = {score: picture.lab for score, picture in enumerate(densify.read_pictures(pictures, SMALL.size))}
    calls: list[int] = []

    def knows(lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> tuple[Floats, Floats]:
        guess = constant(lightness, mask, ab)
        error = np.square(guess - lab[len(calls)][..., 1:]).sum(-1)
        calls.append(0)
        return guess, -error

    def never_knows(lightness: Floats, mask: NDArray[np.bool_], ab: Floats) -> tuple[Floats, Floats]:
        return constant(lightness, mask, ab), np.ones_like(lightness)

    table = densify.run([pictures], {"knows": knows, "never": never_knows}, [SMALL], with_baselines=False)
    for score in table.of("knows"):
        assert score.rank_correlation == pytest.approx(1)
        assert score.error_share_dropped is not None
        assert 0.2 < score.error_share_dropped <= 1
    assert [score.rank_correlation for score in table.of("never")] == [0, 0]
    assert math.isnan(table.mean_psnr("absent"))


@pytest.mark.parametrize(
    "broken", [lambda light, mask, ab: ab * np.nan, lambda light, mask, ab: ab[:5]], ids=["NaN", "size"]
)
def test_a_method_that_returns_no_picture_is_named(pictures: Path, broken: densify.Fill) -> None:
    with pytest.raises(ValueError, match="broken"):
        densify.run([pictures], {"broken": broken}, [SMALL], with_baselines=False)


# Printed by the protocol's reference script; PSNR RGB of grey, nearest hint, Levin.
REFERENCE = {
    ("stills/kodak", "01.png", densify.SUPERPIXELS): (23.14, 26.50, 29.07),
    ("stills/kodak", "01.png", densify.STROKES): (23.14, 25.79, 28.00),
    ("validation", "boxer.mp4", densify.PATCHES[1]): (28.31, 29.88, 30.69),
}


def test_the_protocols_figures_are_reproduced(shared_data: Path, tmp_path: Path) -> None:
    for (source, name, kind), expected in REFERENCE.items():
        folder = tmp_path / source
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).symlink_to(shared_data / source / name)
        table = densify.run([folder], {}, [kind])
        found = [table.mean_psnr(method) for method in ("grey", "nearest hint", densify.BAR)]
        np.testing.assert_allclose(found, expected, atol=0.02)
