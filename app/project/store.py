"""The `.huecast` file: a zip of `manifest.json`, `project.json` and the key frames' PNG pictures.

The manifest lists every other member with size and SHA-256, and the version. Nothing is ever extracted: members are
read by name, within limits, and checked before they are believed. Saving goes through propagation.atomic, so the file
is always the old one or the new one, and the one before stays as `name~`.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.errors import NewerProjectError, ProjectError
from app.project.document import Project
from app.project.media import Found, SourceState, look_for
from app.project.schema import VERSION, Record, from_record, relative_source_path, to_record
from propagation.atomic import PART_SUFFIX, atomic_write

SUFFIX = ".huecast"
FORMAT = "huecast-project"
MANIFEST = "manifest.json"
DOCUMENT = "project.json"

MAX_MEMBERS = 10_000
MAX_MEMBER_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 4 * 2**30
MAX_JSON_RATIO = 200
FIXED_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Opened:
    """A project as read from its file, with what became of its clip.

    When the clip was found elsewhere than the file said, `project.source.path` is where it is now.
    """

    project: Project
    path: Path
    source: Found


def open_project(path: Path) -> Opened:
    """Reads and checks the project at `path`, and looks for its clip without decoding it.

    Raises ProjectError (damaged, not a project, over a limit), NewerProjectError, and FileNotFoundError or another
    OSError turned into ProjectError when the file cannot be read. The file is never changed.
    """
    path = Path(path).absolute()
    record, pictures = _read(path)
    try:
        project = from_record(record, pictures)
    except ProjectError as error:
        raise _damaged(path, str(error)) from error
    if project.source is None:
        return Opened(project, path, Found(SourceState.NONE, None, ()))
    found = look_for(project.source, relative_source_path(record), path)
    if found.state is SourceState.FOUND and found.path is not None:
        project = replace(project, source=replace(project.source, path=str(found.path)))
    return Opened(project, path, found)


def save_project(project: Project, path: Path, *, keep_previous: bool = True) -> None:
    """Writes `project` to `path` whole or not at all, keeping the previous file as `name~`.

    The written file is read back and compared before it takes the name. Raises OutputError or NoSpaceError of
    propagation.errors; then the old file is untouched.
    """
    path = Path(path).absolute()
    data = encode(project, path.parent)

    def verify(written: Path) -> None:
        if written.read_bytes() != data:
            raise ProjectError("the file read back differs from what was written", path=path)

    with atomic_write(path, keep_previous=keep_previous, verify=verify) as temporary:
        temporary.write_bytes(data)


def sweep_leftovers(path: Path) -> None:
    """Removes what a killed save of `path` left beside it; only for the holder of the project's lock."""
    path = Path(path).absolute()
    for left in path.parent.glob(f".{glob.escape(path.name)}.*{PART_SUFFIX}"):
        with contextlib.suppress(OSError):
            left.unlink()


def encode(project: Project, folder: Path | None) -> bytes:
    """The project file's bytes; equal projects in one folder give equal bytes."""
    members: dict[str, bytes] = {DOCUMENT: _json(to_record(project, folder))}
    record_keys = json.loads(members[DOCUMENT])["keys"]
    for told in record_keys:
        picture = project.keys[told["frame"]].picture
        if picture is not None:
            members[told["picture"]["member"]] = picture.png
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "members": [
            {"name": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in members.items()
        ],
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {MANIFEST: _json(manifest), **members}.items():
            entry = zipfile.ZipInfo(name, FIXED_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            archive.writestr(entry, data)
    return out.getvalue()


def _read(path: Path) -> tuple[Record, dict[str, bytes]]:
    """The document's record and the picture members of the file at `path`, all checked against the manifest."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = _entries(archive, path)
            manifest = _parse(_member(archive, entries, MANIFEST, path), path, MANIFEST)
            told = _told_members(manifest, path)
            if set(entries) != set(told) | {MANIFEST}:
                odd = sorted(set(entries) ^ (set(told) | {MANIFEST}))[0]
                raise _damaged(path, f"the manifest and the content disagree about {odd!r}")
            members = {name: _checked(archive, entries, name, told[name], path) for name in told}
    except FileNotFoundError as error:
        raise ProjectError("there is no such project", path=path, advice="Check the name") from error
    except OSError as error:
        raise ProjectError(f"the project cannot be read ({error.strerror or error})", path=path) from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, ProjectError):
            raise
        raise _damaged(path, str(error)) from error
    if DOCUMENT not in members:
        raise _damaged(path, f"{DOCUMENT} is missing")
    return _parse(members.pop(DOCUMENT), path, DOCUMENT), members


def _entries(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The archive's entries by name; refuses doubles, too many, too large and encrypted ones."""
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise _damaged(path, f"it has {len(infos)} members, the limit is {MAX_MEMBERS}")
    if sum(info.file_size for info in infos) > MAX_TOTAL_BYTES:
        raise _damaged(path, f"its content is over the limit of {MAX_TOTAL_BYTES} bytes")
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.filename in entries:
            raise _damaged(path, f"it holds {info.filename!r} twice")
        if info.flag_bits & 1:
            raise _damaged(path, f"{info.filename!r} is encrypted")
        entries[info.filename] = info
    if MANIFEST not in entries:
        raise ProjectError("this is not a Huecast project", path=path, advice=f"A project ends in {SUFFIX}")
    return entries


def _member(archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str, path: Path) -> bytes:
    """Bytes of one member, never more than its limits allow whatever its header claims."""
    info = entries[name]
    if info.file_size > MAX_MEMBER_BYTES:
        raise _damaged(path, f"{name!r} is over the limit of {MAX_MEMBER_BYTES} bytes")
    if name.endswith(".json") and info.file_size > 4096 + MAX_JSON_RATIO * max(info.compress_size, 1):
        raise _damaged(path, f"{name!r} expands more than {MAX_JSON_RATIO} times")
    with archive.open(info) as stream:
        data = stream.read(info.file_size + 1)
    if len(data) != info.file_size:
        raise _damaged(path, f"{name!r} is not as long as it says")
    return data


def _told_members(manifest: Record, path: Path) -> dict[str, dict[str, Any]]:
    """The manifest's list by name; refuses another format, a newer version and a malformed list."""
    if manifest.get("format") != FORMAT:
        raise ProjectError("this is not a Huecast project", path=path, advice=f"A project ends in {SUFFIX}")
    version = manifest.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise _damaged(path, "its version is no number")
    if version > VERSION:
        raise NewerProjectError(
            f"the project was saved by a newer Huecast (format {version}; this one reads up to {VERSION})",
            path=path,
            advice="Update Huecast to open it; the file was not touched",
        )
    told = manifest.get("members")
    if not isinstance(told, list) or len(told) > MAX_MEMBERS:
        raise _damaged(path, "its manifest has no list of members")
    members: dict[str, dict[str, Any]] = {}
    for entry in told:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or entry["name"] in members:
            raise _damaged(path, "its manifest is malformed")
        members[entry["name"]] = entry
    return members


def _checked(
    archive: zipfile.ZipFile, entries: Mapping[str, zipfile.ZipInfo], name: str, told: Mapping[str, Any], path: Path
) -> bytes:
    data = _member(archive, entries, name, path)
    if told.get("size_bytes") != len(data) or told.get("sha256") != hashlib.sha256(data).hexdigest():
        raise _damaged(path, f"{name!r} is not what the manifest says")
    return data


def _parse(data: bytes, path: Path, name: str) -> Record:
    try:
        record = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"{name!r} is not readable JSON") from error
    if not isinstance(record, dict):
        raise _damaged(path, f"{name!r} is not an object")
    return record


def _refuse_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON number")


def _json(value: Record) -> bytes:
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def _damaged(path: Path, why: str) -> ProjectError:
    previous = path.with_name(path.name + "~")
    advice = f"The version before it is kept as {previous.name}" if previous.exists() else ""
    return ProjectError(f"the project is damaged: {why}", path=path, advice=advice)
