"""Keeps the process alive under PySide6 6.12.0 with Python 3.11, where every signal emitted costs a reference to True.

`emit()` returns True there without taking a reference to it; after some thousand signals Python ends the process with
"deallocating True or False". Python 3.12 and later do not count references to True, and PySide6 6.11 counts them right.
"""

from __future__ import annotations

import ctypes
import sys

from PySide6.QtCore import QObject, Signal

PROBES = 20
# More signals than a process can ever emit.
PLENTY = 1 << 48


class _Probe(QObject):
    said = Signal()


def loses_references() -> bool:
    """Whether emitting a signal loses a reference to True in this process."""
    emitter = _Probe()
    before = sys.getrefcount(True)
    for _ in range(PROBES):
        emitter.said.emit()
    return sys.getrefcount(True) <= before - PROBES


def keep_true_alive() -> bool:
    """Gives True so many references that it never runs out, where that is needed; whether it was."""
    if sys.version_info >= (3, 12) or not loses_references():
        return False
    # ob_refcnt is the first field of every object in CPython up to 3.11.
    ctypes.c_ssize_t.from_address(id(True)).value += PLENTY
    return True
