"""From values as a file stores them to tensors as a model takes them, checked on the way."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dlcli.contracts.importer import TEXTS
from dlcli.data.matching import INDICES, Match
from dlcli.data.values import place_of
from dlcli.errors import DataError

DTYPES = ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
"""Types in which models take fields."""


class CellError(DataError):
    """A value does not fit the model.

    Args:
        message: What is wrong and where, as it is told of a file of arrays.
        told: What is wrong, without its place.
        row: Number of its row.
        column: Name of its column; None where it has none.
    """

    def __init__(self, message: str, told: str, row: int, column: str | None) -> None:
        super().__init__(message)
        self.told, self.row, self.column = told, row, column


def converted(
    match: Match, values: np.ndarray, rows: np.ndarray, steps: int | None = None, *, missing: bool = False
) -> Tensor:
    """Turn values into what a model takes.

    Integers become floats, floats narrower or wider ones, and integers or whole floats the integers that are wanted
    where they fit; texts and the integers of a file with an order of `classes` of its own become the model's.

    Args:
        match: The field and what feeds it.
        values: Its values as stored (R, *shape).
        rows: Their row numbers (R,), for errors.
        steps: For a length: the steps of the field that it belongs to.
        missing: Whether NaN is a missing value that the model fills in.

    Returns:
        (R, *shape of the field), images channels first, of the field's type.

    Raises:
        CellError: NaN, infinity, a category that the model does not know, or a number that does not fit; tells the
            place of the first.
    """
    field = match.field
    if match.source.dtype == TEXTS:
        return torch.from_numpy(_looked_up(match, values, rows).astype(field.dtype))
    if match.columns is not None:
        values = values[..., list(match.columns)]
    if field.kind == "image":
        values = values[:, None] if values.ndim == 3 else np.moveaxis(values, -1, 1)
    if values.dtype.kind == "f":
        _check_finite(match, values, rows, missing)
    wanted = np.dtype(field.dtype)
    if wanted.kind != "f":
        values = _whole(match, values, rows, wanted)
        values = _in_range(match, values, rows, steps)
    narrower = values.dtype.kind == "f" and not np.can_cast(values.dtype, wanted)
    with np.errstate(over="ignore"):
        tensor = torch.from_numpy(_writeable(values.astype(wanted, order="C", copy=False)))
    if narrower and not _all_finite(tensor) and bool((wrong := torch.isinf(tensor)).any()):
        _refuse(match, wrong.numpy(), values, rows, f"it does not fit into {wanted}")
    return tensor


def _writeable(values: np.ndarray) -> np.ndarray:
    return values if values.flags.writeable else values.copy()


def _all_finite(values: Tensor) -> bool:
    """Return whether no value is NaN or infinite; their sum tells, and is several times quicker than asking each."""
    return bool(torch.isfinite(values.sum())) or bool(torch.isfinite(values).all())


def _check_finite(match: Match, values: np.ndarray, rows: np.ndarray, missing: bool) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum()):
            return
    wrong = np.isinf(values) if missing else ~np.isfinite(values)
    if not wrong.any():
        return
    rule = "the model would answer NaN: leave these rows out, or fill in the values"
    if np.isnan(values[wrong]).all() and match.field.kind in ("features", "sequence"):
        rule += ", or train again with impute first in data.preprocess, which fills them in"
    _refuse(match, wrong, values, rows, rule)


def _whole(match: Match, values: np.ndarray, rows: np.ndarray, wanted: "np.dtype[Any]") -> np.ndarray:
    """Return values as integers of the wanted type, where they are whole and fit."""
    if np.can_cast(values.dtype, wanted):
        return values
    if values.dtype.kind == "f" and (wrong := values != np.trunc(values)).any():
        _refuse(match, wrong, values, rows, f"the model was trained on {wanted}: whole numbers are wanted")
    limits = np.iinfo(wanted)
    # A float cannot hold the largest int64, so that above is compared with what it is rounded to.
    wrong = (values < limits.min) | (values >= float(limits.max) if values.dtype.kind == "f" else values > limits.max)
    if wrong.any():
        _refuse(match, wrong, values, rows, f"the model was trained on {wanted}: {limits.min} to {limits.max} fit")
    return values.astype(wanted)


def _in_range(match: Match, values: np.ndarray, rows: np.ndarray, steps: int | None) -> np.ndarray:
    """Return integers that mean something; those of a file with another order of classes as the model's."""
    field, theirs = match.field, match.source.classes
    if field.role == "length":
        most = steps if steps is not None else int(np.iinfo(np.int64).max)
        _between(match, values, rows, 1, most, f"a length is 1 to {most}, the steps of {field.of}")
    elif field.role == "mask":
        _between(match, values, rows, 0, 1, "a mask is 0 or 1")
    elif field.kind in INDICES and field.classes and theirs and theirs != field.classes:
        count = len(theirs)
        _between(match, values, rows, 0, count - 1, f"the file has {count} classes, 0 to {count - 1}")
        known = {name: index for index, name in enumerate(field.classes)}
        table = np.array([known.get(name, -1) for name in theirs], dtype=np.int64)
        found: np.ndarray = table[values.astype(np.int64)]
        if (wrong := found < 0).any():
            _refuse_category(match, wrong, theirs[int(values[wrong][0])], rows)
        return found
    elif field.kind in INDICES:
        count = len(field.classes)
        rule = f"the model knows {count} classes, 0 to {count - 1}" if count else f"{field.kind} indices start at 0"
        _between(match, values, rows, 0, count - 1 if count else int(np.iinfo(np.int64).max), rule)
    return values


def _between(match: Match, values: np.ndarray, rows: np.ndarray, least: int, most: int, rule: str) -> None:
    if len(values) and (int(values.min()) < least or int(values.max()) > most):
        _refuse(match, (values < least) | (values > most), values, rows, rule)


def _looked_up(match: Match, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the model's indices of names."""
    known = {name: index for index, name in enumerate(match.field.classes)}
    names, places = np.unique(values, return_inverse=True)
    table = np.array([known.get(name, -1) for name in names.tolist()], dtype=np.int64)
    found: np.ndarray = table[places].reshape(values.shape)
    if (wrong := found < 0).any():
        _refuse_category(match, wrong, str(values[wrong][0]), rows)
    return found


def _refuse_category(match: Match, wrong: np.ndarray, name: str, rows: np.ndarray) -> None:
    classes = match.field.classes
    listed = ", ".join(map(repr, classes[:10])) + (", …" if len(classes) > 10 else "")
    known = f"it was trained on {listed}; leave these rows out, or train on data that has it"
    unknown = f"the model does not know the category {name!r}"
    message = f"{match.source.where}: {unknown} in {_place(match, wrong, rows)}; {known}"
    raise CellError(message, f"{unknown}; {known}", *_cell(match, wrong, rows))


def _refuse(match: Match, wrong: np.ndarray, values: np.ndarray, rows: np.ndarray, rule: str) -> None:
    value: Any = values[wrong][0]
    message = f"{match.source.where}: the value in {_place(match, wrong, rows)} is {value}; {rule}"
    raise CellError(message, f"the value is {value}; {rule}", *_cell(match, wrong, rows))


def _cell(match: Match, wrong: np.ndarray, rows: np.ndarray) -> tuple[int, str | None]:
    """Return the row of the first wrong value, and its column where columns have names."""
    first: Sequence[int] = np.argwhere(wrong)[0].tolist()
    names = match.field.names if len(first) > 1 else match.source.names
    return int(rows[first[0]]), names[first[-1] if len(first) > 1 else 0] if names else None


def _place(match: Match, wrong: np.ndarray, rows: np.ndarray) -> str:
    first: Sequence[int] = np.argwhere(wrong)[0].tolist()
    return place_of(match.field.kind, match.field.names, [int(rows[first[0]]), *first[1:]])
