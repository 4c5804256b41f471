"""`info`: what the program sees in a clip, an image, a project or a weights file; without a path, on this machine."""

from __future__ import annotations

import importlib.metadata
import math
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.hdr_info import hdr_facts
from app.cli.progress import count, print_json

if TYPE_CHECKING:
    from propagation.video.frame import ClipInfo

_LIBRARIES = ("torch", "numpy", "numba", "opencv-python-headless", "av", "PySide6-Essentials")


@click.command("info", short_help="Show what the program sees in a file, or on this machine.")
@click.argument("path", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(path: str | None, as_json: bool) -> None:
    """Show what the program sees in PATH: a clip, an image, a project or a weights file.

    Without PATH: the version, the ways to compute that work here, why the others do not, and the threads.
    """
    if path is None:
        facts = machine_facts()
    elif Path(path).suffix == ".safetensors":
        facts = weights_facts(Path(path))
    elif Path(path).suffix.lower() == ".huecast":
        facts = project_facts(Path(path))
    else:
        facts = media_facts(Path(path))
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def machine_facts() -> dict[str, Any]:
    """Version, libraries, backends and why not the others, devices and threads."""
    from app import machine
    from app.errors import DeviceError

    try:
        machine.choose_device("cuda")
        cuda = ""
    except DeviceError as error:
        cuda = error.what
    return {
        "kind": "machine",
        "version": importlib.metadata.version("huecast"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
        "backends": {backend.name: backend.why_not or "available" for backend in machine.backends()},
        "scans": machine.scans(),
        "cuda": cuda or "available",
        "cores": machine.core_count(),
        "threads": machine.thread_count(),
    }


def media_facts(path: Path) -> dict[str, Any]:
    """What there is to know of a clip, a picture, or HDR pictures."""
    from propagation.video.hdr_sequence import means_hdr

    if means_hdr(path):
        return hdr_facts(path)
    from propagation.video.probe import probe

    return clip_facts(probe(path))


def clip_facts(info: ClipInfo) -> dict[str, Any]:
    """Everything about a clip, a sequence or a still that a script may want."""
    facts: dict[str, Any] = {
        "kind": info.kind,
        "path": str(info.path),
        "width": info.width,
        "height": info.height,
        "frames": info.frame_count,
        "codec": info.codec,
        "bit_depth": info.bit_depth,
        "has_alpha": info.has_alpha,
        "color": {
            "primaries": info.tags.primaries,
            "transfer": info.tags.transfer,
            "matrix": info.tags.matrix,
            "range": info.tags.range,
            "guessed": info.tags.guessed,
        },
        "problems": list(info.problems),
    }
    if info.kind != "still":
        facts |= {
            "rate": str(info.rate),
            "time_base": str(info.time_base),
            "first_pts": info.pts[0],
            "last_pts": info.pts[-1],
            "duration_s": round(float(info.duration), 6),
            "constant_rate": _has_constant_rate(info),
            "rotation": info.rotation,
            "sample_aspect": str(info.sample_aspect),
            "has_audio": info.has_audio,
        }
    if info.kind == "sequence":
        # Frames are addressed from 0; this is the number in the name of frame 0.
        facts |= {"first_number": info.first_number, "first_file": str(info.files[0])}
    return facts


def project_facts(path: Path) -> dict[str, Any]:
    """What a project holds, and where its clip is: `found`, `missing`, `changed` or `none`; the clip is not decoded."""
    from app.project.store import open_project

    opened = open_project(path)
    project, source = opened.project, opened.project.source
    facts: dict[str, Any] = {"kind": "project", "path": str(path), "clip": {"state": opened.source.state.value}}
    if source is not None:
        facts["clip"] |= {
            "path": source.path,
            "kind": source.kind,
            "width": source.width,
            "height": source.height,
            "frames": source.frame_count,
            "rate": str(source.rate),
        }
    return facts | {
        "range": f"{project.range.start}:{project.range.stop}",
        "direction": project.settings.direction,
        "from_grey": project.settings.from_grey,
        "work_size": project.settings.work_size,
        "swatches": len(project.swatches),
        "keyframes": [
            {
                "frame": frame,
                "strokes": len(project.key(frame).strokes),
                "picture": picture.origin if (picture := project.key(frame).picture) is not None else None,
            }
            for frame in project.key_numbers()
        ],
    }


def weights_facts(path: Path) -> dict[str, Any]:
    """The header of a weights file: model, recipe, data and their licences, scores; no tensor is read."""
    from propagation.weights import read_header

    header = read_header(path)
    return {
        "kind": "weights",
        "path": str(path),
        "model": header.model,
        "version": header.version,
        "tensors": len(header.tensors),
        "parameters": sum(math.prod(entry.shape) for entry in header.tensors.values()),
        "sha256": header.sha256,
        "recipe": header.recipe,
        "scores": header.scores,
        "data": header.data,
    }


def print_facts(facts: dict[str, Any]) -> None:
    """Prints facts for a person, one a line."""
    for name, value in facts.items():
        label = name.replace("_", " ")
        if name == "first_number":
            click.echo(f"{'numbering':<14} frame 0 is file number {value}: file number = frame + {value}")
        elif name == "problems":
            _print_problems(value)
        elif name == "data":
            _print_data(value)
        elif name == "keyframes":
            _print_keyframes(value)
        elif isinstance(value, dict):
            click.echo(label)
            for key, entry in value.items():
                click.echo(f"  {key:<24} {entry}")
        else:
            click.echo(f"{label:<14} {_plain(value)}")


def _print_problems(problems: list[str]) -> None:
    click.echo(f"{'problems':<14} {count(len(problems), 'problem') if problems else 'none'}")
    for problem in problems:
        click.echo(f"  {problem}")


def _print_data(data: list[dict[str, Any]]) -> None:
    """What weights were trained on, by folder; --json names every file."""
    click.echo("data")
    for entry in data:
        click.echo(f"  {entry.get('folder', ''):<24} {count(len(entry.get('files', [])), 'file')}, {_origin(entry)}")


def _print_keyframes(keyframes: list[dict[str, Any]]) -> None:
    click.echo(f"{'key frames':<14} {len(keyframes) or 'none'}")
    for entry in keyframes:
        picture = f", picture {entry['picture']}" if entry["picture"] else ""
        click.echo(f"  frame {entry['frame']:<18} {count(entry['strokes'], 'stroke')}{picture}")


def _origin(entry: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in entry.items() if key not in ("folder", "files"))


def _plain(value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _has_constant_rate(info: ClipInfo) -> bool:
    steps = {later - earlier for earlier, later in zip(info.pts, info.pts[1:], strict=False)}
    # A time base that the rate does not divide makes two neighbouring steps out of one duration.
    return not steps or max(steps) - min(steps) <= 1
