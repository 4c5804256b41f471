"""One window a project: a lock file beside it, which says who has it open and is never taken silently.

A lock whose process is gone, on this machine, is stale and is replaced. A lock of another machine cannot be judged and
stands. In a folder without write permission there is no lock; nothing can be saved there either.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from pathlib import Path

from app.errors import ProjectLockedError


class ProjectLock:
    """Holds the lock of one project file from `take` until `release`."""

    def __init__(self, project_path: Path) -> None:
        self.path = lock_path(project_path)
        self._project_path = project_path
        self._mine = False

    def take(self) -> None:
        """Takes the lock or raises ProjectLockedError that names the holder."""
        for _ in range(2):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                self._judge()
                continue
            except OSError:
                return
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump(_me(), stream)
            self._mine = True
            return
        raise self._taken("another window")

    def release(self) -> None:
        """Gives the lock back; harmless when it was never taken."""
        if self._mine:
            self._mine = False
            with contextlib.suppress(OSError):
                self.path.unlink()

    def _judge(self) -> None:
        """Removes a stale lock, or raises that a living process has it."""
        try:
            told = json.loads(self.path.read_text(encoding="utf-8")[:4096])
            host, pid, born = str(told["host"]), int(told["pid"]), told.get("born")
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            host, pid, born = "", 0, None
        if host not in ("", socket.gethostname()):
            raise self._taken(f"a window on {host}")
        if host and pid > 0 and is_alive(pid) and born in (None, started_at(pid)):
            raise self._taken(f"process {pid}" if pid != os.getpid() else "this program")
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _taken(self, by: str) -> ProjectLockedError:
        return ProjectLockedError(
            f"the project is open in {by}",
            path=self._project_path,
            advice=f"Close it there, or delete {self.path.name} if nothing has it open",
        )


def lock_path(project_path: Path) -> Path:
    """Where the lock of a project lies: hidden, beside it."""
    return project_path.with_name(f".{project_path.name}.lock")


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has number `pid`; on Windows, where asking would end it, always True."""
    if os.name == "nt":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def started_at(pid: int) -> str | None:
    """When process `pid` started, in the kernel's ticks, as numbers are used again; None where /proc is absent."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def _me() -> dict[str, object]:
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": started_at(os.getpid())}
