"""The project file: a round trip is exact, damage is told in words, and a killed save loses nothing."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from app.errors import EditError, NewerProjectError, ProjectError
from app.project.document import Project
from app.project.history import History
from app.project.media import SourceState, clip_files, fingerprint
from app.project.store import MANIFEST, encode, open_project, save_project, sweep_leftovers
from propagation.errors import NoSpaceError, OutputError
from tests.app.project.projects import some_command, some_picture, some_project, some_source


def edited(seed: int, edits: int = 30) -> Project:
    rng, history = random.Random(seed), History(some_project())
    for _ in range(edits):
        try:
            history.push(some_command(rng, history.project))
        except EditError:
            continue
    return history.project


def with_clip(tmp_path: Path, project: Project) -> Project:
    clip = tmp_path / "media" / "film.mp4"
    clip.parent.mkdir(exist_ok=True)
    clip.write_bytes(b"not really a film" * 999)
    return replace(project, source=replace(some_source(str(clip)), fingerprint=fingerprint(clip_files(clip))))


@pytest.mark.parametrize("seed", range(25))
def test_saving_and_opening_gives_the_same_project(tmp_path: Path, seed: int) -> None:
    project = with_clip(tmp_path, edited(seed))
    path = tmp_path / "film.huecast"
    save_project(project, path)
    opened = open_project(path)
    assert opened.project == project
    assert opened.source.state is SourceState.FOUND


def test_a_project_without_a_clip_round_trips(tmp_path: Path) -> None:
    save_project(Project(), tmp_path / "empty.huecast")
    opened = open_project(tmp_path / "empty.huecast")
    assert opened.project == Project()
    assert opened.source.state is SourceState.NONE


def test_the_previous_version_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "film.huecast"
    save_project(edited(1), path)
    first = path.read_bytes()
    save_project(edited(2), path)
    assert (tmp_path / "film.huecast~").read_bytes() == first
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["film.huecast", "film.huecast~"]


def test_project_and_clip_moved_together_are_found(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    project = with_clip(tmp_path / "a", edited(3))
    save_project(project, tmp_path / "a" / "film.huecast")
    (tmp_path / "a").rename(tmp_path / "b")
    opened = open_project(tmp_path / "b" / "film.huecast")
    assert opened.source.state is SourceState.FOUND
    assert opened.project.source is not None
    assert opened.project.source.path == str(tmp_path / "b" / "media" / "film.mp4")


def test_a_project_moved_alone_finds_its_clip_where_it_was(tmp_path: Path) -> None:
    project = with_clip(tmp_path, edited(3))
    (tmp_path / "deep" / "er").mkdir(parents=True)
    save_project(project, tmp_path / "film.huecast")
    moved = (tmp_path / "film.huecast").rename(tmp_path / "deep" / "er" / "film.huecast")
    assert open_project(moved).source.state is SourceState.FOUND


def test_a_missing_clip_is_told_and_the_work_is_there(tmp_path: Path) -> None:
    project = with_clip(tmp_path, edited(4))
    save_project(project, tmp_path / "film.huecast")
    (tmp_path / "media" / "film.mp4").unlink()
    opened = open_project(tmp_path / "film.huecast")
    assert opened.source.state is SourceState.MISSING
    assert tmp_path / "media" / "film.mp4" in opened.source.looked_at
    assert opened.project.keys == project.keys


def test_a_replaced_clip_is_told(tmp_path: Path) -> None:
    save_project(with_clip(tmp_path, edited(4)), tmp_path / "film.huecast")
    (tmp_path / "media" / "film.mp4").write_bytes(b"another film" * 999)
    opened = open_project(tmp_path / "film.huecast")
    assert opened.source.state is SourceState.CHANGED
    assert opened.source.path == tmp_path / "media" / "film.mp4"


def test_a_clip_only_touched_is_still_the_same(tmp_path: Path) -> None:
    save_project(with_clip(tmp_path, edited(4)), tmp_path / "film.huecast")
    os.utime(tmp_path / "media" / "film.mp4", (1, 1))
    assert open_project(tmp_path / "film.huecast").source.state is SourceState.FOUND


@pytest.mark.parametrize("path", ["http://example.org/a.mp4", "//server/share/a.mp4", "\\\\server\\a.mp4", "a\0b"])
def test_a_clip_on_the_net_is_never_looked_for(tmp_path: Path, path: str) -> None:
    if "\0" in path:
        with pytest.raises(ProjectError, match="absolute"):
            rewritten(tmp_path, lambda record: record["source"].update(absolute=path))
        return
    opened = rewritten(tmp_path, lambda record: record["source"].update(absolute=path, relative=path))
    assert opened.source.looked_at == ()
    assert opened.source.state is SourceState.MISSING


def rewritten(
    tmp_path: Path,
    change: Callable[[dict], object] | None = None,
    manifest: Callable[[dict], object] | None = None,
    text: Callable[[str], str] | None = None,
):
    """Opens a project file whose JSON was changed, with a manifest that fits again."""
    import hashlib

    path = tmp_path / "film.huecast"
    project = replace(with_clip(tmp_path, edited(5)))
    path.write_bytes(encode(project, tmp_path))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    record, told = json.loads(members["project.json"]), json.loads(members[MANIFEST])
    if change:
        change(record)
    body = json.dumps(record)
    members["project.json"] = (text(body) if text else body).encode()
    for entry in told["members"]:
        data = members[entry["name"]]
        entry.update(size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    if manifest:
        manifest(told)
    members[MANIFEST] = json.dumps(told).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return open_project(path)


def stroke_of(record: dict) -> dict:
    return next(key["strokes"][0] for key in record["keys"] if key["strokes"])


CHANGES: dict[str, tuple[Callable[[dict], object], str]] = {
    "frame outside the clip": (lambda r: r["keys"][0].update(frame=12), "frame is not a whole number 0 to 11"),
    "frame twice": (lambda r: r["keys"].append(r["keys"][0]), "is there twice"),
    "negative radius": (lambda r: stroke_of(r).update(radius_px=-1), "radius_px"),
    "true for a number": (lambda r: stroke_of(r).update(radius_px=True), "radius_px"),
    "huge point": (lambda r: stroke_of(r).update(points=[1e300, 0, 1]), "points"),
    "two thirds of a point": (lambda r: stroke_of(r).update(points=[1, 2]), "points"),
    "color of two": (lambda r: stroke_of(r).update(color=[1, 2]), "color"),
    "color over 255": (lambda r: stroke_of(r).update(color=[1, 2, 256]), "color"),
    "unknown tool": (lambda r: stroke_of(r).update(tool="spray"), "is none of paint"),
    "unknown field": (lambda r: r.update(extra=1), "unknown field 'extra'"),
    "missing field": (lambda r: r.pop("settings"), "settings is missing"),
    "marks crossed": (lambda r: r.update(mark_in=5, mark_out=2), "in mark"),
    "list for an object": (lambda r: r.update(settings=[]), "is not an object"),
    "text for a list": (lambda r: r.update(swatches="red"), "is not a list"),
    "too many recent": (lambda r: r.update(recent=[[1, 2, 3]] * 99), "limit"),
    "rate of zero": (lambda r: r["source"].update(rate=[24, 0]), "rate"),
    "huge clip": (lambda r: r["source"].update(width=10**6), "width"),
    "clip without path": (lambda r: r["source"].pop("absolute"), "absolute is missing"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_record_that_does_not_fit_is_refused_in_words(tmp_path: Path, name: str) -> None:
    change, words = CHANGES[name]
    with pytest.raises(ProjectError, match=words):
        rewritten(tmp_path, change)


def test_a_picture_of_another_size_is_refused(tmp_path: Path) -> None:
    project = replace(edited(5), keys={})
    project = project.with_key(3, replace(project.key(3), picture=some_picture(1, 30)))
    path = tmp_path / "film.huecast"
    path.write_bytes(encode(project, tmp_path))
    with pytest.raises(ProjectError, match="30x24, the clip is 32x24"):
        open_project(path)


def test_a_newer_version_is_refused_politely_and_left_alone(tmp_path: Path) -> None:
    with pytest.raises(NewerProjectError, match="newer Huecast .format 2"):
        rewritten(tmp_path, manifest=lambda told: told.update(version=2))
    before = (tmp_path / "film.huecast").read_bytes()
    with pytest.raises(NewerProjectError):
        open_project(tmp_path / "film.huecast")
    assert (tmp_path / "film.huecast").read_bytes() == before


def test_not_a_number_and_deep_nesting_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="JSON"):
        rewritten(tmp_path, text=lambda body: body.replace('"mark_in": ', '"mark_in": NaN, "x": '))
    with pytest.raises(ProjectError, match="JSON|expands"):
        rewritten(tmp_path, text=lambda body: "[" * 100_000)


def test_members_that_the_manifest_does_not_list_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "film.huecast"
    save_project(edited(1), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../../escape", b"x")
    with pytest.raises(ProjectError, match="disagree about '../../escape'"):
        open_project(path)


def test_a_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="expands more than 200 times"):
        rewritten(tmp_path, text=lambda body: " " * 20_000_000 + body)


@pytest.mark.parametrize("content", [b"", b"PK", b"hello, I am a text", bytes(range(256)) * 40])
def test_what_is_no_project_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "film.huecast"
    path.write_bytes(content)
    with pytest.raises(ProjectError, match="damaged|not a Huecast project"):
        open_project(path)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "film.huecast", "w") as archive:
        archive.writestr("word/document.xml", b"<xml/>")
    with pytest.raises(ProjectError, match="not a Huecast project"):
        open_project(tmp_path / "film.huecast")


def test_a_missing_file_and_a_folder_are_project_errors(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no such project"):
        open_project(tmp_path / "none.huecast")
    with pytest.raises(ProjectError, match="cannot be read"):
        open_project(tmp_path)


@pytest.mark.parametrize("block", range(10))
def test_damage_anywhere_is_a_project_error_or_harmless(tmp_path: Path, block: int) -> None:
    path = tmp_path / "film.huecast"
    good = edited(6)
    data = encode(good, tmp_path)
    for seed in range(block * 40, block * 40 + 40):
        rng, mutant = random.Random(seed), bytearray(data)
        for _ in range(rng.randrange(1, 6)):
            mutant[rng.randrange(len(mutant))] = rng.randrange(256)
        if rng.random() < 0.3:
            del mutant[rng.randrange(len(mutant)) :]
        path.write_bytes(bytes(mutant))
        try:
            assert open_project(path).project == good, f"seed {seed}: damage went unseen"
        except ProjectError:
            continue


def test_damage_mentions_the_version_that_was_kept(tmp_path: Path) -> None:
    path = tmp_path / "film.huecast"
    save_project(edited(1), path)
    save_project(edited(2), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ProjectError, match="kept as film.huecast~"):
        open_project(path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_failing_save_is_told_and_the_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    path = tmp_path / "film.huecast"
    save_project(edited(1), path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(f"propagation.atomic.os.{call}", fail)
    with pytest.raises((OutputError, NoSpaceError), match=str(path)):
        save_project(edited(2), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*.part")) + list(tmp_path.glob(".*.part"))


def test_a_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        save_project(edited(1), tmp_path / "gone" / "film.huecast")


# One process that has imported everything forks a saver for each path it is told, and answers with its number.
FORKER = """
import os, sys
from pathlib import Path
from app.project.store import save_project
from tests.app.project.test_store import edited
projects = [edited(1, 60), edited(2, 60)]
for line in sys.stdin:
    child = os.fork()
    while child == 0:
        for project in projects:
            save_project(project, Path(line.strip()))
    print(child, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_save_killed_at_40_random_moments_leaves_the_project_whole(tmp_path: Path) -> None:
    path, rng = tmp_path / "film.huecast", random.Random(0)
    known = [edited(1, 60), edited(2, 60)]
    save_project(known[0], path)
    with subprocess.Popen(
        [sys.executable, "-c", FORKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin and process.stdout
        for _ in range(40):
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            time.sleep(rng.uniform(0.02, 0.08))
            os.kill(child, signal.SIGKILL)
            time.sleep(0.01)
            assert open_project(path).project in known
        process.stdin.close()
    sweep_leftovers(path)
    left = {entry.name for entry in tmp_path.iterdir()} - {"film.huecast~"}
    assert left == {"film.huecast"}, "what killed saves left is swept"
