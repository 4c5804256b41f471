"""Random projects and commands for the tests of the document, seeded."""

from __future__ import annotations

import random
from fractions import Fraction

import cv2
import numpy as np

from app.project.commands import (
    AddStroke,
    AddSwatch,
    ChangeSwatch,
    ClearStrokes,
    Command,
    ExtendStroke,
    RecolorStroke,
    RemoveKey,
    SetMarks,
    SetPicture,
    SetSettings,
)
from app.project.document import Fingerprint, Picture, Project, Rgb, Settings, Source, Swatch

WIDTH, HEIGHT, FRAMES = 32, 24, 12


def some_source(path: str = "/clips/film.mp4") -> Source:
    mark = Fingerprint(1234, 99, "a" * 64, "b" * 64)
    return Source(path, "video", WIDTH, HEIGHT, FRAMES, Fraction(24000, 1001), mark)


def some_project() -> Project:
    return Project(source=some_source())


def some_picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Picture(cv2.imencode(".png", image)[1].tobytes(), width, height, f"key{seed}.png")


def some_color(rng: random.Random) -> Rgb:
    return (rng.randrange(256), rng.randrange(256), rng.randrange(256))


def some_points(rng: random.Random) -> tuple[tuple[float, float, float], ...]:
    return tuple(
        (rng.uniform(-5, WIDTH + 5), rng.uniform(-5, HEIGHT + 5), rng.random()) for _ in range(rng.randrange(1, 6))
    )


def some_command(rng: random.Random, project: Project) -> Command:
    """A command of any kind; it may be one that the document refuses."""
    frame = rng.randrange(-1, FRAMES + 1)
    key = project.key(frame)
    choices = [
        lambda: AddStroke(frame, rng.choice(("paint", "erase", "protect")), some_color(rng), rng.uniform(0, 9), 1.0,
                          some_points(rng)),
        lambda: ExtendStroke(frame, some_points(rng)),
        lambda: ExtendStroke(rng.choice(project.key_numbers() or [0]), some_points(rng)),
        lambda: ClearStrokes(frame),
        lambda: RecolorStroke(frame, key.strokes[0].id if key.strokes else 7, some_color(rng)),
        lambda: SetPicture(frame, rng.choice((None, some_picture(rng.randrange(5))))),
        lambda: SetPicture(frame, some_picture(1, WIDTH + rng.randrange(2))),
        lambda: RemoveKey(frame),
        lambda: SetMarks(rng.choice((None, 2, 5)), rng.choice((None, 3, 9)), drag=rng.randrange(3)),
        lambda: AddSwatch(Swatch(f"swatch {rng.randrange(99)}", some_color(rng))),
        lambda: ChangeSwatch(rng.randrange(14), rng.choice((None, Swatch("other", some_color(rng))))),
        lambda: SetSettings(Settings(rng.choice(("both", "forward", "backward")), rng.random() < 0.5)),
    ]
    return rng.choice(choices)()
