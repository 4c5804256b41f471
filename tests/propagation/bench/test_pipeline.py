"""The whole pipeline and the long shot, on a sliding scene whose colors are known."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from propagation.bench import carry, long, pipeline
from propagation.bench.baselines import nearest_hint
from propagation.bench.protocol import mean_squared_error, read_clip
from propagation.errors import MediaError
from propagation.video.images import read_image, write_image

Floats = NDArray[np.float32]
COUNT = 34


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carry, "dis_medium_ms", lambda: 50.0)
    monkeypatch.setattr(pipeline, "SUPERPIXELS", 40)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    coarse = np.random.default_rng(3).integers(0, 256, (8, 16, 3)).astype(np.uint8)
    scene = cv2.resize(coarse, (128, 48), interpolation=cv2.INTER_CUBIC)
    (folder / "sliding").mkdir()
    for frame in range(COUNT):
        write_image(folder / "sliding" / f"{frame:05d}.png", scene[:, frame : frame + 64])
    return folder


def hold(lightness: Sequence[Floats], keys: Mapping[int, Floats], count: int) -> Iterator[tuple[int, Floats]]:
    for frame in range(1, count):
        yield frame, keys[0]


def test_the_whole_beside_its_parts(clips: Path) -> None:
    steps: list[tuple[int, int]] = []
    table = pipeline.run(clips, nearest_hint, hold, progress=lambda done, total, _: steps.append((done, total)))
    truth = [np.ascontiguousarray(frame[..., 1:]) for frame in read_clip(clips / "sliding")]
    key = pipeline.painted_key(nearest_hint, read_clip(clips / "sliding")[0][..., 0], truth[0])
    assert table.key == pytest.approx(mean_squared_error(key, truth[0]))
    assert table.carried == pytest.approx(np.mean([mean_squared_error(truth[0], truth[n]) for n in range(10, 31)]))
    assert table.whole == pytest.approx(np.mean([mean_squared_error(key, truth[n]) for n in range(10, 31)]))
    assert table.share == pytest.approx(table.whole / (table.key + table.carried))
    assert 0 < table.levin_key < table.levin
    assert steps[-1][0] == steps[-1][1]
    assert "dense key, frame 0" in table.markdown() and json.dumps(table.to_json(), allow_nan=False)


def test_clips_that_are_too_short_are_said(clips: Path, tmp_path: Path) -> None:
    (tmp_path / "short").mkdir()
    write_image(tmp_path / "short" / "00000.png", np.zeros((48, 64, 3), np.uint8))
    with pytest.raises(MediaError, match="1 frames"):
        long.run(tmp_path, nearest_hint, hold, clips=["short"])
    with pytest.raises(ValueError, match="31 frames"):
        pipeline.run(tmp_path, nearest_hint, hold)


def test_the_long_shot_in_figures_and_pictures(clips: Path, tmp_path: Path) -> None:
    table = long.run(clips, nearest_hint, hold, tmp_path / "new" / "long", clips=["sliding"], frames=(5, 20, 33))
    truth = [np.ascontiguousarray(frame[..., 1:]) for frame in read_clip(clips / "sliding")]
    first = [score for score in table.scores if score.annotation == "true key"]
    assert [score.frame for score in first] == [5, 20, 33]
    assert first[2].ours == pytest.approx(mean_squared_error(truth[0], truth[33]))
    assert first[0].chain < first[0].ours  # the scene slides, and the chain follows it
    assert len(table.pictures) == 2 and "not reached" in table.markdown()
    sheet = read_image(Path(table.pictures[0])).image
    assert sheet.shape == (3 * (360 + 24), 3 * 480, 3)
    assert json.dumps(table.to_json(), allow_nan=False)
    assert long.run(clips, nearest_hint, hold, clips=["sliding"], frames=(5,)).pictures == ()
