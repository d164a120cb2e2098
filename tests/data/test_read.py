"""Layouts, roles and types of files, as they become a `Dataset`."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from dlcli.contracts.task import Task
from dlcli.data.fingerprint import fingerprint
from dlcli.data.mapping import FieldMapping
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
X = np.arange(40, dtype="float32").reshape(20, 2)
Y = np.arange(20) % 2
TWO = {"classes": ["no", "yes"]}


def test_split_groups(labelled: Write) -> None:
    path = labelled(train=6, val=4, test=2)
    dataset = read_dataset(path)
    assert {split: rows.tolist() for split, rows in dataset.splits.items()} == {
        "train": [0, 1, 2, 3, 4, 5],
        "val": [6, 7, 8, 9],
        "test": [10, 11],
    }
    assert dataset.task is Task.BINARY
    assert dataset.rows == 12
    assert not dataset.per_position
    assert dataset.tensors["x"].dtype == torch.float32
    assert dataset.tensors["y"].shape == (12, 1)
    assert dataset.target.classes == ("no", "yes")
    assert dataset.fingerprint == fingerprint(path)


def test_flat_file(write: Write) -> None:
    dataset = read_dataset(write({"x": X, "y": Y}, y=TWO))
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [16, 4]
    assert "test" not in dataset.splits
    torch.testing.assert_close(dataset.tensors["x"], torch.from_numpy(X), rtol=0, atol=0)


def test_flat_file_only_to_be_evaluated(write: Write) -> None:
    assert read_dataset(write({"x": X, "y": Y}, y=TWO), complete=False).splits["test"].tolist() == list(range(20))


def test_file_with_nothing_but_a_test_split(labelled: Write) -> None:
    path = labelled(test=4)
    assert list(read_dataset(path, complete=False).splits) == ["test"]
    with pytest.raises(DataError, match=r"there are no training rows; the file has the splits test: add train"):
        read_dataset(path)


def test_row_indices(write: Write) -> None:
    path = write({"x": X, "y": Y, "splits/train": np.arange(0, 12), "splits/test": np.array([19, 13])}, y=TWO)
    splits = read_dataset(path, val=0.25).splits
    assert splits["test"].tolist() == [19, 13]
    assert len(splits["val"]) == 3
    assert sorted([*splits["train"].tolist(), *splits["val"].tolist()]) == list(range(12))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([0, 99]), r"splits/val: 1 row numbers are outside 0 to 19, the first is 99"),
        (np.array([-1, 15]), r"splits/val: 1 row numbers are outside 0 to 19, the first is -1"),
        (np.array([15, 15]), r"splits/val: 1 rows come more than once, such as 15"),
        (np.array([4, 15]), r"splits/val: 1 rows are also in splits/train, such as 4; a row belongs to one split"),
        (np.array([1.0]), r"splits/val: row numbers are one integer each, N; got float64 of shape \(1,\)"),
        (np.zeros((2, 2), int), r"splits/val: row numbers are one integer each, N; got int64 of shape \(2, 2\)"),
    ],
)
def test_wrong_row_indices(write: Write, rows: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(write({"x": X, "y": Y, "splits/train": np.arange(12), "splits/val": rows}, y=TWO))


def test_types(write: Write) -> None:
    values = {
        "a": np.ones((4, 2), "uint8"),
        "b": np.ones((4, 2), "float64"),
        "c": np.ones((4, 2), ">i2"),
        "d": np.ones((4, 2), "uint16"),
        "e": np.ones((4, 2), bool),
        "f": np.ones((4, 2), "float16"),
        "g": np.ones((4, 2), "uint64"),
        "y": np.ones(4, "float64"),
    }
    path = write(values, **{name: {"role": "input"} for name in "abcdefg"})
    dataset = read_dataset(path)
    types = {name: str(dataset.tensors[name].dtype).removeprefix("torch.") for name in "abcdefg"}
    assert types == dict(a="uint8", b="float64", c="int16", d="int32", e="uint8", f="float16", g="int64")
    assert types == {name: dataset.fields[name].dtype for name in "abcdefg"}
    assert all(dataset.tensors[name].unique().tolist() == [1] for name in "abcdefg")
    assert [field.name for field in dataset.by_role("input")] == list("abcdefg")


def test_uint64_that_does_not_fit(write: Write) -> None:
    path = write({"x": np.full((4, 2), 2**63 + 5, "uint64"), "y": np.ones(4)})
    with pytest.raises(DataError, match=r"x: it holds 9223372036854775813, a uint64 above .*; store int64 or float64"):
        read_dataset(path)


def test_images_become_channels_first(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcli.data.load.BLOCK_BYTES", 100)
    colour = np.arange(7 * 4 * 5 * 3, dtype="uint8").reshape(7, 4, 5, 3)
    grey = np.arange(7 * 4 * 5, dtype="uint8").reshape(7, 4, 5)
    y = np.ones(7)
    dataset = read_dataset(write({"x": colour, "y": y}))
    assert dataset.fields["x"].shape == (3, 4, 5)
    assert dataset.fields["x"].kind == "image"
    assert dataset.tensors["x"].is_contiguous()
    np.testing.assert_array_equal(dataset.tensors["x"].numpy(), colour.transpose(0, 3, 1, 2))
    dataset = read_dataset(write({"x": grey, "y": y}))
    assert dataset.fields["x"].shape == (1, 4, 5)
    np.testing.assert_array_equal(dataset.tensors["x"].numpy(), grey[:, None])


def test_kinds_that_are_plain(write: Write) -> None:
    path = write(
        {"x": np.zeros((6, 5, 2), "float32"), "words": np.zeros((6, 5), int), "n": np.full(6, 5), "y": np.ones(6)},
        x={"role": "input"},
        words={"role": "condition", "kind": "tokens"},
        n={"role": "length", "of": "x"},
    )
    fields = read_dataset(path).fields
    assert (fields["x"].kind, fields["words"].kind, fields["y"].kind) == ("sequence", "tokens", "features")
    assert fields["n"].of == "x"


def test_recipe_wins_over_attributes(write: Write) -> None:
    path = write(
        {"pixels": np.ones((4, 9)), "extra": np.ones((4, 2)), "label": np.arange(4) % 2},
        pixels={"role": "condition"},
        extra={"role": "input"},
        label={"role": "target", "classes": ["a", "b"]},
    )
    mapping = {
        "x": FieldMapping(path="pixels", role="input", kind="features"),
        "label": FieldMapping(classes=("cat", "dog")),
    }
    dataset = read_dataset(path, fields=mapping)
    assert [field.name for field in dataset.by_role("input")] == ["extra", "x"]
    assert dataset.target.classes == ("cat", "dog")
    assert not dataset.by_role("condition")


def test_fields_mapped_by_split(write: Write) -> None:
    path = write({"x_train": X, "y_train": Y, "x_test": X[:4], "y_test": Y[:4]})
    mapping = {
        "x": FieldMapping(path="x_{split}"),
        "y": FieldMapping(path="y_{split}", classes=("a", "b")),
    }
    dataset = read_dataset(path, fields=mapping)
    assert {split: len(rows) for split, rows in dataset.splits.items()} == {"train": 16, "val": 4, "test": 4}


def test_mapped_field_that_is_not_there(labelled: Write) -> None:
    with pytest.raises(
        DataError,
        match=r"train/pixls: there is no such dataset, but data\.fields\.x wants it; "
        r"there are: x, y",
    ):
        read_dataset(labelled(train=4), fields={"x": FieldMapping(path="pixls", role="input")})


def test_names_that_nobody_explains(write: Write) -> None:
    dataset = read_dataset(write({"measured": X, "outcome": X[:, 0]}))
    assert dataset.target.name == "outcome"
    assert [field.name for field in dataset.by_role("input")] == ["measured"]


def test_roles_that_are_not_plain(write: Write) -> None:
    path = write({"a": X, "b": X, "c": Y, "d": Y})
    with pytest.raises(DataError) as raised:
        read_dataset(path)
    assert str(raised.value).splitlines() == [
        f"{path}: 2 problems:",
        "  it is not plain which dataset is the target; there are: a (N×2 float32), b (N×2 float32), c (N int64), "
        "d (N int64). Give one the attribute role='target', or say so in the recipe:",
        "    [data.fields]",
        '    c = { role = "target" }',
        "  it is not plain which dataset is the input; there are: a (N×2 float32), b (N×2 float32), c (N int64), "
        "d (N int64). Give one the attribute role='input', or say so in the recipe:",
        "    [data.fields]",
        '    a = { role = "input" }',
    ]


@pytest.mark.parametrize(
    ("content", "attributes", "message"),
    [
        ({"a/b/c": X}, {}, r"no datasets in groups train, val, test, nor at the root; there are: a/b/c"),
        ({"x": X}, {}, r"it is not plain which dataset is the target; there are: x \(N×2 float32\)"),
        ({"y": Y}, {"y": TWO}, r"it is not plain which dataset is the input; there are: y \(N int64\)"),
        (
            {"x": X, "y": X[:, 0], "z": X[:, 0]},
            {"y": {"role": "target"}, "z": {"role": "target"}},
            r"2 fields have the role target: y \(N float32\), z \(N float32\); one is allowed; several regression",
        ),
        ({"x": X, "y": Y}, {"x": {"role": "inptu"}}, r"x: unknown role 'inptu'; allowed are input, target, condition"),
        ({"x": X, "y": Y}, {"x": {"kind": "imgae"}}, r"x: unknown kind 'imgae'; allowed are features, image"),
        ({"x": X, "y": Y}, {"y": {"classes": ["a", "a"]}}, r"y: two classes have the same name \(a\)"),
        ({"x": X, "y": Y[:7]}, {"y": TWO}, r"x has 20 rows, but y has 7; all datasets of a split have the same first"),
        ({"x": X[:0], "y": Y[:0]}, {"y": TWO}, r"x: it has no rows; fill it, or remove it"),
        ({"x": X[:, :0], "y": Y}, {"y": TWO}, r"x: its shape 20×0 has a 0"),
        ({"x": X.astype(complex), "y": Y}, {"y": TWO}, r"x: it holds complex numbers \(complex128\); allowed are"),
        ({"x": X, "y": ["a"] * 20}, {}, r"y: it holds Python objects or texts \(object\).*store labels as integers"),
        ({"x": X, "y": np.array([b"a"] * 20)}, {}, r"y: it holds texts \(\|S1\)"),
        (
            {"x": X, "y": Y, "z": 3},
            {"y": TWO, "z": {"role": "weight"}},
            r"z: it holds a single value; expected one row",
        ),
        (
            {"x": X[:, 0], "y": Y},
            {"y": TWO, "x": {"role": "input"}},
            r"x: it is input with one float a row, 20; features",
        ),
        ({"x": X.reshape(5, 4, 2), "y": Y[:5]}, {"y": TWO}, r"x: it could be image or sequence \(5×4×2 float32\)"),
        ({"x": X.reshape(5, 2, 2, 1, 2), "y": Y[:5]}, {"y": TWO}, r"x: it has 5 dimensions, 5×2×2×1×2; an input is"),
        ({"x": X, "y": Y}, {"y": TWO, "x": {"kind": "image"}}, r"x: image is N×H×W or N×H×W×C; got 2 dimensions, 20×2"),
        ({"x": X, "y": Y}, {"y": TWO, "x": {"kind": "tokens"}}, r"x: tokens holds integers; got float32"),
        ({"x": X, "y": Y}, {"y": TWO, "x": {"names": ["a"]}}, r"x: it has 2 columns, but 1 names; make them equal"),
        ({"x": X, "y": Y, "w": X}, {"y": TWO, "w": {"role": "weight"}}, r"w: a weight is N; got 2 dimensions, 20×2"),
        ({"x": X, "y": Y, "g": X[:, 0]}, {"y": TWO, "g": {"role": "group"}}, r"g: a group holds integers; got float32"),
        (
            {"x": X, "y": Y, "n": Y},
            {"y": TWO, "n": {"role": "length", "of": "z"}},
            r"n: it belongs to 'z' \(of\), which is not used; there are: x, y",
        ),
        (
            {"a": X, "b": X, "y": Y, "n": Y},
            {"a": {"role": "input"}, "b": {"role": "input"}, "y": TWO, "n": {"role": "length"}},
            r"n: a length needs the attribute `of`, the field that it belongs to; inputs are: a, b",
        ),
        (
            {"x": np.zeros((20, 3, 2)), "y": Y, "m": np.ones((20, 4), bool)},
            {"x": {"kind": "sequence"}, "y": TWO, "m": {"role": "mask"}},
            r"m: it has 4 steps, but x has 3",
        ),
        (
            {"x": Y, "y": Y, "n": Y},
            {"x": {"role": "input", "kind": "categorical"}, "y": TWO, "n": {"role": "length"}},
            r"n: it belongs to x, which has no steps T",
        ),
    ],
)
def test_structures_that_are_refused(write: Write, content: dict, attributes: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(write(content, **attributes))


def test_splits_that_do_not_agree(write: Write) -> None:
    with pytest.raises(DataError, match=r"val/x: its rows are 3, but those of train/x are 2; a field has one shape"):
        read_dataset(write({"train/x": X, "train/y": Y, "val/x": np.zeros((20, 3), "float32"), "val/y": Y}, y=TWO))
    with pytest.raises(DataError, match=r"val/x: it holds uint8, but train/x holds float32, which may be on another"):
        read_dataset(write({"train/x": X, "train/y": Y, "val/x": X.astype("uint8"), "val/y": Y}, y=TWO))
    with pytest.raises(DataError, match=r"val/y: missing; train/y is the target, and every split needs it; val has: x"):
        read_dataset(write({"train/x": X, "train/y": Y, "val/x": X}, y=TWO))
    with pytest.raises(DataError, match=r"val: val/x has 20 rows, but val/y has 3"):
        read_dataset(write({"train/x": X, "train/y": Y, "val/x": X, "val/y": Y[:3]}, y=TWO))


def test_classes_that_differ_between_splits(write: Write) -> None:
    path = write({"train/x": X, "train/y": Y, "test/x": X, "test/y": Y}, y=TWO)

    with h5py.File(path, "r+") as file:
        file["test/y"].attrs["classes"] = ["yes", "no"]
    with pytest.raises(
        DataError, match=r"y: the attribute 'classes' differs between splits \(train/y: \('no', 'yes'\)"
    ):
        read_dataset(path)


def test_attributes_of_one_split_are_enough(write: Write) -> None:
    path = write({"train/x": X, "train/y": Y, "test/x": X, "test/y": Y}, y=TWO)

    with h5py.File(path, "r+") as file:
        del file["test/y"].attrs["classes"]
    assert read_dataset(path).target.classes == ("no", "yes")


def test_larger_than_memory(labelled: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = labelled(train=100)
    monkeypatch.setattr("dlcli.data.memory.available_memory", lambda: 1000)
    assert set(read_dataset(path).stored) == {"x"}
    monkeypatch.setattr("dlcli.data.memory.available_memory", lambda: 300)
    with pytest.raises(DataError, match=r"it needs 800 bytes \(0\.0 GiB\) of memory, but 300 bytes .* are available"):
        read_dataset(path)
    monkeypatch.setattr("dlcli.data.memory.available_memory", lambda: 4000)
    assert not read_dataset(path).stored
