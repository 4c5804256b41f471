"""Typed errors of the app floor: what happened, to which file, what to do.

They extend the propagation floor's base so that one `except PropagationError` words everything this program raises
on purpose.
"""

from __future__ import annotations

from propagation.errors import PropagationError


class AppError(PropagationError):
    """Base of everything the app floor raises on purpose."""


class ProjectError(AppError, ValueError):
    """A project file is damaged, not a project, or asks for something outside the limits."""


class NewerProjectError(ProjectError):
    """The project was written by a newer version; the file is left untouched."""


class ProjectLockedError(AppError, OSError):
    """Another window has the project open; the advice names the process."""


class SourceMissingError(AppError, FileNotFoundError):
    """The clip that a project refers to is not where it was."""


class SourceChangedError(AppError, ValueError):
    """The clip is there but its content is not the one the project was made on."""


class EditError(AppError, ValueError):
    """A command does not fit the document, such as a frame outside the clip."""


class DeviceError(AppError, RuntimeError):
    """A device asked for by name is not on this machine."""
