"""Runs a job in the terminal: shows frames done, rate and time left, and lets Ctrl-C stop it cleanly."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

from app.cli.exit_codes import STOPPED, exit_code
from app.machine import DeviceListener
from app.progress import CancelToken, Progress

if TYPE_CHECKING:
    from app.jobs import Outcome

Result = TypeVar("Result")

# How often a log (no terminal to redraw) gets a line.
_LOG_EVERY_S = 5.0


class Display(Protocol):
    """Something that shows the progress of a job."""

    def show(self, progress: Progress, rate: float | None) -> None:
        """Shows one step; `rate` is steps of this stage a second, None until it can be told."""

    def close(self) -> None:
        """Clears what was drawn."""


class JsonDisplay:
    """One JSON object a line on stdout."""

    def show(self, progress: Progress, rate: float | None) -> None:
        """Prints `progress` with its rate and the seconds left."""
        left = (progress.total - progress.done) / rate if rate else None
        line = {
            "stage": progress.stage,
            "done": progress.done,
            "total": progress.total,
            "frame": progress.frame_index,
            "message": progress.message,
            "rate": None if rate is None else round(rate, 3),
            "seconds_left": None if left is None else round(left, 1),
        }
        print_json(line)

    def close(self) -> None:
        """Nothing is drawn."""


class LogDisplay:
    """A line now and then on stderr, for a terminal that cannot redraw or a file."""

    def __init__(self) -> None:
        self._last = 0.0
        self._stage = ""

    def show(self, progress: Progress, rate: float | None) -> None:
        """Prints messages at once, and a line at each stage, at its end and every few seconds."""
        if progress.message:
            click.echo(progress.message, err=True)
        now = time.monotonic()
        finished = progress.done == progress.total and progress.total > 1
        if progress.stage != self._stage or finished or now - self._last >= _LOG_EVERY_S:
            self._stage, self._last = progress.stage, now
            click.echo(_line(progress, rate), err=True)

    def close(self) -> None:
        """Nothing is drawn."""


class BarDisplay:
    """A bar on stderr with frames done, rate and time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self._console = Console(stderr=True)
        self._bar = Bar(
            TextColumn("{task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bar.start()
        self._stage = ""
        self._task = self._bar.add_task("", total=None, rate="")

    def show(self, progress: Progress, rate: float | None) -> None:
        """Moves the bar; a message is printed above it and stays."""
        if progress.stage != self._stage:
            self._stage = progress.stage
            self._bar.reset(self._task, total=progress.total, description=progress.stage)
        shown = f"{rate:.1f}/s" if rate else _where(progress)
        self._bar.update(self._task, completed=progress.done, total=progress.total, rate=shown)
        if progress.message:
            self._console.print(progress.message, markup=False, highlight=False)

    def close(self) -> None:
        """Removes the bar."""
        self._bar.stop()


class SilentDisplay:
    """Shows messages alone: what a run has to say is no progress."""

    def show(self, progress: Progress, rate: float | None) -> None:
        """Prints the message, where there is one."""
        if progress.message:
            click.echo(progress.message, err=True)

    def close(self) -> None:
        """Nothing is drawn."""


def print_json(line: dict[str, Any]) -> None:
    """Prints one object on one line of stdout, at once."""
    click.echo(json.dumps(line, ensure_ascii=True))


def make_display(form: str) -> Display:
    """The display for `--progress form`; a bar becomes lines where stderr is no terminal."""
    if form == "json":
        return JsonDisplay()
    if form == "none":
        return SilentDisplay()
    return BarDisplay() if sys.stderr.isatty() else LogDisplay()


def run_job(job: Generator[Progress, None, Result], cancel: CancelToken, form: str) -> Result:
    """Drives `job` to its end, shows it, and returns what it returns; Ctrl-C cancels `cancel`.

    What a device has to say, a GPU that is given up, is shown with the next step.
    """
    said: list[str] = []
    display = make_display(form)
    clock = _Clock()
    try:
        with stopping(cancel), closing(DeviceListener(said.append)):
            while True:
                try:
                    progress = next(job)
                except StopIteration as end:
                    result: Result = end.value
                    return result
                while said:
                    progress = replace(progress, message=" ".join(filter(None, (progress.message, said.pop(0)))))
                display.show(progress, clock.rate(progress))
    except BaseException as error:
        # Closes the job here and now, so that its files are gone before anything is said.
        job.close()
        if form == "json":
            code = exit_code(error)
            print_json({"stage": "stopped" if code == STOPPED else "error", "code": code, "message": str(error)})
        raise
    finally:
        display.close()


def print_outcome(outcome: Outcome, form: str, made: str = "colored", words: str = "in new color") -> None:
    """Says what a job made: one JSON object, or a sentence and the notes. `made` names in JSON what counts the frames
    that the sentence says to be `words`."""
    if form == "json":
        figures = {"output": str(outcome.out), "frames": outcome.frames, made: outcome.colored}
        print_json({"stage": "done", **figures, "notes": list(outcome.notes)})
        return
    for note in outcome.notes:
        click.echo(f"Note: {note}.", err=True)
    frames = f": {count(outcome.frames, 'frame')}, {outcome.colored} of them {words}" if outcome.frames > 1 else ""
    click.echo(f"Wrote {outcome.out}{frames}.")


def count(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


@contextmanager
def shown(stage: str, form: str) -> Iterator[Callable[[int, int, str], None]]:
    """Shows work that calls back with (done, total, what) instead of being a job; Ctrl-C ends it as usual."""
    display = make_display(form)
    clock = _Clock()

    def tell(done: int, total: int, what: str) -> None:
        progress = Progress(stage, done, total)
        display.show(progress, clock.rate(progress))

    try:
        yield tell
    finally:
        display.close()


@contextmanager
def stopping(cancel: CancelToken) -> Iterator[None]:
    """Turns the first SIGINT or SIGTERM into `cancel.cancel()`, which the job sees within a frame.

    A second one raises KeyboardInterrupt, for a step that never comes to its next check.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        if cancel.cancelled:
            raise KeyboardInterrupt
        cancel.cancel()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Clock:
    """The rate of the stage that is running."""

    def __init__(self) -> None:
        self._stage = ""
        self._since = 0.0
        self._from = 0

    def rate(self, progress: Progress) -> float | None:
        now = time.monotonic()
        if progress.stage != self._stage:
            self._stage, self._since, self._from = progress.stage, now, progress.done
            return None
        steps, seconds = progress.done - self._from, now - self._since
        return steps / seconds if steps > 0 and seconds > 0 else None


def _line(progress: Progress, rate: float | None) -> str:
    left = f", {_clock_time((progress.total - progress.done) / rate)} left" if rate else ""
    speed = f", {rate:.1f}/s" if rate else f" {_where(progress)}".rstrip()
    return f"{progress.stage}: {progress.done}/{progress.total}{speed}{left}"


def _where(progress: Progress) -> str:
    """The frame that a step is at; it moves where the clip must be gone through before the first one is done."""
    return "" if progress.frame_index is None else f"at frame {progress.frame_index}"


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
