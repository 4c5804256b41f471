"""Small synthetic media, and a command line whose networks are stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import app.jobs
from app import cli
from tests.app import fakes

WIDTH, HEIGHT, FRAMES = 64, 48, 6


@pytest.fixture(autouse=True)
def log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of the unforeseen goes here, never to the user's own place."""
    folder = tmp_path / "log"
    monkeypatch.setenv("HUECAST_LOG", str(folder))
    return folder


@pytest.fixture(autouse=True)
def threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line sets the budget of the whole process; other tests keep theirs."""
    monkeypatch.setattr("app.machine.set_threads", lambda asked=None: 1)


@dataclass(frozen=True)
class Ran:
    """What a run of the command line left."""

    code: int
    out: str
    err: str


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Runs a verb in this process, with stand-ins for the networks."""
    monkeypatch.setattr(app.jobs, "real", fakes.pipeline)

    def run(*arguments: str | Path) -> Ran:
        capfd.readouterr()
        code = cli.run([str(argument) for argument in arguments])
        caught = capfd.readouterr()
        return Ran(code, caught.out, caught.err)

    return run


def grey_frame(index: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """A grey ramp that moves a little from frame to frame, (H, W, 3)."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    ramp = 40 + (2 * x + y + 5 * index) % 160
    return np.repeat(ramp[..., None].astype(np.uint8), 3, axis=2)


def write_png(path: Path, rgb: NDArray[np.uint8] | NDArray[np.uint16]) -> Path:
    """Writes (H, W, 3) RGB or (H, W, 4) RGBA."""
    code = cv2.COLOR_RGBA2BGRA if rgb.shape[2] == 4 else cv2.COLOR_RGB2BGR
    assert cv2.imwrite(str(path), cv2.cvtColor(rgb, code))
    return path


def read_png(path: Path) -> NDArray[np.uint8]:
    """RGB, (H, W, 3), of the file's own depth."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """A folder of six grey PNG pictures whose numbers begin at 10."""
    folder = tmp_path / "sequence"
    folder.mkdir()
    for index in range(FRAMES):
        write_png(folder / f"shot_{index + 10:04d}.png", grey_frame(index))
    return folder


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Six grey frames as H.264 in MP4, tagged BT.709."""
    return make_clip(tmp_path / "clip.mp4")


def make_clip(
    path: Path, frames: int = FRAMES, width: int = WIDTH, height: int = HEIGHT, color: tuple[float, ...] = (1, 1, 1)
) -> Path:
    """A small H.264 clip, grey unless its channels are multiplied by `color`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25), options={"crf": "10", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.color_primaries = context.color_trc = context.colorspace = 1
        context.color_range = 1
        for index in range(frames):
            image = np.clip(grey_frame(index, width, height) * np.float32(color), 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """The first frame, edited to be orange."""
    return write_key(tmp_path / "key.png", 0)


def write_key(path: Path, index: int) -> Path:
    """Frame `index`, edited to be orange."""
    image = grey_frame(index).astype(np.float32) * np.float32([1.2, 1.0, 0.6])
    return write_png(path, np.clip(image, 0, 255).astype(np.uint8))


@pytest.fixture
def hints(tmp_path: Path) -> Path:
    """A green stroke of full strength and a faint red one."""
    image = np.zeros((HEIGHT, WIDTH, 4), np.uint8)
    image[10:14, 8:30] = (90, 140, 80, 255)
    image[30:34, 20:50] = (150, 90, 80, 100)
    return write_png(tmp_path / "hints.png", image)
