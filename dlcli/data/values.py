"""What may be wrong with values: NaN and infinity, labels outside the classes, lengths, masks and weights."""

import math
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from dlcli.contracts.dataset import FieldRows
from dlcli.contracts.field import Kind
from dlcli.contracts.preprocessor import Preprocessor
from dlcli.contracts.task import Task
from dlcli.data.finding import Finding, error
from dlcli.data.load import pieces
from dlcli.data.missing import advice_on_missing, may_be_missing, recipe_line
from dlcli.data.stored import StoredField
from dlcli.data.target import Asked

BLOCK_VALUES = 2**24
"""Values looked at together, so that the temporaries stay small."""
_AXES = {
    "features": ("column",),
    "sequence": ("step", "column"),
    "image": ("channel", "line", "column"),
    "tokens": ("step",),
}


def value_findings(
    fields: Sequence[StoredField],
    tensors: Mapping[str, FieldRows],
    asked: Asked | None,
    preprocess: Sequence[Preprocessor] | None = (),
) -> list[Finding]:
    """Find everything that is wrong with the values of fields.

    Args:
        fields: The fields.
        tensors: Their values as loaded, by name.
        asked: What the target asks for; None where that is not known.
        preprocess: What is applied to inputs and conditions; None where there is no recipe that says so.

    Returns:
        One error for every dataset and kind of mistake.
    """
    found = []
    for field in fields:
        rows = tensors[field.name]
        found.extend(finite_findings(field, rows, preprocess))
        if field.role == "target" and asked:
            found.extend(label_findings(field, rows, asked))
        found.extend(role_findings(field, rows, fields))
    return found


def finite_findings(
    field: StoredField, rows: FieldRows, preprocess: Sequence[Preprocessor] | None = ()
) -> list[Finding]:
    """Find NaN and infinite values; NaN that preprocessing fills in is none.

    Args:
        field: The field.
        rows: All its rows.
        preprocess: As for `value_findings`.

    Returns:
        One error for every dataset that holds any: how many, and the place of the first; a warning where there is no
        recipe, and a recipe could have them filled in.
    """
    if not rows.is_floating_point():
        return []
    large = " in float32" * (rows.dtype == torch.float64)
    seen = field.as_field() if field.role in ("input", "condition") else None
    filled = seen is not None and may_be_missing(seen, preprocess or ())
    found = []
    for where, piece in pieces(field).items():
        bad, nan, first = 0, 0, None
        for start, stored in _blocks(rows, piece):
            block = stored.float()  # as networks see them
            wrong = block.isinf() if filled else ~block.isfinite()
            count = int(wrong.sum())
            if count and first is None:
                first = wrong.nonzero()[0]
                first[0] += start
            bad, nan = bad + count, nan + (int(block.isnan().sum()) if count and not filled else 0)
        if first is not None:
            place = place_of(field.kind, field.names, first.tolist())
            kinds = [f"{count} {what}" for count, what in ((nan, "NaN"), (bad - nan, f"infinite{large}")) if count]
            told = f"{' and '.join(kinds)} of {_numbers(rows, piece)} values, the first in {place}"
            if seen is None or nan < bad:
                found.append(error(where, f"{told}; training would turn NaN: remove these rows, or fill in the values"))
            elif preprocess is None and seen.kind in ("features", "sequence"):
                advice = f"they are taken as missing where the recipe says {recipe_line(())}"
                found.append(Finding("warning", where, f"{told}; {advice}"))
            else:
                found.append(error(where, f"{told}; {advice_on_missing(seen, preprocess or ())}"))
    return found


def place_of(kind: Kind | None, names: Sequence[str], index: Sequence[int]) -> str:
    """Say where a value is, such as `row 3, column 2 ('age')`.

    Args:
        kind: How rows are laid out; None is read as features.
        names: Names of the columns, where there are.
        index: Its row and then its place in the row, images channels first.

    Returns:
        The place in words.
    """
    axes = _AXES.get(kind or "features", ("column",))
    parts = [f"row {index[0]}"]
    for axis, position in zip(axes, index[1:], strict=False):
        named = axis == "column" and kind != "image" and position < len(names)
        parts.append(f"{axis} {position}" + (f" ({names[position]!r})" if named else ""))
    return ", ".join(parts)


def label_findings(field: StoredField, rows: FieldRows, asked: Asked) -> list[Finding]:
    """Find labels outside the classes.

    Args:
        field: The target.
        rows: Its values as stored.
        asked: What it asks for.

    Returns:
        One error for every dataset that holds any.
    """
    if asked.task is Task.REGRESSION:
        return []
    if asked.task is Task.MULTILABEL:
        return _outside(field, rows, 1, "a label is 0 or 1")
    count = len(asked.classes)
    if not count:
        return _outside(field, rows, None, "class indices start at 0")
    listed = ", ".join(asked.classes[:10]) + (", …" if count > 10 else "")
    return _outside(field, rows, count - 1, f"there are {count} classes, 0 to {count - 1} ({listed})")


def role_findings(field: StoredField, rows: FieldRows, fields: Sequence[StoredField]) -> list[Finding]:
    """Find lengths beyond the steps, masks other than 0 and 1, and weights below 0.

    Args:
        field: A field of any role.
        rows: Its values.
        fields: All fields, for the one that a length belongs to.

    Returns:
        One error for every dataset that holds any.
    """
    if field.role == "length":
        steps = next((other.row_shape[0] for other in fields if other.name == field.of and other.row_shape), None)
        return _outside(field, rows, steps, f"a length is 1 to {steps}, the steps of {field.of}", least=1)
    if field.role == "mask":
        return _outside(field, rows, 1, "a mask is 0 or 1")
    if field.role == "weight":
        return _outside(field, rows, None, "a weight is not negative")
    if field.kind == "categorical" and field.classes and field.role in ("input", "condition"):
        count = len(field.classes)
        return _outside(field, rows, count - 1, f"there are {count} classes, 0 to {count - 1}")
    if field.kind in ("categorical", "tokens") and field.role in ("input", "condition"):
        return _outside(field, rows, None, f"{field.kind} indices start at 0")
    return []


def _outside(field: StoredField, rows: FieldRows, most: int | None, rule: str, least: int = 0) -> list[Finding]:
    found = []
    for where, piece in pieces(field).items():
        count, place, value = 0, "", None
        for start, block in _blocks(rows, piece):
            wrong = block < least if most is None else (block < least) | (block > most)
            if not count and bool(wrong.any()):
                first = wrong.nonzero()[0]
                value = block[tuple(first)].item()
                place = f"row {int(first[0]) + start}" + (f", column {int(first[1])}" if len(first) > 1 else "")
            count += int(wrong.sum())
        if count:
            found.append(
                error(
                    where,
                    f"{count} values are outside: the first is {value} in {place}; {rule}. Correct "
                    "the values" + (" or the attribute `classes`" if field.classes else ""),
                )
            )
    return found


def _blocks(rows: FieldRows, piece: slice) -> Iterator[tuple[int, Tensor]]:
    """Yield rows of a dataset some at a time, each with its place in the dataset."""
    step = max(1, BLOCK_VALUES // max(1, math.prod(rows.shape[1:])))
    for start in range(piece.start, piece.stop, step):
        yield start - piece.start, rows[start : min(start + step, piece.stop)]


def _numbers(rows: FieldRows, piece: slice) -> int:
    return int(piece.stop - piece.start) * math.prod(rows.shape[1:])


def row_findings(name: str, rows: Tensor, total: int) -> list[Finding]:
    """Find row numbers of a split that are not rows, or come twice.

    Args:
        name: Path of the dataset.
        rows: Row numbers, int64.
        total: How many rows there are.

    Returns:
        What is wrong.
    """
    wrong = rows[(rows < 0) | (rows >= total)]
    if len(wrong):
        return [error(name, f"{len(wrong)} row numbers are outside 0 to {total - 1}, the first is {int(wrong[0])}")]
    values, counts = torch.unique(rows, return_counts=True)
    twice = values[counts > 1]
    if len(twice):
        return [error(name, f"{len(twice)} rows come more than once, such as {int(twice[0])}; list each once")]
    return []
