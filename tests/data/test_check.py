"""Problems that are found before training finds them."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from dlcli.builtin.preprocessors.impute import Impute
from dlcli.contracts.field import Field
from dlcli.contracts.task import Task
from dlcli.data.check import check
from dlcli.data.load import load
from dlcli.data.mapping import FieldMapping
from dlcli.data.read import read_dataset
from dlcli.errors import DataError

Write = Callable[..., Path]
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(40, 3)).astype("float32")
Y = np.arange(40) % 2
TWO = {"classes": ["no", "yes"]}


def told(path: Path, level: str) -> list[str]:
    return [str(finding) for finding in check(path) if finding.level == level]


def test_nothing_to_find(write: Write) -> None:
    path = write({"train/x": X[:30], "train/y": Y[:30], "test/x": X[30:], "test/y": Y[30:]}, y=TWO)
    assert check(path) == []


def test_all_errors_at_once(write: Write) -> None:
    bad = X.copy()
    bad[3, 1] = np.inf
    path = write(
        {"train/x": bad, "train/y": Y * 3, "train/w": X, "test/x": X[:5], "test/y": Y[:4], "test/w": X[:5]},
        y=TWO,
        w={"role": "weight"},
    )
    errors = told(path, "error")
    assert len(errors) == 4
    assert errors[0] == "test: test/w has 5 rows, but test/y has 4; all datasets of a split have the same first length"
    assert errors[1].startswith("train/w: a weight is N; got 2 dimensions, 40×3")
    assert errors[2].startswith("train/x: 1 infinite of 120 values, the first in row 3, column 1")
    assert errors[3].startswith("train/y: 20 values are outside: the first is 3 in row 1")


def test_missing_values_are_a_recipes_to_fill_in(write: Write) -> None:
    lacking = X.copy()
    lacking[3, 1] = np.nan
    path = write({"x": lacking, "y": Y}, y=TWO, x={"names": ["a", "b", "c"]})
    assert told(path, "error") == []
    assert told(path, "warning") == [
        "x: 1 NaN of 120 values, the first in row 3, column 1 ('b'); they are taken as missing where the recipe says "
        'preprocess = ["impute"] under [data]'
    ]
    empty = lacking.copy()
    empty[:, 2] = np.nan
    empty[:, 0] = 1
    path = write({"x": empty, "y": Y}, y=TWO)
    found = "x: 1 of 3 columns have no value in any training row, so that none can be filled in: 2; remove them"
    assert told(path, "error") == [found]
    assert told(path, "warning")[1].startswith(
        "x: 1 of 3 columns are the same in all training rows and tell nothing: 0"
    )
    with pytest.raises(ValueError, match=r"all values of column 2 are missing"):  # as training says
        Impute().finish(Impute().fit(torch.from_numpy(empty)), Field("x", "input", "features", (3,), "float32"))
    lacking[4, 1] = np.inf
    assert "1 NaN and 1 infinite of 120" in told(write({"x": lacking, "y": Y}, y=TWO), "error")[0]
    image = write({"x": np.full((40, 4, 4, 3), np.nan, "float32"), "y": Y}, y=TWO)
    assert "training would turn NaN: remove these rows" in told(image, "error")[0]


@pytest.mark.parametrize(("attributes", "task"), [({"classes": ["no"]}, None), ({}, Task.MULTICLASS)])
def test_one_class_alone_is_refused_as_by_training(write: Write, attributes: dict[str, list[str]], task: Task) -> None:
    path = write({"x": X, "y": np.zeros(40, "int64")}, y=attributes)
    (found,) = [str(finding) for finding in check(path, task=task) if finding.level == "error"]
    assert "; a classification needs two at least: add rows of another, or take another target" in found
    with pytest.raises(DataError, match=re.escape(found)):
        read_dataset(path, task=task)


def test_errors_of_structure_and_of_values_together(write: Write) -> None:
    bad = X.copy()
    bad[3, 1] = np.inf
    errors = told(write({"x": bad, "y": Y}), "error")
    assert [error.split(":")[0] for error in errors] == ["y", "x"]
    errors = told(write({"x": bad, "a": Y, "b": Y}), "error")
    assert "it is not plain which dataset is the target" in errors[0]
    assert "1 infinite of 120 values" in errors[1]


def test_wrong_lengths(write: Write) -> None:
    path = write(
        {"x": np.zeros((40, 4, 2)), "n": np.arange(40), "y": Y},
        x={"kind": "sequence"},
        n={"role": "length"},
        y=TWO,
    )
    assert told(path, "error") == [
        "n: 36 values are outside: the first is 0 in row 0; a length is 1 to 4, the steps of x. Correct the values"
    ]


def test_constant_columns(write: Write) -> None:
    x = X.copy()
    x[:, 1] = 7
    assert told(write({"x": x, "y": Y}, y=TWO, x={"names": ["a", "b", "c"]}), "warning") == [
        "x: 1 of 3 columns are the same in all training rows and tell nothing: b; remove them"
    ]
    assert told(write({"x": np.ones((40, 8)), "y": Y}, y=TWO), "warning") == [
        "x: 8 of 8 columns are the same in all training rows and tell nothing: 0, 1, 2, 3, 4, …; remove them"
    ]


def test_constant_pixels_are_only_noted(write: Write) -> None:
    x = GENERATOR.integers(0, 255, size=(40, 2, 2), dtype="uint8")
    x[:, 0, 0] = 0
    path = write({"x": x, "y": Y}, y=TWO)
    assert [finding.as_json() for finding in check(path)] == [
        {"level": "note", "where": "x", "message": "1 of 4 pixels are the same in all training rows"}
    ]
    assert "4 of 4 columns" in told(write({"x": np.zeros_like(x), "y": Y}, y=TWO), "warning")[0]


def test_constant_in_training_rows_alone(write: Write) -> None:
    x = X.copy()
    x[:30, 2] = 0
    path = write({"x": x, "y": Y, "splits/train": np.arange(30), "splits/val": np.arange(30, 40)}, y=TWO)
    assert "1 of 3 columns" in told(path, "warning")[0]


def test_classes_without_rows(write: Write) -> None:
    path = write(
        {"train/x": X[:20], "train/y": Y[:20], "test/x": X[20:], "test/y": np.full(20, 2)},
        y={"classes": ["a", "b", "c", "d"]},
    )
    assert told(path, "warning") == [
        "train/y: 2 of 4 classes have no row in train: c, d; it cannot be learnt: add rows, or remove it from `classes`"
    ]
    assert told(path, "note") == ["train/y: 3 of 4 classes have no row in test: a, b, d; it is not measured there"]


def test_labels_that_are_never_on(write: Write) -> None:
    labels = np.zeros((40, 3), int)
    labels[:, 0] = Y
    labels[:, 1] = 1 - Y
    path = write({"x": X, "y": labels}, y={"classes": ["a", "b", "c"]})
    assert "1 of 3 classes have no row in train: c" in told(path, "warning")[0]


def test_imbalance(write: Write) -> None:
    path = write({"x": X, "y": (np.arange(40) < 3).astype(int)}, y=TWO)
    assert told(path, "warning") == [
        "y: classes are out of balance: no has 37 training rows, yes has 3; accuracy will say little: look at the "
        "metrics of each class"
    ]


def test_duplicates_across_splits(write: Write) -> None:
    test = X[30:].copy()
    test[[2, 5]] = X[[4, 11]]
    path = write({"train/x": X[:30], "train/y": Y[:30], "test/x": test, "test/y": Y[30:]}, y=TWO)
    assert told(path, "warning") == [
        "test: 2 rows have the same inputs as rows of train: test 2 = train 4, test 5 = train 11; figures for test "
        "will be too good: remove them"
    ]


def test_duplicates_need_every_input_alike(write: Write) -> None:
    path = write(
        {"train/a": X, "train/b": X, "train/y": Y, "val/a": X, "val/b": X + 1, "val/y": Y},
        a={"role": "input"},
        b={"role": "input"},
        y=TWO,
    )
    assert check(path) == []


def test_unused_datasets_are_noted(write: Write) -> None:
    path = write({"x": X, "y": Y, "id": np.arange(40)}, y=TWO)
    assert told(path, "note") == ["id: it has no role and is not used; give it the attribute role to use it"]


def test_with_what_the_recipe_says(write: Write) -> None:
    path = write({"pixels": X, "label": Y, "other": Y})
    fields = {"label": FieldMapping(role="target")}
    assert [finding.level for finding in check(path, fields=fields, task=Task.BINARY)] == ["note"]
    assert check(path, fields=fields)[0].message.startswith("integers without the attribute `classes`")
    assert [finding.level for finding in check(path, fields=fields, task=Task.MULTICLASS)] == ["note"]


def test_regression(write: Write) -> None:
    assert check(write({"x": X, "y": X[:, 0]})) == []
    assert check(write({"x": X[:1], "y": X[:1, 0]})) == []


def test_what_float32_cannot_hold_and_images_that_are_turned(write: Write) -> None:
    x = X.astype("float64")
    x[5, 2] = 1e300
    (problem,) = told(write({"x": x, "y": Y}, y=TWO), "error")
    assert problem.startswith("x: 1 infinite in float32 of 120 values, the first in row 5, column 2")
    images = GENERATOR.integers(0, 255, size=(40, 3, 8, 8), dtype="uint8")
    (doubt,) = told(write({"x": images, "y": Y}, y=TWO), "warning")
    assert doubt.startswith("x: rows of 3 × 8 × 8 look like channels × height × width")
    assert check(write({"x": images.transpose(0, 2, 3, 1), "y": Y}, y=TWO)) == []


def test_too_large_to_look_at_values(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlcli.data.memory.available_memory", lambda: 10)
    (finding,) = check(write({"x": X, "y": Y}, y=TWO))
    assert "it needs 320 bytes" in finding.message


def test_inputs_larger_than_memory_are_looked_at_from_disk(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    x = X.copy()
    x[:30, 2] = 0
    x[33] = x[7]
    path = write({"train/x": x[:30], "train/y": Y[:30], "test/x": x[30:], "test/y": Y[30:]}, y=TWO)
    inside = check(path)
    assert len(inside) == 2
    monkeypatch.setattr("dlcli.data.memory.available_memory", lambda: 700)
    monkeypatch.setattr("dlcli.data.check.BLOCK_BYTES", 40)
    monkeypatch.setattr(
        "dlcli.data.check.load", lambda field: pytest.fail(field.name) if "x" in field.name else load(field)
    )
    assert check(path) == inside


def test_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        check(tmp_path)
