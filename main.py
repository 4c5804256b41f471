"""Entry point after set-up: opens the window, or runs a verb of the command line; installed as `huecast`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb of the command line, or opens the window, and returns the exit code.

    `arguments` are those after the program's name, by default the process's own. Without any the window opens, and
    with a clip or a project it opens that; a verb wins over a file of the same name.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if opens_window(given):
        from app.ui.main import run_window

        return run_window(given)
    from app.cli import run

    return run(given)


def opens_window(arguments: Sequence[str]) -> bool:
    """Whether the arguments ask for the window: there are none, or one that is a file and no verb."""
    from app.cli import VERBS

    if not arguments:
        return True
    return len(arguments) == 1 and arguments[0] not in VERBS and Path(arguments[0]).exists()


if __name__ == "__main__":
    sys.exit(main())
