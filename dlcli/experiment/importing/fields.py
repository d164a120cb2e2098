"""What each imported field is for and how it is stored, settled as far as the importer leaves it open."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dlcli.contracts.field import ROLES, Role
from dlcli.contracts.importer import TEXTS, Importer, SourceField
from dlcli.data.row_source import ImportedRows
from dlcli.errors import DataError, UsageError

READ_ROWS = 2**16
"""Rows that are read at once, at most; importers give fewer where rows are large."""
MOST_CLASSES = 1000
"""Different texts or whole numbers of one field, at most, for them to be classes."""
_NAMED: dict[str, Role] = {"x": "input", "y": "target", **{role: role for role in ROLES}}


def settle_fields(importer: Importer, source: Path, rows: ImportedRows) -> tuple[SourceField, ...]:
    """Give roles by name where the importer gives none, and classes to texts and to targets of whole numbers.

    Args:
        importer: Reads the source.
        source: The file or folder.
        rows: The same, to be read.

    Returns:
        The fields, all of the same number of rows, which is known.

    Raises:
        DataError: There is nothing to import, fields differ in their number of rows, or a field has too many different
            texts.
    """
    fields = [f if f.role else replace(f, role=_NAMED.get(f.name)) for f in rows.parts[0].fields.values()]
    if not fields:
        raise DataError(f"{source} holds nothing that could be imported")
    if not any(field.role == "input" for field in fields):
        fields = [field if field.role else replace(field, role="input") for field in fields]
    if not any(field.role == "target" for field in fields):
        raise UsageError(
            f"which field of {source} is to be predicted? Say so with --target (importer {importer.name}); there are: "
            f"{_listed(fields)}"
        )
    counts = {field.rows for field in fields}
    if len(counts) > 1:
        told = ", ".join(f"{field.where} {field.rows}" for field in fields)
        raise DataError(f"{source}: fields differ in their number of rows ({told}); a row needs a value in each")
    open_ = [f for f in fields if f.dtype == TEXTS or (f.role == "target" and not f.classes and _is_whole(f))]
    if open_:
        found = _distinct(rows, source, open_)
        fields = [_with_classes(field, found[field.name]) if field.name in found else field for field in fields]
    if None in counts:
        total = sum(len(arrays[fields[0].name]) for arrays in rows.arrays(rows.parts[0], [fields[0].name], READ_ROWS))
        fields = [replace(field, rows=total) for field in fields]
    if not fields[0].rows:
        raise DataError(f"{source} has no rows; there is nothing to import")
    return tuple(fields)


def _is_whole(field: SourceField) -> bool:
    return field.dtype.startswith(("int", "uint", "bool")) and not field.shape


def _listed(fields: Sequence[SourceField]) -> str:
    names = [name for field in fields for name in (field.names or (field.name,))]
    return ", ".join(names[:20]) + (", …" if len(names) > 20 else "")


def _distinct(rows: ImportedRows, source: Path, fields: Sequence[SourceField]) -> dict[str, set[str] | set[int]]:
    """Return the different values of fields; reads them once."""
    found: dict[str, set[str] | set[int]] = {field.name: set() for field in fields}
    for arrays in rows.arrays(rows.parts[0], list(found), READ_ROWS):
        for field in fields:
            values = found[field.name]
            values.update(np.unique(arrays[field.name]).tolist())
            if len(values) > MOST_CLASSES and field.dtype == TEXTS:
                raise DataError(
                    f"{source}: {field.name!r} has more than {MOST_CLASSES:,} different texts, too many for "
                    "categories; leave it out (csv: --set drop='[\"NAME\"]'), or allow more (csv: --set max_classes=…)"
                )
    return found


def _with_classes(field: SourceField, values: set[str] | set[int]) -> SourceField:
    if field.dtype == TEXTS:
        return replace(field, kind="categorical", classes=tuple(sorted(map(str, values))))
    low, high = int(min(values, default=0)), int(max(values, default=0))
    if low < 0 or high >= MOST_CLASSES:
        return replace(field, dtype="float32", note=f"whole numbers, {low} to {high}, taken as numbers")
    return replace(
        field,
        kind="categorical",
        classes=tuple(map(str, range(high + 1))),
        note=f'whole numbers, {low} to {high}, taken as classes (else: data.task = "regression" in the recipe)',
    )


def as_stored(field: SourceField, values: np.ndarray) -> np.ndarray:
    """Return values as they are stored: texts as the numbers of their classes.

    Args:
        field: A settled field.
        values: As the importer gave them.

    Returns:
        Numbers.
    """
    if field.dtype == TEXTS:
        return np.searchsorted(np.array(field.classes), values).astype(np.min_scalar_type(len(field.classes)))
    return values.astype(field.dtype, copy=False)
