"""Real files that are odd: every one is opened and read, or refused with a typed error that names it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from propagation.errors import MediaError
from propagation.video.frame import ClipInfo
from propagation.video.reader import open_clip

FRAMES = 4
# What each file has been made for, where it is more than being there.
EXPECTED = {
    "ax_internal_emulator_transformer_output_270_rotated.mp4": {"width": 720, "height": 1280, "rotation": 270},
    "ax_sample_rotate_and_reflect.mp4": {"width": 720, "height": 1080, "mirrored": True},
    "ax_h265_with_metadata_track.mp4": {"codec": "hevc", "rotation": 90},
    "decord_video_90.mov": {"width": 320, "height": 568, "rotation": 90},
    "decord_video_180.mov": {"width": 568, "height": 320, "rotation": 180},
    "decord_video_270.mov": {"width": 320, "height": 568, "rotation": 270},
    "mb_sar_2x1.mp4": {"sample_aspect": 2},
    "mb_transparency.webm": {"has_alpha": True, "codec": "vp9"},
    "mb_transparency-faulty.webm": {"has_alpha": True, "codec": "vp8"},
    "mpy_transparent.webm": {"has_alpha": True},
    "tc_h264_10bits.mp4": {"bit_depth": 10},
    "tc_h265_10bits.mp4": {"bit_depth": 10},
    "ax_sample_vvc.mp4": {"bit_depth": 10, "frame_count": 120},
    "ax_sample.avi": {"frame_count": 96},
    "mb_cursed-vfr.mp4": {"frame_count": 63},
    "ffw_video-3s.avi": {"frame_count": 110},
    "made_flower_truncated_half.mp4": {"frame_count": 70},
    "mpy_video_with_failing_audio.mp4": {"has_audio": True},
}
REFUSED = {
    "made_random.mp4",
    "ax_sample_malformed_free_box.mp4",
    "mb_multiple-aac-tracks.mp4",
    "wpt_invalid-codec.mp4",
    "wpt_test-a-128k-44100Hz-1ch.webm",
}


@pytest.mark.timeout(900)  # 11 s of work, but a busy machine has stretched it to 4 minutes
def test_every_odd_file_is_opened_or_refused(shared_data: Path) -> None:
    folder = shared_data / "odd"
    if not folder.is_dir():
        pytest.skip("needs the folder odd of the media beside the repository")
    refused = {path.name for path in sorted(folder.iterdir()) if not opens(path)}
    assert refused <= REFUSED


def opens(path: Path) -> bool:
    """Read the first, the last and a middle frame of a file; False when it is refused, properly."""
    try:
        with open_clip(path) as clip:
            info = clip.info
            count = info.frame_count
            for frame in [*clip.frames(0, min(FRAMES, count)), clip.frame(count - 1), clip.frame(count // 2)]:
                channels = 4 if info.has_alpha else 3
                assert frame.image.shape == (info.height, info.width, channels), path.name
                assert frame.image.dtype == (np.uint8 if info.bit_depth == 8 else np.uint16), path.name
                assert frame.pts == info.pts[frame.index], path.name
    except MediaError as error:
        assert error.path == path
        assert path.name in str(error)
        return False
    assert_sound(info)
    return True


def assert_sound(info: ClipInfo) -> None:
    name = info.path.name
    assert info.frame_count == len(info.pts) > 0, name
    assert all(a < b for a, b in zip(info.pts, info.pts[1:], strict=False)), name
    assert info.rate > 0 and info.sample_aspect > 0 and info.time_base > 0, name
    for field, value in EXPECTED.get(name, {}).items():
        assert getattr(info, field) == value, (name, field, getattr(info, field))


def test_the_full_range_file_is_read_as_such(shared_data: Path) -> None:
    path = shared_data / "odd" / "tc_bt709_full_range.mp4"
    if not path.exists():
        pytest.skip("needs tc_bt709_full_range.mp4 of the media beside the repository")
    with open_clip(path) as clip:
        assert (clip.info.tags.matrix, clip.info.tags.range) == (1, 1)


def test_the_truncated_file_says_where_it_ends(shared_data: Path) -> None:
    path = shared_data / "odd" / "made_flower_truncated_half.mp4"
    if not path.exists():
        pytest.skip("needs made_flower_truncated_half.mp4 of the media beside the repository")
    with open_clip(path) as clip:
        assert sum(1 for _ in clip.frames(60)) == 10
        assert any("cut off" in problem for problem in clip.info.problems)
