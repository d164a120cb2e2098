"""Columns of categories, as fields of codes."""

from collections.abc import Mapping, Sequence

import numpy as np

from dlcli import TEXTS, DataError, Role, SourceField
from dlcli.builtin.importers.columns import MISSING_CLASS, Survey
from dlcli.builtin.importers.delimited import Delimited


def category_field(survey: Survey, name: str, rows: int, *, role: Role = "input") -> SourceField:
    """Return the field of a column of categories.

    Args:
        survey: What is known of the column after all rows.
        name: The field's name.
        rows: How many rows there are.
        role: What it is for.

    Returns:
        A field of codes; of texts, where an input has too many different ones.

    Raises:
        DataError: A target or group has too many.
    """
    classes = survey.classes
    if role != "input" and classes is None:
        raise DataError(
            f"{survey.table.where}: column {survey.name!r}, the {role}, has more than {survey.most:,} different texts; "
            "--set max_classes allows more"
        )
    if classes is None:
        return SourceField(name, name, (), TEXTS, rows, names=(survey.name,), missing=(survey.gaps,))
    return SourceField(
        name=name,
        where=name,
        shape=(),
        dtype=np.min_scalar_type(len(classes)).name,
        rows=rows,
        kind="categorical",
        classes=classes,
        names=(survey.name,),
        role=role,
        missing=(survey.gaps,),
    )


def field_name(column: str, taken: set[str]) -> str:
    """Return a column's name as HDF5 can have it, other than those that are taken."""
    name = column.replace("/", "_").replace("\0", "_")
    while name in taken or name in (".", ".."):
        name += "_"
    return name


def coded(
    table: Delimited,
    field: SourceField,
    column: Sequence[str],
    codes: Mapping[str, int],
    missing: frozenset[str],
    done: int,
) -> np.ndarray:
    """Return cells as the numbers of their classes.

    Args:
        table: Their file, for errors.
        field: The field.
        column: The cells.
        codes: The number of each class.
        missing: What stands for a missing value.
        done: Rows before these.

    Returns:
        (R,), of the field's type.

    Raises:
        DataError: A category was not there when the file was looked at.
    """
    numbers = field.note and field.role == "target"  # 0 and 1, however they are written
    found = np.empty(len(column), dtype=field.dtype)
    for place, cell in enumerate(column):
        text = cell.strip()
        key = MISSING_CLASS if text in missing else f"{float(text):g}" if numbers else text
        code = codes.get(key)
        if code is None:
            raise table.refusal(done + place, field.names[0], f"the category {text!r} was not there a moment ago")
        found[place] = code
    return found
