"""Values that training must not see."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlcli.contracts.task import Task
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
N = 20
X = np.zeros((N, 3), "float32")
Y = np.arange(N) % 2
TWO = {"classes": ["no", "yes"]}


def spoilt(shape: tuple[int, ...], values: dict[tuple[int, ...], float]) -> np.ndarray:
    array = np.zeros(shape, "float32")
    for place, value in values.items():
        array[place] = value
    return array


@pytest.mark.parametrize("block_values", [1, 7, 2**24])
@pytest.mark.parametrize(
    ("x", "attributes", "message"),
    [
        (
            spoilt((N, 3), {(4, 2): np.nan, (9, 0): np.inf, (9, 1): -np.inf}),
            {},
            r"test/x: 1 NaN and 2 infinite of 60 values, the first in row 4, column 2; training would turn NaN: remove",
        ),
        (spoilt((N, 3), {(8, 1): np.nan}), {"names": ["a", "b", "c"]}, r"1 NaN of 60 .* row 8, column 1 \('b'\)"),
        (spoilt((N, 2, 3), {(8, 1, 2): np.inf}), {"kind": "sequence"}, r"1 infinite of 120 .* row 8, step 1, column 2"),
        (
            spoilt((N, 2, 2, 3), {(8, 1, 0, 2): np.nan}),
            {},
            r"1 NaN of 240 .* the first in row 8, channel 2, line 1, column 0",
        ),
    ],
)
def test_not_finite(
    write: Write, monkeypatch, block_values: int, x: np.ndarray, attributes: dict, message: str
) -> None:
    monkeypatch.setattr("dlcli.data.values.BLOCK_VALUES", block_values)
    path = write({"train/x": np.zeros_like(x), "train/y": Y, "test/x": x, "test/y": Y}, x=attributes, y=TWO)
    with pytest.raises(DataError, match=message):
        read_dataset(path)


def test_target_that_is_not_finite(write: Write) -> None:
    with pytest.raises(DataError, match=r"y: 1 NaN of 20 values, the first in row 3"):
        read_dataset(write({"x": X, "y": spoilt((N,), {(3,): np.nan})}))


def test_all_at_once(write: Write) -> None:
    bad = spoilt((N, 3), {(4, 2): np.nan})
    with pytest.raises(DataError, match=r"2 problems:\n  train/x: 1 NaN.*\n  train/y: 10 values are outside"):
        read_dataset(write({"train/x": bad, "train/y": Y * 2}, y=TWO))


@pytest.mark.parametrize(
    ("y", "attributes", "task", "message"),
    [
        (
            Y * 2,
            TWO,
            None,
            r"y: 10 values are outside: the first is 2 in row 1; there are 2 classes, 0 to 1 \(no, yes\)",
        ),
        (-Y, TWO, None, r"y: 10 values are outside: the first is -1 in row 1"),
        (-Y, {}, Task.MULTICLASS, r"y: 10 values are outside: the first is -1 in row 1; class indices start at 0"),
        (np.eye(N, 2, dtype=int) * 3, TWO, None, r"the first is 3 in row 0, column 0; a label is 0 or 1"),
        (Y + 30, {"classes": [str(i) for i in range(30)]}, None, r"there are 30 classes, 0 to 29 \(0, 1, .*, 9, …\)"),
    ],
)
def test_labels_outside_the_classes(write: Write, y: np.ndarray, attributes: dict, task: Task, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_dataset(write({"x": X, "y": y}, y=attributes), task=task)


@pytest.mark.parametrize(
    ("extra", "attributes", "message"),
    [
        (
            Y * 9,
            {"role": "length"},
            r"z: 20 values are outside: the first is 0 in row 0; a length is 1 to 3, the steps",
        ),
        (Y * 9 + 1, {"role": "length"}, r"z: 10 values are outside: the first is 10 in row 1; a length is 1 to 3"),
        (
            np.full((N, 3), 2),
            {"role": "mask"},
            r"z: 60 values are outside: the first is 2 in row 0, column 0; a mask is",
        ),
        (
            -1.0 * Y,
            {"role": "weight"},
            r"z: 10 values are outside: the first is -1.0 in row 1; a weight is not negative",
        ),
        (np.where(Y, np.nan, 1), {"role": "weight"}, r"z: 10 NaN of 20 values"),
        (Y - 1, {"role": "condition", "kind": "categorical"}, r"z: 10 values .* categorical indices start at 0"),
        (Y + 1, {"role": "condition", **TWO}, r"z: 10 values .* the first is 2 in row 1; there are 2 classes, 0 to 1"),
    ],
)
def test_other_roles(write: Write, extra: np.ndarray, attributes: dict, message: str) -> None:
    path = write({"x": np.zeros((N, 3, 2)), "y": Y, "z": extra}, x={"kind": "sequence"}, y=TWO, z=attributes)
    with pytest.raises(DataError, match=message):
        read_dataset(path)
