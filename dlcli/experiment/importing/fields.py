"""What each imported field is for and how it is stored, settled as far as the importer leaves it open."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dlcli.contracts.field import ROLES, Role
from dlcli.contracts.importer import TEXTS, Importer, SourceField
from dlcli.data.finding import error, refuse
from dlcli.data.row_source import ImportedRows
from dlcli.data.shapes import LAYOUTS, looks_channels_first, unfit_type
from dlcli.data.values import place_of
from dlcli.errors import DataError, UsageError

READ_ROWS = 2**16
"""Rows that are read at once, at most; importers give fewer where rows are large."""
MOST_CLASSES = 1000
"""Different texts or whole numbers of one field, at most, for them to be classes."""
EXACT = 2**24
"""Up to here float32, which networks are given, holds every whole number."""
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
            f"which field of {source} is to be predicted? Say so with --target{_meaning(importer)}; there are: "
            f"{_listed(fields)}"
        )
    _refuse_unfit(source, fields)
    counts = {field.rows for field in fields}
    if len(counts) > 1:
        told = ", ".join(f"{field.where} {field.rows}" for field in fields)
        graph = "; a graph is read with --format graph" * any(f.where in ("edges", "edge_index") for f in fields)
        raise DataError(f"{source}: fields differ in their number of rows ({told}); a row needs a value in each{graph}")
    open_ = [f for f in fields if f.dtype == TEXTS or (f.role == "target" and not f.classes and _is_whole(f))]
    if open_:
        found = _distinct(rows, source, open_)
        fields = [_with_classes(field, found[field.name]) if field.name in found else field for field in fields]
    if wide := [field for field in fields if _may_be_rounded(field)]:
        most = _largest(rows, wide)
        fields = [replace(f, note=_rounded(most[f.name])) if most.get(f.name, 0) > EXACT else f for f in fields]
    fields = [_noted_one_hot(rows, field) for field in fields]
    if None in counts:
        total = sum(len(arrays[fields[0].name]) for arrays in rows.arrays(rows.parts[0], [fields[0].name], READ_ROWS))
        fields = [replace(field, rows=total) for field in fields]
    if not fields[0].rows:
        raise DataError(f"{source} has no rows; there is nothing to import")
    return tuple(fields)


def _refuse_unfit(source: Path, fields: Sequence[SourceField]) -> None:
    """Refuse fields that no network takes, before anything is written."""
    most = max(count for dimensions, _ in LAYOUTS.values() for count in dimensions)
    found = []
    for field in fields:
        if 0 in field.shape:
            found.append(error(field.where, f"a row of it holds no values, its shape is {field.shape}; leave it out"))
        elif field.role == "input" and len(field.shape) + 1 > most:
            found.append(
                error(
                    field.where,
                    f"a row of it has {len(field.shape)} dimensions, {field.shape}; an input has at most {most - 1}, "
                    "an image's height, width and channels: reshape it, or leave it out",
                )
            )
        elif field.role == "input" and looks_channels_first(field.shape):
            found.append(
                error(
                    field.where,
                    f"its rows, {field.shape}, look like channels × height × width, but images are height × width × "
                    "channels: npz, npy and hdf5 turn them with --set channels_first=true",
                )
            )
        elif field.dtype == "object":
            found.append(
                error(
                    field.where,
                    "it holds Python objects, which cannot be read without running code that is in the file; store "
                    "numbers, or texts as an array of type str, or leave it out",
                )
            )
        elif field.dtype != TEXTS and (wrong := unfit_type(_type(field))):
            found.append(error(field.where, f"{wrong}: store numbers or texts, or leave it out"))
    refuse(source, found)


def _type(field: SourceField) -> "np.dtype[Any]":
    try:
        return np.dtype(field.dtype)
    except TypeError:  # a compound of fields has no name of its own
        return np.dtype("V")


def _meaning(importer: Importer) -> str:
    """Return what an importer takes for its target, where it says so: a column, an array, or a file of its own."""
    target = type(importer).model_fields.get("target")
    meant = (target.description or "").partition(";")[0] if target else ""
    return f" (importer {importer.name}{f': {meant[0].lower()}{meant[1:]}' if meant else ''})"


def _noted_one_hot(rows: ImportedRows, field: SourceField) -> SourceField:
    """Note that a target of several numbers looks like classes, one column each."""
    if field.role != "target" or len(field.shape) != 1 or field.shape[0] < 2 or field.classes or field.note:
        return field
    for arrays in rows.arrays(rows.parts[0], [field.name], READ_ROWS):
        values = arrays[field.name]
        if not (np.isin(values, (0, 1)).all() and (values.sum(axis=1) == 1).all()):
            return field
    note = (
        f"each row has one 1 and else 0, as classes in a column each, but is taken as {field.shape[0]} numbers; for "
        "classes store their numbers: y.argmax(axis=1)"
    )
    return replace(field, note=note)


def _is_whole(field: SourceField) -> bool:
    return field.dtype.startswith(("int", "uint", "bool")) and not field.shape


def _may_be_rounded(field: SourceField) -> bool:
    """Return whether numbers of an input become float32 for a network, and may be too large for it."""
    numbers = field.kind in (None, "features", "sequence") and not field.classes
    return numbers and field.role in ("input", "condition") and field.dtype in ("int32", "uint32", "int64", "uint64")


def _largest(rows: ImportedRows, fields: Sequence[SourceField]) -> dict[str, int]:
    """Return the largest size of fields' numbers; reads them once."""
    found = {field.name: 0 for field in fields}
    for arrays in rows.arrays(rows.parts[0], list(found), READ_ROWS):
        for name, most in found.items():
            if arrays[name].size:
                found[name] = max(most, -int(arrays[name].min()), int(arrays[name].max()))
    return found


def _rounded(most: int) -> str:
    return f"whole numbers up to {most}; as float32, which a network is given, neighbours beyond {EXACT} become equal"


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
        lost = f", as float32, in which neighbours beyond {EXACT} become equal" * (max(-low, high) > EXACT)
        return replace(field, dtype="float32", note=f"whole numbers, {low} to {high}, taken as numbers{lost}")
    return replace(
        field,
        kind="categorical",
        classes=tuple(map(str, range(high + 1))),
        note=f'whole numbers, {low} to {high}, taken as classes (else: data.task = "regression" in the recipe)',
    )


def refuse_values(source: Path, field: SourceField, values: np.ndarray, start: int) -> None:
    """Refuse values that are infinite, also once they are float32, and missing targets.

    Args:
        source: Where they are from, for the error.
        field: A settled field.
        values: Some of its rows (R, *shape).
        start: Number of rows before these.

    Raises:
        DataError: There is one; names its place.
    """
    if values.dtype.kind != "f":
        return
    with np.errstate(over="ignore"):
        seen = values.astype(np.float32, copy=False)  # as networks see them
    if bool(np.isfinite(seen).all()):
        return
    wrong = np.isinf(seen) if field.role in ("input", "condition") else ~np.isfinite(seen)
    if wrong.any():
        first = np.argwhere(wrong)[0]
        place = place_of(field.kind, field.names, [start + int(first[0]), *map(int, first[1:])])
        value = values[tuple(first)]
        large = f"{value:g}, too large for float32; scale it" if np.isfinite(value) else "infinite"
        what = "missing (NaN)" if np.isnan(value) else large
        raise DataError(
            f"{source}: {field.where}, {place} is {what}; training would turn NaN: correct it, or remove the row"
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
