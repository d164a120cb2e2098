"""The task that a target asks for, and the target's form."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dlcli.contracts.task import Task
from dlcli.data.preprocessing import input_output
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
N, T = 12, 3
X = np.zeros((N, 2), "float32")
STEPS = {"role": "input", "kind": "sequence"}
LABELS = np.arange(N) % 3
MATRIX = (np.arange(N * T).reshape(N, T) % 2).astype("uint8")
NUMBERS = np.arange(N * T, dtype="float64").reshape(N, T)


def classes(count: int) -> dict[str, list[str]]:
    return {"classes": [f"class {index}" for index in range(count)]}


@pytest.mark.parametrize(
    ("y", "attributes", "asked", "task", "shape", "dtype", "outputs"),
    [
        (LABELS % 2, classes(2), None, Task.BINARY, (N, 1), torch.float32, 1),
        ((LABELS % 2).astype(bool), classes(2), None, Task.BINARY, (N, 1), torch.float32, 1),
        ((LABELS % 2)[:, None], classes(2), None, Task.BINARY, (N, 1), torch.float32, 1),
        (LABELS, classes(3), None, Task.MULTICLASS, (N,), torch.int64, 3),
        (LABELS[:, None], classes(4), None, Task.MULTICLASS, (N,), torch.int64, 4),
        (LABELS % 2, classes(2), Task.MULTICLASS, Task.MULTICLASS, (N,), torch.int64, 2),
        (LABELS, {}, Task.MULTICLASS, Task.MULTICLASS, (N,), torch.int64, 3),
        (LABELS % 2, {}, Task.BINARY, Task.BINARY, (N, 1), torch.float32, 1),
        (MATRIX, classes(3), None, Task.MULTILABEL, (N, T), torch.float32, 3),
        (MATRIX[:, :1], classes(1), None, Task.MULTILABEL, (N, 1), torch.float32, 1),
        (MATRIX, {}, Task.MULTILABEL, Task.MULTILABEL, (N, T), torch.float32, 3),
        (NUMBERS, {}, None, Task.REGRESSION, (N, T), torch.float32, 3),
        (NUMBERS[:, 0], {}, None, Task.REGRESSION, (N, 1), torch.float32, 1),
        (LABELS, {}, Task.REGRESSION, Task.REGRESSION, (N, 1), torch.float32, 1),
        (LABELS, classes(3), Task.REGRESSION, Task.REGRESSION, (N, 1), torch.float32, 1),
    ],
)
def test_task(write: Write, y, attributes, asked, task, shape, dtype, outputs) -> None:
    dataset = read_dataset(write({"x": X, "y": y}, y=attributes), task=asked, stratify=False)
    assert dataset.task is task
    assert not dataset.per_position
    target = dataset.tensors["y"]
    assert (tuple(target.shape), target.dtype) == (shape, dtype)
    assert dataset.target.shape == shape[1:]
    np.testing.assert_array_equal(target.numpy().ravel(), y.ravel())
    io = input_output(dataset, [])
    assert io.outputs == outputs
    assert (len(io.classes) == 0) is (task is Task.REGRESSION)
    if task in (Task.MULTICLASS, Task.MULTILABEL):
        assert len(io.classes) == outputs


@pytest.mark.parametrize(
    ("y", "attributes", "task", "shape", "dtype", "outputs"),
    [
        (np.zeros((N, 5), int), classes(4), Task.MULTICLASS, (N, 5), torch.int64, 4),
        (np.zeros((N, 5), int), classes(2), Task.BINARY, (N, 5, 1), torch.float32, 1),
        (np.zeros((N, 5), int), classes(5), Task.MULTILABEL, (N, 5), torch.float32, 5),
        (np.zeros((N, 5), int), {**classes(5), "kind": "tokens"}, Task.MULTICLASS, (N, 5), torch.int64, 5),
        (np.zeros((N, 5, 3), int), classes(3), Task.MULTILABEL, (N, 5, 3), torch.float32, 3),
        (np.zeros((N, 5, 3)), {}, Task.REGRESSION, (N, 5, 3), torch.float32, 3),
        (np.zeros((N, 5)), {}, Task.REGRESSION, (N, 5), torch.float32, 5),
        (np.zeros((N, 5)), {"kind": "tokens"}, Task.REGRESSION, (N, 5, 1), torch.float32, 1),
    ],
)
def test_sequences(write: Write, y, attributes, task, shape, dtype, outputs) -> None:
    dataset = read_dataset(write({"x": np.zeros((N, 5, 2)), "y": y}, x=STEPS, y=attributes))
    assert dataset.task is task
    assert (tuple(dataset.tensors["y"].shape), dataset.tensors["y"].dtype) == (shape, dtype)
    assert dataset.per_position is not (shape == (N, 5) and outputs == 5 and "kind" not in attributes)
    assert input_output(dataset, []).outputs == outputs


@pytest.mark.parametrize(
    ("y", "attributes", "asked", "message"),
    [
        (LABELS, {}, None, r"y: integers without the attribute `classes` could be .* data\.task = \"multiclass\""),
        (LABELS.astype(bool), {}, None, r"y: integers without the attribute `classes`"),
        (NUMBERS, classes(3), None, r"y: it has classes, but holds float64; store integers, or remove `classes`"),
        (NUMBERS, {}, Task.MULTICLASS, r"y: multiclass needs integers, got float64; store labels as integers"),
        (LABELS, classes(1), None, r"y: only one class, 'class 0'; a classification needs two"),
        (LABELS, classes(3), Task.BINARY, r"y: binary needs two classes, got 3; set data\.task to multiclass"),
        (LABELS, classes(3), Task.MULTILABEL, r"y: multilabel needs a 0/1 matrix N×labels, got one label a row"),
        (MATRIX, classes(4), None, r"y: its 3 columns need a name each in `classes`, got 4"),
        (
            MATRIX,
            {},
            Task.MULTICLASS,
            r"y: multiclass has one label a row, got 3 columns; set data\.task to multilabel",
        ),
        (
            np.zeros((N, 2, 2)),
            {},
            None,
            r"y: a target is N or N×columns, or N×T×columns where .* got y \(N×2×2 float64",
        ),
        (LABELS, {"kind": "image"}, None, r"y: a target is categorical \(N\), .* got kind 'image' and 1 dimensions"),
        (LABELS, {"kind": "tokens"}, None, r"y: a target is categorical \(N\), .* got kind 'tokens' and 1 dimensions"),
        (NUMBERS, {"names": ["a"]}, None, r"y: it has 3 columns, but 1 names; make them equal"),
    ],
)
def test_targets_that_are_refused(write: Write, y, attributes, asked, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(write({"x": X, "y": y}, x={"role": "input"}, y={"role": "target", **attributes}), task=asked)


def test_names_of_regression_targets(write: Write) -> None:
    dataset = read_dataset(write({"x": X, "y": NUMBERS}, y={"names": ["a", "b", "c"]}))
    assert input_output(dataset, []).targets == ("a", "b", "c")
