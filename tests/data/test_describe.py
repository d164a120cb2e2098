"""The description of a file."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from dlcli.contracts.task import Task
from dlcli.data.describe import describe
from dlcli.errors import DataError

Write = Callable[..., Path]


@pytest.mark.parametrize("block_bytes", [1, 2**25])
def test_split_groups(write: Write, monkeypatch: pytest.MonkeyPatch, block_bytes: int) -> None:
    monkeypatch.setattr("dlcli.data.describe.BLOCK_BYTES", block_bytes)
    x = np.arange(24, dtype="float32").reshape(8, 3)
    y = np.array([0, 0, 1, 0, 0, 1, 1, 1], "uint8")
    path = write(
        {"train/x": x[:5], "train/y": y[:5], "train/id": np.arange(5), "val/x": x[5:], "val/y": y[5:]},
        x={"names": ["a", "b", "c"]},
        y={"classes": ["no", "yes"]},
    )
    found = describe(path)
    assert (found.layout, found.splits, found.task) == ("groups", {"train": 5, "val": 3}, Task.BINARY)
    assert found.bytes == path.stat().st_size
    assert found.class_counts == {"train": {"no": 4, "yes": 1}, "val": {"no": 0, "yes": 3}}
    assert found.notes == ("train/id: it has no role and is not used",)
    inputs, target, unused = found.fields
    assert (inputs.name, inputs.role, inputs.kind, inputs.shape, inputs.dtype) == (
        "x",
        "input",
        "features",
        (3,),
        "float32",
    )
    assert (inputs.minimum, inputs.maximum, inputs.mean) == (0, 23, 11.5)
    assert inputs.names == ("a", "b", "c")
    assert (target.role, target.classes, target.mean) == ("target", ("no", "yes"), 0.5)
    assert (unused.name, unused.role, unused.kind) == ("id", None, None)
    assert json.loads(json.dumps(found.as_json()))["fields"][0]["shape"] == [3]
    assert json.loads(json.dumps(found.as_json()))["task"] == "binary"


def test_storage_and_attributes(tmp_path: Path) -> None:
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file.attrs["source"] = "a shelf"
        file.create_dataset("x", data=np.zeros((8, 2)), chunks=(4, 2), compression="gzip")
        file["y"] = np.full(8, np.nan)
    found = describe(path)
    assert found.attributes == {"source": "a shelf"}
    assert (found.fields[0].chunks, found.fields[0].compression) == ((4, 2), "gzip")
    assert (found.fields[1].chunks, found.fields[1].compression) == (None, None)
    assert (found.fields[1].minimum, found.fields[1].mean) == (None, None)
    assert (found.layout, found.splits, found.task) == ("flat", {"all": 8}, Task.REGRESSION)
    assert found.class_counts == {}


def test_row_indices_and_labels(write: Write) -> None:
    labels = np.array([[0, 1], [1, 1], [0, 0], [0, 1]])
    path = write(
        {"x": np.zeros((4, 2)), "y": labels, "splits/train": [0, 1, 2], "splits/test": [3]}, y={"classes": ["a", "b"]}
    )
    found = describe(path)
    assert (found.layout, found.splits, found.task) == ("indices", {"train": 3, "test": 1}, Task.MULTILABEL)
    assert found.class_counts == {"train": {"a": 1, "b": 2}, "test": {"a": 0, "b": 1}}


def test_what_training_would_refuse_is_told(write: Write) -> None:
    found = describe(write({"x": np.zeros((4, 2)), "y": [0, 1, 2, 7], "z": ["a", "b", "c", "d"], "v": 1.5}))
    assert found.task is None
    assert any("integers without the attribute `classes`" in note for note in found.notes)
    assert any("z: it has no role" in note for note in found.notes)
    found = describe(write({"a/b": np.zeros((4, 2))}))
    assert "no datasets in groups train, val, test" in found.notes[0]
    assert (found.fields, found.splits) == ((), {})
    found = describe(write({"x": np.zeros((4, 2)), "y": [0, 1, 2, 7]}, y={"classes": ["a", "b", "c"]}))
    assert found.class_counts == {"all": {"a": 1, "b": 1, "c": 1}}


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        describe(tmp_path / "gone.h5")
