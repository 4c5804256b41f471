"""Object names, by which style sheets and tests find widgets."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QObject

Named = TypeVar("Named", bound=QObject)


def named(thing: Named, name: str) -> Named:
    """`thing` with its object name set."""
    thing.setObjectName(name)
    return thing
