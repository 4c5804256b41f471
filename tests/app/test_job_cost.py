"""What the job costs: the clip it runs on, and what is said of it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import app.jobs
from app import job_cost
from propagation.errors import ResourceError
from propagation.video.reader import open_clip
from tests.app import fakes


def test_the_job_is_timed_on_the_clip_at_another_size(clip: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(app.jobs, "real", fakes.pipeline)
    video = job_cost._scaled(clip, tmp_path, (96, 72), 4)
    with open_clip(video) as scaled:
        assert (scaled.info.width, scaled.info.height, scaled.info.frame_count) == (96, 72, 4)
    frame_s, first_s = job_cost._run(video, tmp_path / "out.mp4", "cpu")
    assert 0 < frame_s < first_s + 60 and not math.isnan(first_s)
    assert (tmp_path / "out.mp4").exists()


def test_the_peak_of_memory_is_at_least_what_is_held() -> None:
    held = bytearray(50_000_000)
    peak = job_cost._peak_bytes()
    assert math.isnan(peak) or peak > len(held)


def test_a_process_that_ends_early_is_said(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="ended early"):
        job_cost._in_child(tmp_path / "gone.mp4", "cpu", 1, 1)
