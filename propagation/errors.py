"""Typed errors of the propagation floor: what happened, to which file, what to do.

Every error carries `path` (or None) and `advice`, and also inherits the builtin that fits, so that callers who know
nothing of this project still catch them.
"""

from __future__ import annotations

from pathlib import Path


class PropagationError(Exception):
    """Base of everything this floor raises on purpose; `str()` is one sentence a user can act on."""

    def __init__(self, what: str, *, path: str | Path | None = None, advice: str = "") -> None:
        self.what = what
        self.path = None if path is None else Path(path)
        self.advice = advice
        where = f"{self.path}: " if self.path is not None else ""
        super().__init__(f"{where}{what}{'. ' + advice if advice else ''}")

    def __str__(self) -> str:
        # OSError formats its own arguments; all errors here print the sentence they were made with.
        return str(self.args[0]) if self.args else self.what


class MediaError(PropagationError, ValueError):
    """A clip or picture cannot be read: missing, damaged, not a video, or over a limit."""


class MissingMediaError(MediaError, FileNotFoundError):
    """The file or folder is not there."""


class LimitError(MediaError):
    """The file asks for more than `propagation.video.limits` allows; the message names limit and value."""


class HintError(PropagationError, ValueError):
    """Hints or a key frame do not fit the clip: size, number, NaN, or nothing painted."""


class RangeError(PropagationError, IndexError):
    """A frame number or range lies outside the clip."""


class WeightsError(PropagationError, ValueError):
    """A weights file is missing, damaged, or not what the model expects."""


class OutputError(PropagationError, OSError):
    """The output cannot be written (rights, a folder in the way, an encoder's refusal)."""


class OutputExistsError(OutputError, FileExistsError):
    """The output is already there and overwriting was not asked for."""


class ResourceError(PropagationError, RuntimeError):
    """Out of memory, disk space or another resource."""


class NoSpaceError(ResourceError, OSError):
    """The disk is full; what was being written has been removed."""
