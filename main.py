"""Entry point after set-up: `python main.py VERB …`, also installed as the command `huecast`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb of the command line and returns its exit code.

    `arguments` are those after the program's name, by default the process's own. Without any, the window will open;
    until it exists the verbs are printed.
    """
    from app.cli import run

    return run(sys.argv[1:] if arguments is None else list(arguments))


if __name__ == "__main__":
    sys.exit(main())
