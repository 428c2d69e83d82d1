import json
import pickle
import struct
from dataclasses import replace

import numpy as np
import pytest

from lenet.engines.base import EngineState
from lenet.errors import CheckpointError
from lenet.network import zoo
from lenet.network.initialiser import initial_weights
from lenet.recipe import Recipe
from lenet.runs import checkpoint as checkpoints
from lenet.runs.checkpoint import Best, Checkpoint, DataSource, Position


@pytest.fixture
def checkpoint():
    spec, recipe = zoo.build("lenet5"), Recipe(momentum=0.9, seed=3)
    weights = initial_weights(spec, recipe)
    momentum = {f"momentum/{name}": array * 2 for name, array in weights.items()}
    source = DataSource("digits", {"digits": "ab"}, ("zero", "eins", "二", *"3456789"))
    position = Position(2, 17, 252, 4352, 1.25, 300)
    state = EngineState(weights, momentum, 252)
    return Checkpoint(spec, recipe, source, state, position, Best(1, 0.5))


def assert_same(found, expected):
    def facts(item):
        return (item.spec, item.recipe, item.data, item.position, item.best, item.state.updates)

    assert facts(found) == facts(expected)
    for part in ("weights", "optimizer"):
        arrays, others = getattr(found.state, part), getattr(expected.state, part)
        assert list(arrays) == sorted(others)
        assert all(arrays[name].tobytes() == others[name].tobytes() for name in arrays)


def test_a_checkpoint_survives_the_disk(tmp_path, checkpoint):
    checkpoints.write(tmp_path / "a.safetensors", checkpoint)
    assert_same(checkpoints.read(tmp_path / "a.safetensors"), checkpoint)


def test_the_average_is_a_slot_of_its_own_and_the_network_that_answers(tmp_path, checkpoint):
    state = checkpoint.state
    slots = {f"{slot}/{name}": array * 3 for slot in ("mean", "square", "average")
             for name, array in state.weights.items()}  # fmt: skip
    averaged = replace(checkpoint, state=replace(state, optimizer=slots))
    checkpoints.write(tmp_path / "a.safetensors", averaged)
    found = checkpoints.read(tmp_path / "a.safetensors")
    assert_same(found, averaged)
    for name, array in found.weights.items():
        np.testing.assert_array_equal(array, state.weights[name] * 3)
    assert checkpoint.weights is checkpoint.state.weights


def test_the_same_checkpoint_is_the_same_bytes(tmp_path, checkpoint):
    checkpoints.write(tmp_path / "a.safetensors", checkpoint)
    checkpoints.write(tmp_path / "b.safetensors", checkpoint)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_nothing_is_left_aside(tmp_path, checkpoint):
    checkpoints.write(tmp_path / "a.safetensors", checkpoint)
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_any_changed_byte_is_found(tmp_path, checkpoint):
    path = tmp_path / "a.safetensors"
    checkpoints.write(path, checkpoint)
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(place % 8)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"a\.safetensors"):
            checkpoints.read(path)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100, 10_000])
def test_a_file_cut_short_is_refused(tmp_path, checkpoint, length):
    path = tmp_path / "a.safetensors"
    checkpoints.write(path, checkpoint)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(CheckpointError, match="not a checkpoint of lenet, or damaged"):
        checkpoints.read(path)


class Trap:
    def __reduce__(self):
        return (open, ("/nonexistent/trap", "w"))


@pytest.mark.parametrize(
    "content", [pickle.dumps(Trap()), b"PK\x03\x04archive/data.pkl"], ids=["pickle", "zip"]
)
def test_a_pickle_is_refused_unread(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a pickle .* refused, since loading one runs code"):
        checkpoints.read(tmp_path / "model.pt")


def header(values, tail=b""):
    text = json.dumps(values).encode()
    return struct.pack("<Q", len(text)) + text + tail


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
        header({}),
        header({"__metadata__": {"lenet": "[]"}}),
        header({"__metadata__": {"lenet": "{}"}}),
        header({"__metadata__": {"lenet": '{"sha256": "0"}'}}),
        header({"weights/C1.weight": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}),
        header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"\0\0\0\0"),
        header([1, 2]),
        b"\xff" * 64,
    ],
)
def test_hostile_headers_are_refused(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        checkpoints.read(tmp_path / "a.safetensors")


def test_weights_of_another_shape_are_refused(tmp_path, checkpoint):
    weights = {**checkpoint.state.weights, "C1.bias": np.zeros(7, np.float32)}
    wrong = replace(checkpoint, state=replace(checkpoint.state, weights=weights))
    checkpoints.write(tmp_path / "a.safetensors", wrong)
    with pytest.raises(CheckpointError, match="do not fit the network"):
        checkpoints.read(tmp_path / "a.safetensors")


def test_a_later_format_is_named(tmp_path, checkpoint, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    checkpoints.write(tmp_path / "a.safetensors", checkpoint)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="checkpoint format 2; this version reads 1"):
        checkpoints.read(tmp_path / "a.safetensors")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: cannot read"):
        checkpoints.read(tmp_path / "absent.safetensors")


def test_a_folder_that_cannot_be_written_is_named(tmp_path, checkpoint):
    with pytest.raises(CheckpointError, match="cannot write this checkpoint"):
        checkpoints.write(tmp_path / "absent" / "a.safetensors", checkpoint)
