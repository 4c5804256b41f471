"""The options that several verbs share, and the forms their values take."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import click

_FRAME_FILE = re.compile(r"(?P<index>-?\d+)=(?P<path>.+)", re.DOTALL)
_RANGE = re.compile(r"(?P<start>-?\d+)?:(?P<stop>-?\d+)?")


class FrameFile(click.ParamType[tuple[int, str]]):
    """`N=IMAGE`: a picture and the frame it belongs to, as (N, path)."""

    name = "N=IMAGE"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, str]:
        """Splits at the first `=`; a number outside the clip is found later, when the clip is open."""
        found = _FRAME_FILE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not of the form N=IMAGE, for example 0=first_frame.png", parameter, context)
        return int(found["index"]), found["path"]


class FrameRange(click.ParamType[tuple[int, int | None]]):
    """`A:B` with A <= n < B, either side may be empty, as (A, B or None)."""

    name = "A:B"

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> tuple[int, int | None]:
        """Reads both numbers; whether they lie inside the clip is found later, when the clip is open."""
        if isinstance(value, tuple):
            return value
        found = _RANGE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is not of the form A:B, for example 10:50, 10: or :50", parameter, context)
        return int(found["start"] or 0), None if found["stop"] is None else int(found["stop"])


def device_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --device and --threads."""
    decorators = [
        click.option(
            "--device",
            type=click.Choice(["auto", "cpu", "cuda"]),
            default="auto",
            show_default=True,
            help="Where the networks run, and HDR light is carried.",
        ),
        click.option("--threads", type=click.IntRange(min=1), help="Threads to use; default: every core."),
    ]
    for decorate in reversed(decorators):
        command = decorate(command)
    return command


def compute_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --device, --threads and --size."""
    size = click.option(
        "--size",
        type=click.IntRange(min=64, max=4096),
        default=480,
        show_default=True,
        help="Work size: shorter side in pixels at which color is carried. The output keeps the source's size.",
    )
    return device_options(size(command))


def progress_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --progress."""
    return click.option(
        "--progress",
        "progress_form",
        type=click.Choice(["bar", "json", "none"]),
        default="bar",
        show_default=True,
        help="How progress is shown: a bar on stderr, one JSON object a line on stdout, or not at all.",
    )(command)


def output_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --force and --progress."""
    force = click.option("--force", is_flag=True, help="Replace an output that exists.")
    return force(progress_option(command))
