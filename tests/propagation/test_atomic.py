"""A file is whole under its name, or what was there before is untouched: every call is made to fail in turn."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from propagation import atomic
from propagation.atomic import StagedFiles, atomic_write, output_error, temporary_beside
from propagation.errors import NoSpaceError, OutputError, OutputExistsError, ResourceError

ROOT = Path(__file__).resolve().parents[2]
# The system calls that a write goes through, by the place where atomic.py looks them up.
CALLS = ["open", "close", "fsync", "replace", "chmod", "link"]
CODES = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.EROFS]


def write(path: Path, data: bytes = b"new", **options: Any) -> None:
    with atomic_write(path, **options) as temporary:
        temporary.write_bytes(data)


def names_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_new_file(tmp_path: Path) -> None:
    write(tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"new"
    assert names_in(tmp_path) == ["a.bin"]


def test_the_old_file_stays_readable_until_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with atomic_write(path) as temporary:
        temporary.write_bytes(b"new")
        assert path.read_bytes() == b"old"
        assert temporary.parent == tmp_path and temporary.suffix == ".part"
    assert path.read_bytes() == b"new"


def test_the_previous_version_is_kept_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    for data in (b"1", b"2", b"3"):
        write(path, data, keep_previous=True)
    assert (path.read_bytes(), (tmp_path / "a.bin~").read_bytes()) == (b"3", b"2")


def test_keeping_the_previous_version_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")

    def refuse(*_paths: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    write(path, keep_previous=True)
    assert (tmp_path / "a.bin~").read_bytes() == b"old"


def test_modes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    umask = os.umask(0o027)
    try:
        write(path)
        assert path.stat().st_mode & 0o777 == 0o640
        path.chmod(0o604)
        write(path)
        assert path.stat().st_mode & 0o777 == 0o604
    finally:
        os.umask(umask)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_error_inside_leaves_everything_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_write(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert names_in(tmp_path) == ["a.bin"]


def test_verification_can_refuse(tmp_path: Path) -> None:
    def refuse(temporary: Path) -> None:
        assert temporary.read_bytes() == b"new"
        raise OutputError("is wrong", path=temporary)

    with pytest.raises(OutputError, match="is wrong"):
        write(tmp_path / "a.bin", verify=refuse)
    assert names_in(tmp_path) == []


def test_an_existing_file_is_only_replaced_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(OutputExistsError):
        write(path, overwrite=False)
    assert path.read_bytes() == b"old"


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with pytest.raises(OutputExistsError), atomic_write(path, overwrite=False) as temporary:
        temporary.write_bytes(b"new")
        path.write_bytes(b"theirs")
    assert path.read_bytes() == b"theirs"
    assert names_in(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("place", ["folder", "absent/a.bin", "file/a.bin"])
def test_places_that_cannot_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError) as caught:
        write(tmp_path / place)
    assert str(tmp_path / place) in str(caught.value)


def test_names_of_255_bytes(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127 + "x")
    write(path)
    assert path.read_bytes() == b"new"
    assert len(os.fsencode(temporary_beside(path).name)) < 255


class FailingCall:
    """Lets the first `good` calls through and makes the next one fail."""

    def __init__(self, call: Callable[..., Any], good: int, code: int) -> None:
        self.call, self.good, self.code = call, good, code
        self.failed = False

    def __call__(self, *args: Any, **words: Any) -> Any:
        self.good -= 1
        if self.good == -1:
            self.failed = True
            raise OSError(self.code, os.strerror(self.code))
        return self.call(*args, **words)


@pytest.mark.parametrize("keep_previous", [False, True])
@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", CALLS)
def test_every_call_that_fails_leaves_a_whole_file(
    tmp_path: Path, name: str, code: int, keep_previous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fail the n-th call for n = 1, 2, 3 ... until the write succeeds."""
    path = tmp_path / "a.bin"
    for good in range(20):
        path.write_bytes(b"old")
        call = FailingCall(getattr(os, name), good, code)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, call)
            try:
                write(path, keep_previous=keep_previous)
            except (OutputError, ResourceError) as error:
                assert isinstance(error, NoSpaceError) == (code in (errno.ENOSPC, errno.EDQUOT))
                assert error.path == path
                assert isinstance(error, OSError)
        # The folder's own flush comes after the rename: then the new file is there, and whole.
        assert path.read_bytes() in (b"old", b"new")
        assert set(names_in(tmp_path)) <= {"a.bin", "a.bin~"}
        if not call.failed:
            return
    pytest.fail("never succeeded")


def test_everything_is_flushed_before_the_rename_and_the_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killing a process cannot test this; the order of calls can."""
    path = tmp_path / "a.bin"
    order: list[str] = []
    fsync, rename = os.fsync, os.replace

    def traced_fsync(descriptor: int) -> None:
        order.append("flush " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    def traced_replace(old: Path, new: Path) -> None:
        order.append(f"rename {old.name}")
        rename(old, new)

    monkeypatch.setattr(os, "fsync", traced_fsync)
    monkeypatch.setattr(os, "replace", traced_replace)
    write(path)
    temporary = order[1].removeprefix("rename ")
    assert order == [f"flush {temporary}", f"rename {temporary}", f"flush {tmp_path.name}"]


@pytest.mark.parametrize(
    ("code", "kind", "word"),
    [
        (errno.ENOSPC, NoSpaceError, "no space"),
        (errno.EFBIG, NoSpaceError, "no space"),
        (errno.EACCES, OutputError, "may not"),
        (errno.ENOTDIR, OutputError, "in the way"),
        (errno.EIO, OutputError, "cannot be written"),
    ],
)
def test_errors_are_typed_and_worded(code: int, kind: type[Exception], word: str) -> None:
    error = output_error(OSError(code, os.strerror(code)), Path("x/a.bin"))
    assert isinstance(error, kind)
    assert word in str(error) and "a.bin" in str(error)


def test_windows_retries_a_rename_that_a_scanner_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = FailingCall(os.replace, 0, errno.EACCES)
    monkeypatch.setattr(os, "replace", calls)
    monkeypatch.setattr(atomic.sys, "platform", "win32")
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    write(tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == b"new" and calls.failed


KILLED = """
import sys
from pathlib import Path
from propagation.atomic import atomic_write
path = Path(sys.argv[1])
print("ready", flush=True)
for version in range(10**6):
    with atomic_write(path) as temporary:
        temporary.write_bytes(bytes([version % 251]) * 200_000)
"""


def test_a_killed_process_leaves_one_whole_version(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"\0" * 200_000)
    for attempt in range(6):
        command = [sys.executable, "-S", "-c", KILLED, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.006 * attempt)
            process.send_signal(signal.SIGKILL)
        data = path.read_bytes()
        assert len(data) == 200_000 and len(set(data)) == 1


# Files that appear together.


def test_staged_files_appear_together(tmp_path: Path) -> None:
    with StagedFiles(tmp_path, overwrite=False) as files:
        files.put("a", b"1")
        files.put("b", b"2")
        assert not (tmp_path / "a").exists()
        files.publish()
    assert names_in(tmp_path) == ["a", "b"]


def test_staged_files_that_are_not_published_vanish(tmp_path: Path) -> None:
    with pytest.raises(KeyError), StagedFiles(tmp_path / "new", overwrite=False) as files:
        files.put("a", b"1")
        raise KeyError
    assert names_in(tmp_path) == []


def test_one_file_in_the_way_stops_all(tmp_path: Path) -> None:
    with pytest.raises(OutputExistsError), StagedFiles(tmp_path, overwrite=False) as files:
        files.put("a", b"1")
        files.put("b", b"2")
        (tmp_path / "b").write_bytes(b"theirs")
        files.publish()
    assert names_in(tmp_path) == ["b"]
    assert (tmp_path / "b").read_bytes() == b"theirs"


def test_a_folder_made_for_staged_files_stays_once_they_are_published(tmp_path: Path) -> None:
    with StagedFiles(tmp_path / "new", overwrite=False) as files:
        files.put("a", b"1")
        files.publish()
    assert names_in(tmp_path / "new") == ["a"]
