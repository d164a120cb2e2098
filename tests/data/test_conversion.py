"""From stored values to tensors: safe conversions give the same numbers, the rest is refused with its place."""

import numpy as np
import pytest
import torch

from dlcli.contracts.field import Field
from dlcli.contracts.importer import SourceField
from dlcli.data.conversion import converted
from dlcli.data.matching import match_field
from dlcli.errors import DataError


def convert(
    values, kind, shape, dtype, *, role="input", classes=(), names=(), steps=None, of=None, theirs=(), cols=(), **more
):
    values = np.asarray(values)
    text = values.dtype.kind == "U"
    stored = SourceField("x", "x", values.shape[1:], "str" if text else values.dtype.name, None, None, theirs, cols)
    findings = []
    match = match_field(Field("x", role, kind, shape, dtype, classes, names, of), stored, findings)
    assert not findings
    return converted(match, values, np.arange(100, 100 + len(values)), steps, **more)


def test_columns_come_in_the_models_order():
    found = convert([[1, 2, 3], [4, 5, 6]], "features", (2,), "float32", names=("a", "b"), cols=("b", "c", "a"))
    torch.testing.assert_close(found, torch.tensor([[3.0, 1.0], [6.0, 4.0]]))


@pytest.mark.parametrize("stored", ["bool", "int8", "uint16", ">i4", "uint64", "float16", "float64", ">f4"])
@pytest.mark.parametrize("wanted", ["float32", "float64", "float16"])
def test_numbers_become_floats(stored, wanted):
    values = np.array([[0, 1], [1, 0]]).astype(stored)
    found = convert(values, "features", (2,), wanted)
    assert found.dtype == getattr(torch, wanted)
    assert found.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("stored", ["bool", "int8", "uint64", ">i2", "float32"])
def test_whole_numbers_become_the_wanted_integers(stored):
    found = convert(np.array([[0, 1]]).astype(stored), "features", (2,), "uint8")
    assert found.dtype == torch.uint8
    assert found.tolist() == [[0, 1]]


def test_images_become_channels_first():
    values = np.arange(2 * 3 * 4 * 5, dtype="uint8").reshape(2, 3, 4, 5)
    found = convert(values, "image", (5, 3, 4), "uint8")
    assert found.is_contiguous()
    torch.testing.assert_close(found, torch.from_numpy(values).permute(0, 3, 1, 2))
    assert convert(values[..., 0], "image", (1, 3, 4), "uint8").shape == (2, 1, 3, 4)


def test_categories_are_found_by_name():
    classes = ("red", "green", "blue")
    texts = convert([["blue", "red"], ["red", "green"]], "tokens", (2,), "int64", classes=classes)
    assert texts.tolist() == [[2, 0], [0, 1]]
    other = ("blue", "black", "red", "green")
    assert convert([0, 2, 3], "categorical", (), "int32", classes=classes, theirs=other).tolist() == [2, 0, 1]
    assert convert(np.array([False, True]), "categorical", (), "uint8", classes=classes, theirs=other[2:]).tolist() == [
        0,
        1,
    ]
    assert convert([0.0, 2.0], "categorical", (), "int64", classes=classes).tolist() == [0, 2]


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        (([[0, 1], [0, NAN]], "features", (2,), "float32"), {"names": ("a", "b")}, r"row 101, column 1 \('b'\) is nan"),
        (([[[0, 1]], [[INF, 0]]], "sequence", (1, 2), "float32"), {}, "row 101, step 0, column 0 is inf; the model"),
        (([[0.0, 1e39]], "features", (2,), "float32"), {}, r"column 1 is 1e\+39; it does not fit into float32"),
        (([[7.0, 0.5]], "features", (2,), "uint8"), {}, "column 1 is 0.5; .*uint8: whole numbers are wanted"),
        (([[7, 256]], "features", (2,), "uint8"), {}, "column 1 is 256; .*uint8: 0 to 255 fit"),
        (([[7, -1]], "features", (2,), "uint8"), {}, "column 1 is -1; .*0 to 255 fit"),
        (([[2.0**63, 0]], "features", (2,), "int64"), {}, r"is 9.22\S+e\+18; .*int64"),
        ((np.array([[2**63]], "uint64"), "features", (1,), "int64"), {}, "is 9223372036854775808; .*int64"),
        (([0, 3], "categorical", (), "int64"), {"classes": ("a", "b", "c")}, "row 101 is 3; the model knows 3 classes"),
        (([0, -3], "categorical", (), "int64"), {}, "row 101 is -3; categorical indices start at 0"),
        (([[0, 4]], "tokens", (2,), "int64"), {"classes": ("a", "b")}, "row 100, step 1 is 4; the model knows 2"),
        ((["a", "d"], "categorical", (), "int64"), {"classes": ("a", "b")}, "the category 'd' in row 101; .*'a', 'b'"),
        (
            ([1, 0, 2], "categorical", (), "int64"),
            {"classes": ("a", "b"), "theirs": ("b", "a", "z")},
            "does not know the category 'z' in row 102",
        ),
        (([0, 5], "categorical", (), "int64"), {"classes": ("a", "b"), "theirs": ("b", "a")}, "the file has 2 classes"),
        (([3, 8], "categorical", (), "int64"), {"role": "length", "steps": 7, "of": "s"}, "is 8; a length is 1 to 7"),
        (([0, 1], "categorical", (), "int64"), {"role": "length", "steps": 7, "of": "s"}, "row 100 is 0; a length"),
        (([[0, 2]], "tokens", (2,), "uint8"), {"role": "mask"}, "step 1 is 2; a mask is 0 or 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(arguments, more, message):
    with pytest.raises(DataError, match=message):
        convert(*arguments, **more)


def test_finite_numbers_whose_sum_is_not_pass():
    values = np.full((2, 2), 3e38, "float32")
    assert convert(values, "features", (2,), "float32").tolist() == values.tolist()
    assert convert(np.full((2, 1), 3e38), "features", (1,), "float32").isfinite().all()


def test_missing_values_where_the_model_fills_them_in():
    values = np.array([[1.0, np.nan], [np.nan, 2.0]])
    found = convert(values, "features", (2,), "float32", missing=True)
    np.testing.assert_array_equal(found, values.astype("float32"))
    with pytest.raises(
        DataError, match=r"row 101, column 0 is nan; .*train again with impute first in data\.preprocess"
    ):
        convert([[1.0], [np.nan]], "features", (1,), "float32")
    with pytest.raises(DataError, match=r"row 101, column 0 is -inf; the model would answer NaN: .* the values$"):
        convert([[np.nan], [-np.inf]], "features", (1,), "float32", missing=True)
    with pytest.raises(DataError, match=r"row 101, column 0 is 1e\+300; it does not fit into float32"):
        convert([[np.nan], [1e300]], "features", (1,), "float32", missing=True)
