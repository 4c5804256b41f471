"""Every kind of bad input: one clear sentence, the right exit code, nothing lost, nothing left behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app.jobs
from propagation.errors import WeightsError
from tests.app import fakes
from tests.app.conftest import HEIGHT, WIDTH, Ran, grey_frame, make_clip, write_png

Run = Callable[..., Ran]


def assert_refused(ran: Ran, code: int, *words: str) -> None:
    """One sentence on stderr with these words, and the exit code."""
    assert ran.code == code, ran.err
    errors = [line for line in ran.err.splitlines() if line.startswith("Error: ")]
    assert len(errors) == 1, ran.err
    assert all(word in errors[0] for word in words), errors[0]
    assert "Traceback" not in ran.err


def leftovers(folder: Path, *expected: Path) -> list[Path]:
    """What lies in `folder`, hidden files too, beside what is expected."""
    return [path for path in folder.iterdir() if path not in expected]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A folder of its own for the output."""
    folder = tmp_path / "out"
    folder.mkdir()
    return folder / "out.mp4"


def test_a_missing_clip(run_cli: Run, tmp_path: Path, key: Path, target: Path) -> None:
    ran = run_cli("propagate", tmp_path / "gone.mp4", "--key", f"0={key}", "-o", target)
    assert_refused(ran, 3, "gone.mp4")
    assert not leftovers(target.parent)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.mp4", b""),
        ("text.mp4", b"This is a letter, and no video.\n" * 50),
        ("playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nclip.mp4\n"),
        ("concat.mp4", b"ffconcat version 1.0\nfile clip.mp4\n"),
        ("noise.mp4", np.random.default_rng(0).bytes(5000)),
        ("empty.png", b""),
        ("text.png", b"no picture"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_clip_that_is_none(run_cli: Run, tmp_path: Path, key: Path, target: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    ran = run_cli("propagate", tmp_path / name, "--key", f"0={key}", "-o", target)
    assert_refused(ran, 3, name)
    assert not leftovers(target.parent)


def test_a_truncated_clip(run_cli: Run, clip: Path, key: Path, target: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:400])
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", target), 3, clip.name)


def test_a_file_without_a_video_stream(run_cli: Run, tmp_path: Path, key: Path, target: Path) -> None:
    import av

    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert_refused(run_cli("propagate", sound, "--key", f"0={key}", "-o", target), 3, "sound.mp4", "no video")


def test_a_network_address_is_a_missing_file(run_cli: Run, key: Path, target: Path) -> None:
    ran = run_cli("propagate", "http://example.invalid/clip.mp4", "--key", f"0={key}", "-o", target)
    assert_refused(ran, 3)


@pytest.mark.parametrize("option", ["--key", "--hints"])
def test_a_key_frame_of_another_size(run_cli: Run, clip: Path, tmp_path: Path, target: Path, option: str) -> None:
    image = np.full((HEIGHT + 2, WIDTH, 4), 200, np.uint8)
    path = write_png(tmp_path / "large.png", image)
    ran = run_cli("propagate", clip, option, f"0={path}", "-o", target)
    assert_refused(ran, 3, "large.png", f"{WIDTH}x{HEIGHT + 2}", f"{WIDTH}x{HEIGHT}")
    assert not leftovers(target.parent)


@pytest.mark.parametrize("number", [-1, 6, 99999999])
def test_a_key_outside_the_clip(run_cli: Run, clip: Path, key: Path, target: Path, number: int) -> None:
    ran = run_cli("propagate", clip, "--key", f"{number}={key}", "-o", target)
    assert_refused(ran, 3, "frames 0 to 5")
    assert not leftovers(target.parent)


@pytest.mark.parametrize("bounds", ["0:7", "3:3", "4:2", "-2:3", "6:", "9:12"])
def test_a_range_outside_the_clip(run_cli: Run, clip: Path, key: Path, target: Path, bounds: str) -> None:
    ran = run_cli("propagate", clip, "--key", f"0={key}", "--range", bounds, "-o", target)
    assert_refused(ran, 3, "6 frames")
    assert not leftovers(target.parent)


@pytest.mark.parametrize("second", ["--key", "--hints"])
def test_the_same_frame_twice(run_cli: Run, clip: Path, key: Path, hints: Path, target: Path, second: str) -> None:
    other = key if second == "--key" else hints
    ran = run_cli("propagate", clip, "--key", f"2={key}", second, f"2={other}", "-o", target)
    assert_refused(ran, 3, "frame 2", "twice")


def test_neither_a_key_nor_a_hint(run_cli: Run, clip: Path, target: Path) -> None:
    assert_refused(run_cli("propagate", clip, "-o", target), 3, "--key", "--hints")


def test_hints_with_nothing_painted(run_cli: Run, clip: Path, tmp_path: Path, target: Path) -> None:
    path = write_png(tmp_path / "blank.png", np.zeros((HEIGHT, WIDTH, 4), np.uint8))
    assert_refused(run_cli("propagate", clip, "--hints", f"0={path}", "-o", target), 3, "blank.png", "no hint")


def test_hints_without_alpha(run_cli: Run, clip: Path, key: Path, target: Path) -> None:
    assert_refused(run_cli("propagate", clip, "--hints", f"0={key}", "-o", target), 3, "alpha", "RGBA")


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_key_that_is_no_picture(run_cli: Run, clip: Path, tmp_path: Path, target: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    assert_refused(run_cli("propagate", clip, "--key", f"0={tmp_path / 'broken.png'}", "-o", target), 3, "broken.png")


def test_a_missing_key(run_cli: Run, clip: Path, tmp_path: Path, target: Path) -> None:
    assert_refused(run_cli("propagate", clip, "--key", f"0={tmp_path / 'gone.png'}", "-o", target), 3, "gone.png")


def test_an_output_that_exists(run_cli: Run, clip: Path, key: Path, target: Path) -> None:
    target.write_bytes(b"mine")
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", target), 4, "out.mp4", "--force")
    assert target.read_bytes() == b"mine"
    assert not leftovers(target.parent, target)


def test_an_output_of_no_known_kind(run_cli: Run, clip: Path, key: Path, tmp_path: Path) -> None:
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "out.avi"), 4, ".avi", ".mp4")


def test_an_output_in_a_folder_that_is_not_there(run_cli: Run, clip: Path, key: Path, tmp_path: Path) -> None:
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", tmp_path / "nowhere" / "out.mp4")
    assert_refused(ran, 4, "nowhere")


def test_the_clip_is_never_replaced_by_its_own_result(run_cli: Run, clip: Path, key: Path) -> None:
    before = clip.read_bytes()
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", clip, "--force"), 4, "inputs")
    assert clip.read_bytes() == before


def test_a_sequence_is_never_replaced_by_its_own_result(run_cli: Run, sequence: Path, key: Path) -> None:
    pattern = sequence / "shot_%04d.png"
    for index in range(6):
        write_png(sequence / f"shot_{index:04d}.png", grey_frame(index))
    before = {path: path.read_bytes() for path in sequence.iterdir()}
    ran = run_cli("propagate", pattern, "--key", f"0={key}", "-o", pattern, "--force")
    assert_refused(ran, 4, "inputs")
    assert before == {path: path.read_bytes() for path in sequence.iterdir()}


def test_no_space_left(run_cli: Run, clip: Path, key: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target.write_bytes(b"mine")
    monkeypatch.setattr(os, "fsync", full)
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", target, "--force"), 5, "space")
    assert target.read_bytes() == b"mine"
    assert not leftovers(target.parent, target)


def test_a_folder_without_rights(
    run_cli: Run, clip: Path, key: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def refuse(path: Any, flags: int, *rest: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return opened(path, flags, *rest, **named)

    # By a stand-in, because the rights of a folder do not bind root, under whom a CI may run.
    monkeypatch.setattr(os, "open", refuse)
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", target), 4, "rights")


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_really_without_rights(run_cli: Run, clip: Path, key: Path, target: Path) -> None:
    target.parent.chmod(0o500)
    try:
        assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", target), 4, "rights")
    finally:
        target.parent.chmod(0o700)


def test_weights_that_are_missing(
    run_cli: Run, clip: Path, hints: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(device: str) -> object:
        raise WeightsError("the weights are missing", path="spn-color.safetensors", advice="Restore the file")

    monkeypatch.setattr(app.jobs, "real", lambda: fakes.pipeline(load_densifier=load))
    ran = run_cli("propagate", clip, "--hints", f"0={hints}", "-o", target)
    assert_refused(ran, 3, "spn-color.safetensors", "missing", "Restore")
    assert not leftovers(target.parent)


def test_cuda_that_is_not_there(
    run_cli: Run, clip: Path, key: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", target, "--device", "cuda")
    assert_refused(ran, 5, "CUDA", "--device cpu")
    assert not leftovers(target.parent)


def test_out_of_memory(run_cli: Run, clip: Path, key: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*arguments: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(app.jobs, "real", lambda: fakes.pipeline(lift=exhausted))
    assert_refused(run_cli("propagate", clip, "--key", f"0={key}", "-o", target), 5, "memory", "--size")
    assert not leftovers(target.parent)


def test_the_unforeseen_goes_to_the_log(
    run_cli: Run, clip: Path, key: Path, target: Path, log_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(app.jobs, "real", lambda: fakes.pipeline(lift=broken))
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", target)
    assert_refused(ran, 1, "did not foresee", str(log_folder))
    assert "nobody thought of this" in (log_folder / "huecast.log").read_text()
    assert "Traceback" in (log_folder / "huecast.log").read_text()
    assert not leftovers(target.parent)


def test_a_clip_whose_name_is_no_text(run_cli: Run, key: Path, tmp_path: Path, target: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    assert_refused(run_cli("propagate", name, "--key", f"0={key}", "-o", target), 3)


@pytest.mark.parametrize("name", ["-clip.mp4", "100%.mp4", "a=b.mp4", "Ünï cödé.mp4", "new\nline.mp4"])
def test_an_awkward_name_is_that_very_file(run_cli: Run, key: Path, tmp_path: Path, name: str, target: Path) -> None:
    clip = make_clip(tmp_path / "plain.mp4").rename(tmp_path / name)
    ran = run_cli("propagate", clip, "--key", f"0={key}", "-o", target)
    assert ran.code == 0, ran.err
