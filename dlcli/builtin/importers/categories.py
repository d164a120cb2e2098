"""Columns of categories, as fields of codes."""

from collections.abc import Mapping, Sequence

import numpy as np

from dlcli import TEXTS, DataError, Role, SourceField
from dlcli.builtin.importers.columns import MISSING_CLASS, Survey
from dlcli.builtin.importers.delimited import Delimited
from dlcli.builtin.importers.number_forms import COMMA_NUMBER, GROUPED_NUMBER

FEW_ROWS = 10
"""Fewer different texts are few, however few rows there are."""


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
    _refuse_comma_numbers(survey)
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
        note="; ".join(filter(None, (_of_its_own(survey, rows) if role == "input" else "", _merged(survey)))),
    )


def _refuse_comma_numbers(survey: Survey) -> None:
    """Refuse to take 1,5 or 1,234,567 for a category unless it is asked to."""
    texts = survey.texts or set()
    if survey.taken is not None or not texts:
        return
    grouped = all(map(GROUPED_NUMBER.fullmatch, texts))
    if not grouped and not all(map(COMMA_NUMBER.fullmatch, texts)):
        return
    example = min(texts)
    found = GROUPED_NUMBER.fullmatch(example)
    meanings = [f'its thousands are set apart: --set thousands="{found["mark"]}"'] if grouped and found else []
    if COMMA_NUMBER.fullmatch(example):
        meanings.append("its decimals stand behind a comma: --set decimal=','")
    raise DataError(
        f"{survey.table.where}: column {survey.name!r} holds numbers such as {example}; say what is meant, that "
        f"{', or that '.join(meanings)}, or that they are categories: --set categorical='[\"{survey.name}\"]'"
    )


def _merged(survey: Survey) -> str:
    """Return a note where a category is called as missing ones are."""
    if not survey.gaps or MISSING_CLASS not in (survey.texts or ()):
        return ""
    return f"the category {MISSING_CLASS!r} and empty cells become one class; call it otherwise to tell them apart"


def _of_its_own(survey: Survey, rows: int) -> str:
    """Return a note about a column most of whose texts stand in one row: as a category it tells nothing."""
    count = len(survey.texts or ())
    if survey.taken is not None or count < FEW_ROWS or 2 * count < rows:
        return ""
    return (
        f"{count} different texts in {rows} rows, which tell a network little; leave the column out with "
        f"--set drop='[\"{survey.name}\"]', or, if it is a time, say --time {survey.name!r}"
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
