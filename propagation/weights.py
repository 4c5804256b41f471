"""Weights files: safetensors only, checked whole before a single tensor is used.

A file is refused unless its header is small and well formed, its tensors tile the file exactly, its names, shapes and
dtypes are what the model expects, its bytes match the recorded sha256 and every number is finite. Nothing here can run
code from a file: there is no pickle path to fall back to.

Format: https://huggingface.co/docs/safetensors (an 8-byte little-endian length, a JSON header, the tensors' bytes).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from propagation.atomic import atomic_write, output_boundary
from propagation.errors import WeightsError

if TYPE_CHECKING:  # torch takes a second to import, and `info` reads headers without it
    import torch

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "assets" / "weights"
# The format allows 100 MB. Ours hold a few hundred tensors and a recipe, and parsed JSON takes thirty times its bytes,
# so a header near that bound could only be a bomb.
HEADER_LIMIT_BYTES = 1_000_000
TEXT_FIELDS = ("model", "version")
JSON_FIELDS = {"recipe": dict, "data": list, "scores": dict}
RESTORE = "Restore the file from the repository, or train it again"
_DTYPE_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

Expected = Mapping[str, "tuple[tuple[int, ...], torch.dtype]"]


@dataclass(frozen=True)
class TensorEntry:
    """What the header says of one tensor: `dtype` as safetensors spells it, `start`/`stop` in the tensors' bytes."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class WeightsHeader:
    """The header of a weights file: which model it is for and what it was made from.

    `recipe`: the training command's settings. `data`: the folders or files trained on, with their licence tiers.
    `scores`: what the bench printed for them. `sha256`: of the tensors' bytes as they lie in the file.
    """

    path: Path
    model: str
    version: str
    recipe: dict[str, Any]
    data: list[Any]
    scores: dict[str, Any]
    sha256: str
    tensors: Mapping[str, TensorEntry]


def weights_path(name: str) -> Path:
    """The file of the model called `name` in assets/weights; raises WeightsError when `name` is not a plain name."""
    if not name or not all(letter.isalnum() or letter in "-_" for letter in name):
        raise WeightsError(f"{name!r} is not the name of a model", advice="Names are letters, digits, - and _")
    return WEIGHTS_FOLDER / f"{name}.safetensors"


def expected_tensors(module: torch.nn.Module) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """What `load_weights` should find for `module`: the shape and dtype of everything in its state."""
    return {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in module.state_dict().items()}


def pack_header(
    model: str, version: str, recipe: Mapping[str, Any], data: list[Any], scores: Mapping[str, Any]
) -> dict[str, str]:
    """The header `save_weights` asks for, as the text fields that safetensors can hold."""
    return {
        "model": model,
        "version": version,
        "recipe": json.dumps(dict(recipe)),
        "data": json.dumps(data),
        "scores": json.dumps(dict(scores)),
    }


def read_header(path: str | Path) -> WeightsHeader:
    """Read and check the header of a weights file; the tensors themselves are not touched.

    Raises WeightsError when the file is missing, damaged, not a weights file, or lacks a field.
    """
    path = Path(path)
    with _open(path) as file:
        return _read_header(file, path)


def load_weights(path: str | Path, expected: Expected) -> dict[str, torch.Tensor]:
    """The tensors of a weights file, on the CPU.

    `expected` names every tensor with its shape and dtype; a file with one more, one fewer or another one is refused
    before any tensor is read. Raises WeightsError, also for a wrong sha256 and for NaN or infinite numbers.
    """
    import safetensors.torch

    path = Path(path)
    with _open(path) as file:
        header = _read_header(file, path)
        _check_expected(header, expected)
        file.seek(0)
        content = file.read()
    tensors_start = len(content) - max((entry.stop for entry in header.tensors.values()), default=0)
    if hashlib.sha256(memoryview(content)[tensors_start:]).hexdigest() != header.sha256:
        raise WeightsError("the weights do not match their checksum, the file is damaged", path=path, advice=RESTORE)
    try:
        tensors: dict[str, torch.Tensor] = safetensors.torch.load(content)
    except Exception as error:  # noqa: BLE001 - whatever the library objects to, the file is not usable
        raise WeightsError(f"the weights cannot be read ({error})", path=path, advice=RESTORE) from error
    _check_finite(tensors, path)
    return tensors


def adopt(module: torch.nn.Module, path: str | Path) -> list[str]:
    """Copies into `module` every tensor of a weights file that has its name and shape there; returns their names.

    For training that goes on from an earlier version of a network. Raises WeightsError as `load_weights` does.
    """
    import torch

    tensors = load_weights(path, _expected_of(path))
    own = module.state_dict()
    names = [name for name, tensor in tensors.items() if name in own and own[name].shape == tensor.shape]
    with torch.no_grad():
        for name in names:
            own[name].copy_(tensors[name])
    return names


def _expected_of(path: str | Path) -> Expected:
    """What a file says of itself: for readers that take from it what they can use."""
    import torch

    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    return {name: (entry.shape, kinds[entry.dtype]) for name, entry in read_header(path).tensors.items()}


def save_weights(path: str | Path, tensors: Mapping[str, torch.Tensor], header: Mapping[str, str]) -> None:
    """Write a weights file so that it is whole or absent; what was there stays until the new one is read back.

    `header` as made by `pack_header`; the sha256 is added here. Raises WeightsError when the header lacks a field or a
    number is not finite, OutputError or NoSpaceError when the file cannot be written.
    """
    import safetensors.torch

    path = Path(path)
    _decode_fields(header, path)
    dense = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    _check_finite(dense, path)
    bare = safetensors.torch.save(dense)
    (length,) = struct.unpack_from("<Q", bare)
    digest = hashlib.sha256(memoryview(bare)[8 + length :]).hexdigest()
    content = safetensors.torch.save(dense, {**header, "sha256": digest})
    expected = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in dense.items()}
    with output_boundary(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, verify=lambda temporary: _check_written(temporary, expected)) as temporary:
        temporary.write_bytes(content)


def _check_written(path: Path, expected: Expected) -> None:
    load_weights(path, expected)


def _open(path: Path) -> BinaryIO:
    if not path.is_file():
        what = "this is not a file" if path.exists() else "the weights file is missing"
        raise WeightsError(what, path=path, advice=RESTORE)
    try:
        return path.open("rb")
    except OSError as error:
        raise WeightsError(f"the weights file cannot be opened ({error.strerror})", path=path) from error


def _read_header(file: BinaryIO, path: Path) -> WeightsHeader:
    file_bytes = os.fstat(file.fileno()).st_size
    start = file.read(8)
    if len(start) < 8:
        raise _damaged(path, f"it has {file_bytes} bytes")
    (length,) = struct.unpack("<Q", start)
    if length <= min(HEADER_LIMIT_BYTES, file_bytes - 8):
        text = file.read(length)
    elif start.startswith(_PICKLE_STARTS):
        raise _pickled(path)
    elif length > HEADER_LIMIT_BYTES:
        raise _damaged(path, f"its header claims {length} bytes, the limit is {HEADER_LIMIT_BYTES}")
    else:
        raise _damaged(path, "it ends inside its header")
    if start.startswith(_PICKLE_STARTS) and not text.startswith(b"{"):
        raise _pickled(path)
    document = _parse_json(text, path)
    metadata = document.pop("__metadata__", {})
    entries = {name: _entry(name, value, path) for name, value in document.items()}
    _check_tiling(entries, file_bytes - 8 - length, path)
    if not isinstance(metadata, dict):
        raise _damaged(path, "its metadata is not a table")
    fields = _decode_fields(metadata, path)
    sha256 = metadata.get("sha256")
    if not isinstance(sha256, str):
        raise WeightsError("the weights file carries no sha256", path=path, advice=RESTORE)
    return WeightsHeader(path=path, sha256=sha256, tensors=entries, **fields)


def _damaged(path: Path, why: str) -> WeightsError:
    return WeightsError(f"not a whole weights file: {why}", path=path, advice=RESTORE)


def _pickled(path: Path) -> WeightsError:
    what = "this is a pickle or a torch archive, whatever its name; such files can run code and are never opened"
    return WeightsError(what, path=path, advice="Only safetensors files are read")


def _parse_json(text: bytes, path: Path) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) < len(pairs):
            raise ValueError("a name appears twice")
        return table

    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, f"its header is not valid JSON ({error})") from error
    if not isinstance(document, dict):
        raise _damaged(path, "its header is not a table")
    return document


def _entry(name: str, value: Any, path: Path) -> TensorEntry:
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, f"tensor {name!r} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _DTYPE_BYTES:
        raise _damaged(path, f"tensor {name!r} has the unknown dtype {dtype!r}")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise _damaged(path, f"tensor {name!r} has an impossible shape or place")
    size_bytes = _DTYPE_BYTES[dtype]
    for extent in shape:
        size_bytes *= extent
    if offsets[1] - offsets[0] != size_bytes:
        raise _damaged(path, f"tensor {name!r} has a place that does not fit its shape")
    return TensorEntry(dtype, tuple(shape), offsets[0], offsets[1])


def _are_counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _check_tiling(entries: Mapping[str, TensorEntry], size_bytes: int, path: Path) -> None:
    """Tensors must follow one another without gap or overlap: nothing hides between them, nothing is read twice."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            raise _damaged(path, f"tensor {name!r} overlaps another or leaves a gap")
        end = entry.stop
    if end > size_bytes:
        raise _damaged(path, f"it ends {end - size_bytes} bytes early")
    if end < size_bytes:
        raise _damaged(path, f"{size_bytes - end} bytes follow its last tensor")


def _decode_fields(metadata: Mapping[str, Any], path: Path) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in (*TEXT_FIELDS, *JSON_FIELDS):
        text = metadata.get(name)
        if not isinstance(text, str):
            raise WeightsError(f"the header of the weights lacks {name!r}", path=path)
        fields[name] = text
    for name, kind in JSON_FIELDS.items():
        try:
            fields[name] = json.loads(fields[name])
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"{name!r} in the header of the weights is not valid JSON", path=path) from error
        if not isinstance(fields[name], kind):
            raise WeightsError(f"{name!r} in the header of the weights is not a {kind.__name__}", path=path)
    return fields


def _check_expected(header: WeightsHeader, expected: Expected) -> None:
    def refuse(why: str) -> WeightsError:
        return WeightsError(f"weights for another model ({header.model} {header.version}): {why}", path=header.path)

    missing = sorted(set(expected) - set(header.tensors))
    surplus = sorted(set(header.tensors) - set(expected))
    if missing:
        raise refuse(f"{missing[0]!r} is not in it")
    if surplus:
        raise refuse(f"it holds {surplus[0]!r}, which the model does not know")
    for name, (shape, dtype) in expected.items():
        entry = header.tensors[name]
        wanted = _safetensors_dtype(dtype)
        if entry.shape != tuple(shape) or entry.dtype != wanted:
            raise refuse(f"{name!r} is {entry.dtype} {list(entry.shape)}, expected {wanted} {list(shape)}")


def _safetensors_dtype(dtype: torch.dtype) -> str:
    import torch

    names = {
        torch.float64: "F64",
        torch.float32: "F32",
        torch.float16: "F16",
        torch.bfloat16: "BF16",
        torch.int64: "I64",
        torch.int32: "I32",
        torch.int16: "I16",
        torch.int8: "I8",
        torch.uint8: "U8",
        torch.bool: "BOOL",
    }
    return names[dtype]


def _check_finite(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    import torch

    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        # By numpy, which gathers no threads for each of a hundred small tensors, and has every type but bfloat16.
        values = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        if not np.isfinite(values).all():
            raise WeightsError(f"tensor {name!r} holds NaN or infinite numbers", path=path, advice=RESTORE)
