"""The log of what nobody foresaw: tracebacks, kept out of the user's terminal."""

from __future__ import annotations

import logging
import logging.handlers
import os
import platform
import sys
import tempfile
from pathlib import Path

_MAX_BYTES = 1_000_000


def folder() -> Path:
    """Where the log lies on this system; HUECAST_LOG names another folder."""
    if named := os.environ.get("HUECAST_LOG"):
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", tempfile.gettempdir())) / "Huecast"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Logs" / "Huecast"
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "huecast"


def record(error: BaseException) -> Path | None:
    """Appends the traceback of `error` to the log and returns the log's path, or None where it cannot be written."""
    for place in (folder(), Path(tempfile.gettempdir()) / "huecast"):
        path = place / "huecast.log"
        try:
            place.mkdir(parents=True, exist_ok=True)
            _append(path, error)
        except OSError:
            continue
        return path
    return None


def _append(path: Path, error: BaseException) -> None:
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=2, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    trace = (type(error), error, error.__traceback__)
    about = f"Python {platform.python_version()} on {platform.platform()}, arguments {sys.argv[1:]}"
    entry = logging.LogRecord("huecast", logging.ERROR, __file__, 0, about, None, trace)
    try:
        handler.emit(entry)
    finally:
        handler.close()
