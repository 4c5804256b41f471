"""The carrying table: which frames count, what methods are given, and the protocol's own figures."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.bench import carry
from propagation.bench.protocol import mean_squared_error, psnr, read_clip
from propagation.video.images import write_image

Floats = NDArray[np.float32]
COUNT = 14


@pytest.fixture(autouse=True)
def quick_yardstick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "dis_medium_ms", lambda: 50.0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of a sliding scene as folders of pictures, one of them too short to count."""
    folder = tmp_path_factory.mktemp("clips")
    coarse = np.random.default_rng(3).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, (128, 48), interpolation=cv2.INTER_CUBIC)
    for name, count in (("sliding", COUNT), ("short", 5)):
        (folder / name).mkdir()
        for frame in range(count):
            write_image(folder / name / f"{frame:05d}.png", scene[:, 2 * frame : 2 * frame + 64])
    return folder


class Recorder:
    """Holds the last key's colors, and remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, list[int]]] = []

    def __call__(
        self, lightness: Sequence[Floats], keys: Mapping[int, Floats], count: int
    ) -> Iterator[tuple[int, Floats]]:
        assert len(lightness) == count
        self.calls.append((count, list(keys)))
        for frame in range(count):
            yield frame, keys[max(key for key in keys if key <= frame)]


def test_methods_are_called_by_interval_or_with_all_keys(clips: Path) -> None:
    one, both = Recorder(), Recorder()
    table = carry.run(clips, 5, {"one": one}, two_sided={"both": both}, with_baselines=[carry.HOLD])
    assert one.calls == [(5, [0]), (5, [0]), (4, [0])]
    assert both.calls == [(COUNT, [0, 5, 10])]
    # Both hold the last key, as the baseline does.
    assert table.psnr("one", 5) == table.psnr("both", 5) == table.psnr(carry.HOLD, 5)
    assert table.flicker("one", 5) == table.flicker(carry.HOLD, 5)


def test_distances_measured_together_score_as_those_measured_alone(clips: Path) -> None:
    def blurred(light: Sequence[Floats], keys: Mapping[int, Floats], count: int) -> Iterator[tuple[int, Floats]]:
        for frame in range(1, count):
            yield frame, cv2.blur(keys[0], (1 + 2 * frame, 1))

    recorder = Recorder()
    how = {"two_sided": {"both": Recorder()}, "frames": COUNT}
    together = carry.run(clips, [4, 5, 10], {"blurred": blurred, "recorder": recorder}, **how)
    assert sorted(recorder.calls) == sorted([(10, [0]), (4, [0]), (5, [0]), (4, [0]), (4, [0]), (2, [0])])
    for every in (4, 5, 10):
        alone = carry.run(clips, every, {"blurred": blurred}, **how)
        for method in alone.methods:
            (one,), (other,) = alone.of(method, every), together.of(method, every)
            assert (one.frames, one.ages, one.errors, one.flickers) == (
                other.frames,
                other.ages,
                other.errors,
                other.flickers,
            )
            np.testing.assert_array_equal(one.energies, other.energies)


def test_two_sided_methods_may_be_measured_at_one_distance_alone(clips: Path) -> None:
    table = carry.run(clips, [5, 10], two_sided={"both": Recorder()}, two_sided_every=[10])
    assert not table.of("both", 5) and table.of("both", 10) and table.of(carry.TWO_SIDED, 5)


def test_the_first_key_is_followed_further(clips: Path) -> None:
    table = carry.run(clips, 5, {"hold": Recorder()}, with_baselines=[carry.CHAIN], first_frames=12)
    assert [(score.method, score.frames) for score in table.first] == [
        (carry.CHAIN, tuple(range(1, 12))),
        ("hold", tuple(range(1, 12))),
    ]
    truth = [frame[..., 1:] for frame in read_clip(clips / "sliding")]
    held = [mean_squared_error(truth[0], truth[frame]) for frame in range(1, 12)]
    np.testing.assert_allclose(table.first[1].errors, held, rtol=1e-6)
    assert math.isnan(table.far_psnr("hold"))  # no clip reaches frame 35
    ratio = float((truth[0] ** 2).sum() / (truth[7] ** 2).sum())
    assert table.energy_off("hold", 7) == pytest.approx(abs(math.log(ratio)), rel=1e-4)
    assert not carry.run(clips, 5, {"hold": Recorder()}, with_baselines=[], first_frames=40).first


def test_keys_are_left_out_and_the_last_interval_counts(clips: Path) -> None:
    table = carry.run(clips, 5, with_baselines=[carry.HOLD])
    (score,) = table.scores
    assert (score.clip, score.size) == ("sliding", (64, 48))
    assert score.frames == (1, 2, 3, 4, 6, 7, 8, 9, 11, 12, 13)
    assert score.ages == (1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3)
    assert len(score.flickers) == 3 + 3 + 2
    truth = [frame[..., 1:] for frame in read_clip(clips / "sliding")]
    errors = [
        mean_squared_error(truth[frame - age], truth[frame])
        for frame, age in zip(score.frames, score.ages, strict=True)
    ]
    np.testing.assert_allclose(score.errors, errors, rtol=1e-6)
    assert table.psnr(carry.HOLD, 5) == pytest.approx(psnr(float(np.mean(errors))))
    oldest = [error for error, age in zip(errors, score.ages, strict=True) if age == 4]
    assert table.psnr(carry.HOLD, 5, range(4, 9)) == pytest.approx(psnr(float(np.mean(oldest))))


def test_the_truth_scores_without_error(clips: Path) -> None:
    truth = [frame[..., 1:] for frame in read_clip(clips / "sliding")]
    table = carry.run(clips, 7, two_sided={"truth": lambda _, keys, count: dict(enumerate(truth))}, with_baselines=[])
    assert table.psnr("truth", 7) == math.inf
    assert table.flicker("truth", 7) == 0
    assert table.energy("truth", 7, age=3) == pytest.approx(0)
    grey = carry.run(
        clips,
        7,
        two_sided={"half": lambda _, keys, count: {n: ab / 2 for n, ab in enumerate(truth)}},
        with_baselines=[],
    )
    assert grey.energy("half", 7, age=3) == pytest.approx(math.log(4), rel=1e-4)


def test_baselines_find_a_sliding_scene_and_two_keys_beat_one(clips: Path) -> None:
    table = carry.run(clips, [5, 12], frames=COUNT)
    assert table.methods == list(carry.BASELINES)
    for every in (5, 12):
        held = table.psnr(carry.HOLD, every)
        assert table.psnr(carry.CHAIN, every) > held + 3
        assert table.psnr(carry.FRAME_BY_FRAME, every) > held + 3
        assert table.psnr(carry.TWO_SIDED, every) > table.psnr(carry.CHAIN, every)
    assert "| K = 12 |" in table.markdown()
    assert json.loads(json.dumps(table.to_json(), allow_nan=False))["summary"][0]["every"] == 5


def test_painted_keys_reach_methods_and_baselines_alike(clips: Path) -> None:
    seen: list[Floats] = []

    def remember(lightness: Sequence[Floats], keys: Mapping[int, Floats], count: int) -> dict[int, Floats]:
        seen.append(keys[0])
        return dict.fromkeys(range(count), keys[0])

    table = carry.run(
        clips, 20, {"remember": remember}, with_baselines=[carry.HOLD], paint_key=lambda lightness, ab: ab * 0
    )
    assert not seen[0].any()
    assert table.psnr("remember", 20) == table.psnr(carry.HOLD, 20)
    truth = read_clip(clips / "sliding")[0][..., 1:]
    assert table.scores[0].key_error == pytest.approx(mean_squared_error(truth, truth * 0))


def test_progress_counts_every_method_on_every_clip(clips: Path) -> None:
    steps: list[tuple[int, int]] = []
    carry.run(clips, [5, 10], with_baselines=[carry.HOLD, carry.CHAIN], progress=lambda d, t, _: steps.append((d, t)))
    assert steps == [(done, 8) for done in range(1, 9)]


def test_short_clips_count_when_asked_for(clips: Path) -> None:
    table = carry.run(clips, 4, with_baselines=[carry.HOLD], shortest=5, clips=["short"])
    assert [score.clip for score in table.scores] == ["short"]
    assert table.scores[0].frames == (1, 2, 3)


BROKEN = {
    "a frame left out": lambda light, keys, count: {1: keys[0]},
    "a frame twice": lambda light, keys, count: [(1, keys[0]), (1, keys[0])],
    "backwards": lambda light, keys, count: [(n, keys[0]) for n in reversed(range(count))],
    "beyond the clip": lambda light, keys, count: [(n, keys[0]) for n in range(count + 9)],
    "another size": lambda light, keys, count: dict.fromkeys(range(count), keys[0][:3]),
    "NaN": lambda light, keys, count: dict.fromkeys(range(count), keys[0] * np.nan),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_method_that_breaks_the_contract_is_named(clips: Path, fault: str) -> None:
    with pytest.raises(ValueError, match="broken"):
        carry.run(clips, 20, {"broken": BROKEN[fault]}, with_baselines=[])


# Printed by the protocol's reference script for K = 10 and 22 frames: hold, chain, frame by frame, two-sided.
REFERENCE = {"boxer": (32.56, 36.40, 36.55, 36.22), "davis_flamingo": (31.49, 36.92, 37.06, 41.85)}
POOLED = (31.99, 36.65, 36.80, 38.18)
POOLED_FLICKER = (4.82, 2.56, 2.54, 2.80)


def test_the_protocols_figures_are_reproduced(shared_data: Path) -> None:
    table = carry.run(shared_data / "validation", 10, frames=22, clips=list(REFERENCE))
    for clip, expected in REFERENCE.items():
        found = [
            psnr(float(np.mean(score.errors)))
            for method in carry.BASELINES
            for score in table.of(method, 10)
            if score.clip == clip
        ]
        np.testing.assert_allclose(found, expected, atol=0.02)
    np.testing.assert_allclose([table.psnr(method, 10) for method in carry.BASELINES], POOLED, atol=0.02)
    np.testing.assert_allclose([table.flicker(method, 10) for method in carry.BASELINES], POOLED_FLICKER, atol=0.02)
