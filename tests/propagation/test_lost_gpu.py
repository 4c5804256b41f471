"""A GPU that is lost in the middle of filling or carrying: the result is the CPU's. "cpu:0" stands for the GPU."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from kernels.errors import DEVICE_LOG
from propagation.densify import Densifier, Hints
from propagation.sequence import Carrier, carry
from propagation.spn import SpatialPropagationNetwork
from propagation.tpn import TemporalPropagationNetwork

LOST = RuntimeError("CUDA error: device-side assert triggered")
FULL = torch.OutOfMemoryError("CUDA out of memory.")


def failing_at(call: int, error: Exception, method: str, model):
    """`model`, whose copy on the other device raises `error` at its call number `call` of `method`, and ever after."""
    calls = []
    kind = type(model)

    class Failing(kind):
        def to(self, *where):
            self.is_copy = True
            return super().to(*where)

    def checked(self, *arguments):
        if getattr(self, "is_copy", False):
            calls.append(1)
            if len(calls) >= call:
                raise error
        return getattr(kind, method)(self, *arguments)

    setattr(Failing, method, checked)
    model.__class__ = Failing
    return model


def spatial() -> SpatialPropagationNetwork:
    torch.manual_seed(0)
    return SpatialPropagationNetwork()


def temporal() -> TemporalPropagationNetwork:
    torch.manual_seed(0)
    return TemporalPropagationNetwork()


@pytest.fixture(scope="module")
def lights() -> list[np.ndarray]:
    return list(np.random.default_rng(0).uniform(0, 100, (4, 40, 56)).astype(np.float32))


@pytest.fixture(scope="module")
def hints() -> Hints:
    rng = np.random.default_rng(1)
    strength = (rng.random((40, 56)) < 0.05).astype(np.float32)
    return Hints(rng.uniform(-40, 40, (40, 56, 2)).astype(np.float32), strength)


@pytest.mark.parametrize("error", [LOST, FULL])
def test_a_frame_is_described_anew_where_the_strokes_go_on(lights, hints, error, caplog):
    alone = Densifier(spatial())
    wanted = alone.fill(alone.prepare(lights[0]), hints)
    densifier = Densifier(failing_at(2, error, "fill", spatial()), "cpu:0")
    prepared = densifier.prepare(lights[0])
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        found = [densifier.fill(prepared, hints) for _ in range(3)]
    assert prepared.described[0] == "cpu"
    assert len(caplog.messages) == 1 and "CPU" in caplog.messages[0]
    for dense in found:
        np.testing.assert_array_equal(dense.values, wanted.values)


def test_a_lost_gpu_while_a_frame_is_prepared(lights, hints):
    alone = Densifier(spatial())
    densifier = Densifier(failing_at(1, LOST, "describe", spatial()), "cpu:0")
    found = densifier.fill(densifier.prepare(lights[0]), hints)
    np.testing.assert_array_equal(found.values, alone.fill(alone.prepare(lights[0]), hints).values)


def lacking(sizes: int, method: str, model):
    """`model`, whose copy has memory for inputs of at most `sizes` pixels."""
    kind = type(model)

    class Lacking(kind):
        def to(self, *where):
            self.is_copy = True
            return super().to(*where)

    def checked(self, first, *others):
        if getattr(self, "is_copy", False) and first.shape[-1] * first.shape[-2] > sizes:
            raise FULL
        return getattr(kind, method)(self, first, *others)

    setattr(Lacking, method, checked)
    model.__class__ = Lacking
    return model


@pytest.mark.parametrize(("room", "factor"), [(40 * 56 - 1, 2), (20 * 28 - 1, 4)])
def test_without_memory_a_frame_is_filled_at_a_part_of_its_size_there(lights, hints, room, factor, caplog):
    densifier = Densifier(lacking(room, "describe", spatial()), "cpu:0", tile_px=64)
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        prepared = densifier.prepare(lights[0])
        found = densifier.fill(prepared, hints)
    assert prepared.described[:2] == ("cpu:0", factor)
    assert len(caplog.messages) == 1 and "smaller pieces" in caplog.messages[0]
    alone = Densifier(spatial(), most_pixels=-(-40 // factor) * -(-56 // factor), tile_px=64 // factor)
    wanted = alone.fill(alone.prepare(lights[0]), hints)
    np.testing.assert_allclose(found.values, wanted.values, atol=1e-4)


def test_a_frame_described_whole_is_filled_smaller_where_filling_lacks_memory(lights, hints):
    class Full(SpatialPropagationNetwork):
        def fill(self, picture, values, strength):
            if values.shape[-1] == 56 and hasattr(self, "is_copy"):
                raise FULL
            return super().fill(picture, values, strength)

        def to(self, *where):
            self.is_copy = True
            return super().to(*where)

    torch.manual_seed(0)
    densifier = Densifier(Full(), "cpu:0")
    prepared = densifier.prepare(lights[0])
    assert prepared.described.factor == 1
    dense = densifier.fill(prepared, hints)
    assert prepared.described[:2] == ("cpu:0", 2) and np.isfinite(dense.values).all()
    certain = hints.strength == 1
    np.testing.assert_array_equal(dense.values[certain], hints.values[certain])


def test_without_memory_for_any_part_the_cpu_fills_the_whole(lights, hints, caplog):
    alone = Densifier(spatial())
    densifier = Densifier(lacking(0, "describe", spatial()), "cpu:0")
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        found = densifier.fill(densifier.prepare(lights[0]), hints)
    np.testing.assert_array_equal(found.values, alone.fill(alone.prepare(lights[0]), hints).values)
    assert len(caplog.messages) == 1 and "CPU" in caplog.messages[0]


def test_a_walk_goes_on_from_the_frame_at_which_the_gpu_was_lost(lights, caplog):
    key = np.full((40, 56, 2), 20, np.float32)
    carrier = Carrier(failing_at(2, LOST, "forward", temporal()), "cpu:0")
    with caplog.at_level(logging.WARNING, DEVICE_LOG):
        found = list(carry(lights.__getitem__, {0: key}, 0, 4, carrier=carrier))
    assert len(caplog.messages) == 1 and "CPU" in caplog.messages[0]
    assert [frame.index for frame in found] == [0, 1, 2, 3]
    assert all(np.isfinite(frame.values).all() and frame.values.shape == key.shape for frame in found)
    again = list(carry(lights.__getitem__, {0: key}, 0, 4, carrier=carrier))
    wanted = list(carry(lights.__getitem__, {0: key}, 0, 4, carrier=Carrier(temporal())))
    for one, other in zip(again, wanted, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
