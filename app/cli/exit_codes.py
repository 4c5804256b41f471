"""The exit codes that scripts rely on, and the one mapping from errors to them."""

from __future__ import annotations

import errno

DONE = 0
UNEXPECTED = 1
USAGE = 2
BAD_INPUT = 3
OUTPUT = 4
RESOURCES = 5
STOPPED = 130

MEANINGS = {
    DONE: "done",
    USAGE: "wrong use of the command line",
    BAD_INPUT: "bad or missing input, or a number outside the clip",
    OUTPUT: "the output exists or cannot be written",
    RESOURCES: "out of memory, disk space or another resource",
    STOPPED: "stopped",
}


def exit_code(error: BaseException) -> int:
    """The exit code that `error` ends the program with; UNEXPECTED for what nobody foresaw."""
    from app.errors import DeviceError
    from app.progress import Cancelled
    from propagation.errors import OutputError, PropagationError, ResourceError

    if isinstance(error, KeyboardInterrupt | Cancelled):
        return STOPPED
    if isinstance(error, ResourceError | MemoryError | DeviceError) or _says_out_of_memory(error):
        return RESOURCES
    if isinstance(error, OutputError):
        return OUTPUT
    if isinstance(error, PropagationError):
        return BAD_INPUT
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE):
        return RESOURCES
    return UNEXPECTED


def _says_out_of_memory(error: BaseException) -> bool:
    # By name, because looking at torch's class would import torch for every error.
    return any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)
