"""The only writer: a file is whole under its name, or what was there before is untouched.

Data goes to a temporary file in the same folder (so that the rename cannot cross file systems), is flushed to the disk,
verified, and renamed over the target; then the folder is flushed, without which a power cut can undo the rename.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from propagation.errors import NoSpaceError, OutputError, OutputExistsError, PropagationError

PART_SUFFIX = ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_RIGHTS = (errno.EACCES, errno.EPERM, errno.EROFS)
_REPLACE_TRIES = 5  # Windows: a virus scanner or an indexer may hold the file for a moment


@contextmanager
def atomic_write(
    path: Path,
    *,
    overwrite: bool = True,
    keep_previous: bool = False,
    verify: Callable[[Path], None] | None = None,
) -> Iterator[Path]:
    """Yield the path of an empty temporary file beside `path`; fill it, and on leaving it becomes `path`.

    `verify` is given the finished temporary file and raises to refuse it. With `keep_previous` the file that was there
    stays as `path` + "~". On any error, KeyboardInterrupt included, the temporary file is removed and `path` is as it
    was. Raises OutputExistsError, NoSpaceError (disk or quota full) or OutputError (rights, a folder in the way);
    errors that are already this project's pass unchanged.
    """
    check_target(path, overwrite=overwrite)
    temporary = temporary_beside(path)
    try:
        with output_boundary(path):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            yield temporary
            flush_file(temporary)
            if verify is not None:
                verify(temporary)
            _take_mode(temporary, path)
            if not overwrite:
                check_target(path, overwrite=False)  # somebody may have made it meanwhile
            if keep_previous and path.exists():
                _keep(path)
            replace(temporary, path)
            flush_folder(path.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def output_boundary(path: Path) -> Iterator[None]:
    """Turn an OSError met while writing `path` into NoSpaceError or OutputError; other exceptions pass."""
    try:
        yield
    except PropagationError:
        raise
    except OSError as error:
        raise output_error(error, path) from error


class StagedFiles:
    """Files of one folder that appear together: each waits in a hidden folder beside its name until `publish`.

    The folder is made if its parent exists. Use in a `with`; whatever has not been published is removed on leaving it,
    and so is the folder if it was made here and nothing came of it.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self._folder = folder
        self._overwrite = overwrite
        self._staging = folder / f".{secrets.token_hex(4)}{PART_SUFFIX}"
        self._names: list[str] = []
        self._made_folder = False

    def __enter__(self) -> Self:
        with output_boundary(self._folder):
            if not self._folder.exists():
                check_target(self._folder, overwrite=False)
                self._folder.mkdir()
                self._made_folder = True
            self._staging.mkdir()
        return self

    def put(self, name: str, data: bytes) -> None:
        """Store the whole of file `name`. Raises NoSpaceError or OutputError."""
        waiting = self._staging / name
        with output_boundary(self._folder / name):
            waiting.write_bytes(data)
            flush_file(waiting)
        self._names.append(name)

    @contextmanager
    def place(self, name: str) -> Iterator[Path]:
        """Yield the path to fill file `name` at, for libraries that write files themselves; errors as `put`."""
        waiting = self._staging / name
        with output_boundary(self._folder / name):
            yield waiting
            flush_file(waiting)
        self._names.append(name)

    def publish(self) -> None:
        """Give every file its name; each rename is whole in itself. Raises OutputExistsError before the first of
        them."""
        for name in self._names:
            check_target(self._folder / name, overwrite=self._overwrite)
        with output_boundary(self._folder):
            for name in self._names:
                replace(self._staging / name, self._folder / name)
            flush_folder(self._folder)
        self._made_folder = False

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)
        if self._made_folder:
            with suppress(OSError):
                self._folder.rmdir()


def output_error(error: OSError, path: Path) -> PropagationError:
    """The typed error that fits `error`, with advice."""
    if error.errno in _FULL:
        return NoSpaceError("no space left on the disk", path=path, advice="Free some space or choose another place")
    if error.errno in _RIGHTS:
        return OutputError("may not be written", path=path, advice="Check the rights of the folder")
    if error.errno == errno.ENOENT:
        return OutputError("its folder does not exist", path=path, advice=f"Create {path.parent} first")
    if error.errno == errno.ENOTDIR:
        return OutputError("a file is in the way where a folder is needed", path=path)
    return OutputError(f"cannot be written: {error.strerror or error}", path=path)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise unless `path` may be written: no folder of that name, nothing there without `overwrite`, a folder to be
    in."""
    with output_boundary(path):
        if path.is_dir():
            raise OutputError("is a folder", path=path, advice="Give the name of a file")
        if not path.parent.is_dir():
            raise output_error(FileNotFoundError(errno.ENOENT, "no folder"), path)
        if not overwrite and (path.exists() or path.is_symlink()):
            raise OutputExistsError(
                "exists already", path=path, advice="Choose another name, or overwrite it (--force)"
            )


def temporary_beside(path: Path) -> Path:
    """A fresh name in the folder of `path` that ends in `.part`; hidden, and short enough for any name of 255 bytes."""
    stem = path.name.encode()[:200].decode(errors="ignore")
    return path.with_name(f".{stem}.{secrets.token_hex(4)}{PART_SUFFIX}")


def flush_file(path: Path) -> None:
    """Return when the file's bytes are on the disk; a full disk often shows only here."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Return when the folder's names are on the disk; Windows neither needs nor allows it."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace(temporary: Path, path: Path) -> None:
    """Rename `temporary` over `path` in one step."""
    for attempt in range(_REPLACE_TRIES):
        try:
            os.replace(temporary, path)
            return
        except PermissionError:
            if sys.platform != "win32" or attempt == _REPLACE_TRIES - 1:
                raise
            time.sleep(0.05 * 2**attempt)


def _take_mode(temporary: Path, path: Path) -> None:
    """Give the new file the mode of the one it replaces, or what the umask grants a new file."""
    if path.exists():
        mode = path.stat().st_mode & 0o777
    else:
        umask = os.umask(0)
        os.umask(umask)
        mode = 0o666 & ~umask
    os.chmod(temporary, mode)


def _keep(path: Path) -> None:
    previous = path.with_name(path.name + "~")
    with suppress(FileNotFoundError):
        previous.unlink()
    try:
        os.link(path, previous)
    except OSError:  # a file system without hard links
        previous.write_bytes(path.read_bytes())
