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
    monkeypatch.setattr("dlcli.data.row_blocks.BLOCK_BYTES", block_bytes)
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
    stored, flat = (field.storage for field in found.fields)
    assert (stored.chunks, stored.filters, stored.bytes) == ((4, 2), ("gzip 4",), 128)
    assert stored.ratio == 128 / stored.stored_bytes > 3
    assert (flat.chunks, flat.filters, flat.ratio) == (None, (), 1.0)
    assert found.memory_bytes == 128 + 64
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


def test_columns_are_described_as_numpy_would(write: Write) -> None:
    x = np.random.default_rng(0).normal(size=(500, 3))
    x[:50, 1], x[0, 1], x[:, 2] = np.nan, np.inf, np.nan
    columns = describe(write({"x": x, "y": np.zeros(500)}, x={"names": ["a", "b", "c"]})).fields[0].columns
    assert [column.name for column in columns] == ["a", "b", "c"]
    assert [column.missing for column in columns] == pytest.approx([0, 0.1, 1])
    assert columns[0].histogram == tuple(np.histogram(x[:, 0], 20)[0])
    assert columns[1].histogram == tuple(np.histogram(x[50:, 1], 20)[0])
    assert columns[1].mean == pytest.approx(x[50:, 1].mean())
    assert (columns[2].minimum, columns[2].mean, columns[2].maximum) == (None, None, None)


def test_large_fields_are_sampled_from_everywhere(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcli.data.field_pass.SAMPLE_BYTES", 8000)
    monkeypatch.setattr("dlcli.data.row_blocks.BLOCK_BYTES", 800)
    path = write({"x": np.arange(8000.0)[:, None].repeat(2, 1), "y": np.zeros(8000, "uint8")}, y={"classes": ["a"]})
    x, y = describe(path).fields
    assert (x.read_rows, x.rows, y.read_rows) == (500, 8000, 8000)
    assert x.mean == pytest.approx(3999.5, rel=0.01)
    assert x.columns[0].minimum <= 400
    assert x.columns[0].maximum > 7600
    whole = describe(path, full=True).fields[0]
    assert (whole.read_rows, whole.minimum, whole.mean, whole.maximum) == (8000, 0, 3999.5, 7999)


def test_padding_counts_in_no_figure(write: Write) -> None:
    tokens = np.array([[5, 5, 9, 0], [5, 7, 0, 0], [1, 0, 0, 0]])
    steps = np.array([[[1.0], [3.0], [99.0]], [[5.0], [99.0], [99.0]]])
    content = {"t": tokens, "n": [3, 2, 1], "y": np.zeros(3)}
    said = {"t": {"role": "input", "kind": "tokens"}, "n": {"role": "length", "of": "t"}, "y": {"role": "target"}}
    found = {field.name: field for field in describe(write(content, **said)).fields}
    t, n = found["t"], found["n"]
    assert (t.tokens.distinct, t.tokens.common[0]) == (4, (5, 0.5))
    assert (n.steps.room, n.steps.lengths.mean, n.steps.used) == (4, 2.0, 0.5)
    content = {"s": steps, "m": np.array([[1, 1, 0], [1, 0, 0]], bool), "n": [2, 1], "y": np.zeros(2)}
    said = {"s": {"role": "input", "kind": "sequence"}, "n": {"role": "length", "of": "s"}}
    found = describe(write(content, m={"role": "mask", "of": "s"}, y={"role": "target"}, **said))
    by_name = {field.name: field for field in found.fields}
    assert (by_name["s"].mean, by_name["s"].maximum) == (3.0, 5.0)
    assert by_name["m"].steps.lengths.maximum == 2


def test_pictures_are_one_of_each_class_and_shrunk(write: Write) -> None:
    images = np.zeros((40, 130, 65, 3), "uint8")
    images[:, :, :32] = 200
    labels = np.arange(40) % 4
    path = write({"x": images, "y": labels}, y={"classes": ["a", "b", "c", "d"]})
    shown = describe(path, pictures=5).fields[0].pictures
    assert {picture.label for picture in shown} == {"a", "b", "c", "d"}
    assert all(labels[picture.row] == "abcd".index(picture.label) for picture in shown)
    assert {(picture.width, picture.height) for picture in shown} == {(22, 44)}
    line = np.frombuffer(shown[0].pixels, np.uint8).reshape(44, 22, 3)[0, :, 0]
    assert (line[:10] == 255).all()
    assert line[10] == round(255 * 2 / 3)
    assert (line[11:] == 0).all()
    assert describe(path).fields[0].pictures == ()


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        describe(tmp_path / "gone.h5")
