"""Types that hold all values, and those that do not."""

import re

import numpy as np
import pytest

from dlcli.data.safe_types import class_names, converted, wanted_types
from dlcli.errors import DataError, UsageError


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0.0, 255.0]), "uint8"),
        (np.array([-128, 127]), "int8"),
        (np.array([True, False]), "float32"),
        (np.array([2**24], "int64"), "float32"),
        (np.array([np.nan, np.inf, 1.5]), "float16"),
        (np.array([1, 0]), "bool"),
    ],
)
def test_values_that_fit(values: np.ndarray, dtype: str) -> None:
    new = converted(values, np.dtype(dtype), "x", 0)
    assert new.dtype == dtype
    np.testing.assert_array_equal(new, values)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([0, 256]), "uint8"),
        (np.array([0, -1], "int8"), "uint8"),
        (np.array([0, 2**63], "uint64"), "int64"),
        (np.array([0, 2.0**63]), "int64"),
        (np.array([0, np.nan]), "int32"),
        (np.array([0, 0.5]), "uint8"),
        (np.array([0, 2]), "bool"),
        (np.array([0, 2**24 + 1]), "float32"),
        (np.array([0, 2**63 - 1]), "float64"),
        (np.array([0, 1e39]), "float32"),
    ],
)
def test_values_that_do_not_fit(values: np.ndarray, dtype: str) -> None:
    with pytest.raises(DataError, match=rf"x: {re.escape(str(values[1]))} in row 11 cannot become {dtype} without"):
        converted(values, np.dtype(dtype), "x", 10)


def test_texts_and_words() -> None:
    with pytest.raises(DataError, match="x holds object, which cannot become uint8; only numbers can"):
        converted(np.array([b"1"], object), np.dtype("uint8"), "x", 0)
    with pytest.raises(DataError, match="x holds int64; only texts become classes"):
        class_names([np.arange(2)], "x")
    with pytest.raises(DataError, match="not UTF-8"):
        class_names([np.array([b"\xff"])], "x")
    with pytest.raises(DataError, match="more than 10,000 different texts, which are no classes"):
        class_names([np.arange(10_001).astype("S5")], "x")
    assert wanted_types(["/train/x=uint8", "a=b=classes"]) == {"train/x": "uint8", "a=b": "classes"}
    for word in ("x", "=uint8", "x=complex64"):
        with pytest.raises(UsageError, match=f"--dtype {word}: expected NAME=TYPE; types are bool, int8"):
            wanted_types([word])
