"""Weights files: a round trip, and every damaged or hostile file refused with one sentence."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from propagation import weights
from propagation.errors import NoSpaceError, OutputError, WeightsError
from propagation.weights import adopt, load_weights, pack_header, read_header, save_weights, weights_path

HEADER = pack_header("spn-color", "1", {"iterations": 10}, [{"folder": "photos", "tiers": "AB"}], {"psnr": 31.5})
EXPECTED = {"bias": ((3,), torch.float32), "gates.weight": ((2, 3), torch.float16)}
PACKED = {
    "bias": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
    "gates.weight": {"dtype": "F16", "shape": [2, 3], "data_offsets": [12, 24]},
}


def tensors() -> dict[str, torch.Tensor]:
    return {"bias": torch.tensor([1.0, -2.0, 0.5]), "gates.weight": torch.arange(6).reshape(2, 3).half()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "spn.safetensors"
    save_weights(path, tensors(), HEADER)
    return path


def write_raw(path: Path, document: Any, body: bytes) -> Path:
    """A file laid out by hand, with the right checksum unless `document` brings metadata of its own."""
    if isinstance(document, dict):
        digest = hashlib.sha256(body).hexdigest()
        document = {"__metadata__": {**HEADER, "sha256": digest}, **document}
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def changed(name: str, **values: Any) -> dict[str, Any]:
    return {**PACKED, name: {**PACKED[name], **values}}


def test_round_trip_returns_the_same_tensors_and_header(saved: Path) -> None:
    loaded = load_weights(saved, EXPECTED)
    assert loaded.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    header = read_header(saved)
    assert (header.model, header.version) == ("spn-color", "1")
    assert header.recipe == {"iterations": 10}
    assert header.data == [{"folder": "photos", "tiers": "AB"}]
    assert header.scores == {"psnr": 31.5}
    assert header.tensors["gates.weight"].shape == (2, 3)


def test_a_file_laid_out_by_hand_loads(tmp_path: Path) -> None:
    body = b"".join(tensor.numpy().tobytes() for tensor in tensors().values())
    loaded = load_weights(write_raw(tmp_path / "hand.safetensors", PACKED, body), EXPECTED)
    assert torch.equal(loaded["bias"], tensors()["bias"])


def test_a_module_loads_what_it_saved(tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    save_weights(tmp_path / "m.safetensors", module.state_dict(), HEADER)
    module.load_state_dict(load_weights(tmp_path / "m.safetensors", weights.expected_tensors(module)))


def test_every_header_length_is_readable(tmp_path: Path) -> None:
    # 640 and 896 in little-endian look like the start of a pickle.
    for padding in range(0, 700, 8):
        path = tmp_path / "padded.safetensors"
        save_weights(path, {"bias": torch.zeros(3)}, {**HEADER, "note": "x" * padding})
        assert read_header(path).tensors["bias"].shape == (3,)


def test_saving_replaces_whole_and_leaves_no_temporary_file(saved: Path) -> None:
    save_weights(saved, {"bias": torch.zeros(1)}, HEADER)
    assert load_weights(saved, {"bias": ((1,), torch.float32)})["bias"].item() == 0
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]


def test_a_failed_save_leaves_what_was_there(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(NoSpaceError):
        save_weights(saved, {"bias": torch.zeros(1)}, HEADER)
    assert saved.read_bytes() == before
    assert [entry.name for entry in saved.parent.iterdir()] == [saved.name]


def test_saving_under_a_file_is_an_output_error(saved: Path) -> None:
    with pytest.raises(OutputError):
        save_weights(saved / "inside.safetensors", tensors(), HEADER)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_saving_refuses_numbers_that_are_not_finite(tmp_path: Path, number: float) -> None:
    with pytest.raises(WeightsError, match="bias"):
        save_weights(tmp_path / "nan.safetensors", {"bias": torch.tensor([number])}, HEADER)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("field", sorted(HEADER))
def test_saving_refuses_a_header_without(tmp_path: Path, field: str) -> None:
    header = {name: text for name, text in HEADER.items() if name != field}
    with pytest.raises(WeightsError, match=field):
        save_weights(tmp_path / "short.safetensors", tensors(), header)


def test_names_of_models_lead_into_the_weights_folder_only() -> None:
    assert weights_path("spn-color") == weights.WEIGHTS_FOLDER / "spn-color.safetensors"
    for name in ("", "../secret", "a/b", "a.b", "C:", "~"):
        with pytest.raises(WeightsError):
            weights_path(name)


class Marker:
    """Unpickling this writes a file: the proof that nothing was ever unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_renamed_pickle_is_refused_and_never_runs(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "pickle.safetensors"
    path.write_bytes(pickle.dumps(Marker(tmp_path / "marker"), protocol))
    with pytest.raises(WeightsError):
        load_weights(path, EXPECTED)
    assert not (tmp_path / "marker").exists()


def test_a_renamed_torch_archive_is_refused_and_never_runs(tmp_path: Path) -> None:
    path = tmp_path / "archive.safetensors"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Marker(tmp_path / "marker")))
    with pytest.raises(WeightsError, match="pickle"):
        load_weights(path, EXPECTED)
    assert not (tmp_path / "marker").exists()


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="missing") as raised:
        load_weights(tmp_path / "none.safetensors", EXPECTED)
    assert raised.value.path == tmp_path / "none.safetensors"
    with pytest.raises(WeightsError, match="not a file"):
        read_header(tmp_path)


def test_every_truncation_is_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    path = tmp_path / "short.safetensors"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError):
            load_weights(path, EXPECTED)


def test_every_flipped_byte_of_a_tensor_is_refused(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    path = tmp_path / "flipped.safetensors"
    for place in range(len(whole) - 24, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(WeightsError, match="checksum"):
            load_weights(path, EXPECTED)


def test_flipped_bytes_of_the_header_never_escape_untyped(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    path = tmp_path / "flipped.safetensors"
    for place in range(len(whole) - 24):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x81]) + whole[place + 1 :])
        with pytest.raises(WeightsError):
            load_weights(path, EXPECTED)


OVERLAP = changed("gates.weight", data_offsets=[0, 12])
ATTACKS: dict[str, tuple[Any, bytes]] = {
    "overlapping offsets": (OVERLAP, bytes(12)),
    "a gap between tensors": (changed("gates.weight", data_offsets=[16, 28]), bytes(28)),
    "a gap before the first": ({"bias": {"dtype": "F32", "shape": [3], "data_offsets": [4, 16]}}, bytes(16)),
    "bytes after the last": (PACKED, bytes(32)),
    "offsets past the end": (PACKED, bytes(16)),
    "offsets reversed": (changed("bias", data_offsets=[12, 0]), bytes(24)),
    "negative offsets": (changed("bias", data_offsets=[-12, 0]), bytes(24)),
    "offsets of another size": (changed("bias", data_offsets=[0, 8]), bytes(24)),
    "offsets as text": (changed("bias", data_offsets="0,12"), bytes(24)),
    "three offsets": (changed("bias", data_offsets=[0, 12, 24]), bytes(24)),
    "fractional offsets": (changed("bias", data_offsets=[0.0, 12.0]), bytes(24)),
    "a shape that overflows": (changed("bias", shape=[2**62, 2**62]), bytes(24)),
    "a huge shape": (changed("bias", shape=[2**40], data_offsets=[0, 2**42]), bytes(24)),
    "a negative shape": (changed("bias", shape=[-3]), bytes(24)),
    "a shape of truth values": (changed("bias", shape=[3, True]), bytes(24)),
    "no shape": ({**PACKED, "bias": {"dtype": "F32", "data_offsets": [0, 12]}}, bytes(24)),
    "an unknown dtype": (changed("bias", dtype="OBJECT"), bytes(24)),
    "a dtype that is a list": (changed("bias", dtype=["F32"]), bytes(24)),
    "a tensor that is a number": ({**PACKED, "bias": 3}, bytes(24)),
    "another shape": (changed("bias", shape=[1, 3]), bytes(24)),
    "another dtype": (changed("bias", dtype="I32"), bytes(24)),
    "a tensor too many": (
        {**PACKED, "gates.bias": {"dtype": "U8", "shape": [0], "data_offsets": [24, 24]}},
        bytes(24),
    ),
    "a tensor too few": ({"bias": PACKED["bias"]}, bytes(12)),
    "a header that is a list": ([1, 2], b""),
    "a header that is no JSON": (b"{'bias': 1}", b""),
    "a header that is no UTF-8": (b'{"\xff": 1}', b""),
    "deep JSON": (b'{"a":' * 100_000, b""),
    "a number of a million digits": (b'{"a":' + b"9" * 900_000 + b"}", b""),
    "a name twice": (b'{"bias": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "bias": {}}', b""),
    "an empty header": (b"", b""),
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_hostile_file_is_refused(tmp_path: Path, attack: str) -> None:
    document, body = ATTACKS[attack]
    with pytest.raises(WeightsError):
        load_weights(write_raw(tmp_path / "attack.safetensors", document, body), EXPECTED)


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, weights.HEADER_LIMIT_BYTES + 1, 100_000_001])
def test_a_header_length_beyond_the_limit_is_refused_before_reading(tmp_path: Path, length: int) -> None:
    path = tmp_path / "bomb.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length) + b'{"')
        file.truncate(200_000_000)  # sparse: the bytes are there to be read by whoever believes the length
    with pytest.raises(WeightsError, match="limit"):
        read_header(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_loading_refuses_numbers_that_are_not_finite(tmp_path: Path, number: float) -> None:
    body = struct.pack("<3f", 0.0, number, 1.0) + bytes(12)
    with pytest.raises(WeightsError, match="NaN or infinite"):
        load_weights(write_raw(tmp_path / "nan.safetensors", PACKED, body), EXPECTED)


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {**HEADER},
        {**HEADER, "sha256": "0" * 64},
        {**HEADER, "sha256": 3},
        {**HEADER, "recipe": "{"},
        {**HEADER, "data": "{}"},
        {**HEADER, "scores": "[" * 100_000},
        {**HEADER, "model": None},
        "spn",
        None,
    ],
)
def test_hostile_metadata_is_refused(tmp_path: Path, metadata: Any) -> None:
    path = write_raw(tmp_path / "meta.safetensors", {**PACKED, "__metadata__": metadata}, bytes(24))
    with pytest.raises(WeightsError):
        load_weights(path, EXPECTED)


def test_what_a_network_can_use_of_an_earlier_version_is_adopted(tmp_path):
    earlier, later = torch.nn.Sequential(torch.nn.Linear(3, 4)), torch.nn.Sequential(torch.nn.Linear(3, 4))
    later.append(torch.nn.Linear(4, 2))
    save_weights(tmp_path / "earlier.safetensors", {**earlier.state_dict(), "1.bias": torch.ones(7)}, HEADER)
    kept = later[1].bias.clone()
    assert sorted(adopt(later, tmp_path / "earlier.safetensors")) == ["0.bias", "0.weight"]
    assert torch.equal(later[0].weight, earlier[0].weight) and torch.equal(later[1].bias, kept)
