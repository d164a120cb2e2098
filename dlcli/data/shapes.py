"""How the rows of each field are laid out, and whether its datasets have such a shape and type."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlcli.contracts.field import Kind
from dlcli.data.finding import Finding, error
from dlcli.data.stored import StoredField

if TYPE_CHECKING:
    import numpy as np

LAYOUTS: Mapping[Kind, tuple[tuple[int, ...], str]] = {
    "features": ((2,), "N×F"),
    "image": ((3, 4), "N×H×W or N×H×W×C"),
    "sequence": ((3,), "N×T×F"),
    "tokens": ((2,), "N×T"),
    "categorical": ((1,), "N"),
}
"""Number of dimensions on disk of each kind, and their letters."""
WHOLE = ("length", "group", "mask")
"""Roles whose values are whole numbers or booleans."""
_TYPES = {
    "c": "complex numbers",
    "O": "Python objects or texts",
    "S": "texts",
    "U": "texts",
    "V": "compound records",
    "M": "dates",
    "m": "spans of time",
}


def unfit_type(dtype: "np.dtype[Any]") -> str:
    """Return why a field cannot be of a type; empty where it can."""
    if dtype.kind in "buif" and dtype.itemsize <= 8:
        return ""
    what = _TYPES.get(dtype.kind, "numbers of a type that networks do not know")
    named = "" if dtype.kind == "V" else f" ({dtype})"
    return f"it holds {what}{named}; allowed are integers and floats of at most 64 bits"


def readable(field: StoredField, findings: list[Finding]) -> bool:
    """Return whether a field's datasets are rows of numbers, alike in all splits.

    Args:
        field: The field.
        findings: Takes what is wrong.

    Returns:
        Whether nothing was wrong.
    """
    before = len(findings)
    for dataset in field.datasets.values():
        where = str(dataset.name).strip("/")
        if wrong := unfit_type(dataset.dtype):
            advice = (
                "store labels as integers and their names in the attribute `classes`"
                if dataset.dtype.kind in "OSU"
                else "store real numbers, several as columns"
            )
            findings.append(error(where, f"{wrong}; {advice}"))
        if not dataset.shape:
            got = "nothing" if dataset.shape is None else "a single value"
            findings.append(error(where, f"it holds {got}; expected one row a sample, N first"))
        elif 0 in dataset.shape:
            what = "it has no rows" if dataset.shape[0] == 0 else f"its shape {_shape(dataset.shape)} has a 0"
            findings.append(error(where, f"{what}; fill it, or remove it from the file"))
    if len(findings) == before:
        _alike(field, findings)
    return len(findings) == before


def _alike(field: StoredField, findings: list[Finding]) -> None:
    first = field.first
    for dataset in list(field.datasets.values())[1:]:
        where = str(dataset.name).strip("/")
        if dataset.shape[1:] != first.shape[1:]:
            findings.append(
                error(
                    where,
                    f"its rows are {_shape(dataset.shape[1:])}, but those of {field.where} are "
                    f"{_shape(first.shape[1:])}; a field has one shape in all splits",
                )
            )
        if (dataset.dtype.kind == "f") is not (first.dtype.kind == "f"):
            findings.append(
                error(
                    where,
                    f"it holds {dataset.dtype}, but {field.where} holds {first.dtype}, which may be on "
                    "another scale; a field is all integers or all floats in every split",
                )
            )


def settle_kind(field: StoredField, fields: Sequence[StoredField], findings: list[Finding]) -> StoredField | None:
    """Find out how the rows of a field are laid out, and check that they are.

    Args:
        field: A readable field with a role; not the target, whose layout depends on the task.
        fields: All fields, for those that belong to this one.
        findings: Takes what is wrong.

    Returns:
        The field with its kind; None where something was wrong.
    """
    count = len(field.row_shape) + 1
    if field.role in WHOLE and not field.whole_numbers:
        findings.append(error(field.where, f"a {field.role} holds integers; got {field.first.dtype}"))
        return None
    if field.role not in ("input", "condition"):
        kind: Kind = "tokens" if field.role == "mask" else "categorical"
    elif field.kind is not None:
        kind = field.kind
    else:
        guessed = _plain_kind(field, fields)
        if guessed is None:
            findings.append(error(field.where, _no_kind(field)))
            return None
        kind = guessed
    allowed, letters = LAYOUTS[kind]
    if count not in allowed:
        what = f"a {field.role} is {letters}" if field.role not in ("input", "condition") else f"{kind} is {letters}"
        findings.append(
            error(
                field.where,
                f"{what}; got {count} dimensions, {_shape(field.first.shape)}; reshape it, or correct "
                "its attribute kind",
            )
        )
        return None
    if kind in ("tokens", "categorical") and field.role in ("input", "condition") and not field.whole_numbers:
        findings.append(error(field.where, f"{kind} holds integers; got {field.first.dtype}"))
        return None
    if field.names and kind in ("features", "sequence") and len(field.names) != field.row_shape[-1]:
        findings.append(
            error(field.where, f"it has {field.row_shape[-1]} columns, but {len(field.names)} names; make them equal")
        )
        return None
    return replace(field, kind=kind)


def _plain_kind(field: StoredField, fields: Sequence[StoredField]) -> Kind | None:
    """Return the kind where shape, type and tied fields leave one; a line of 3-D floats could be image or sequence."""
    timed = any(other.role in ("length", "mask") and other.of == field.name for other in fields)
    dimensions, whole = len(field.row_shape) + 1, field.whole_numbers
    if dimensions == 4:
        return "image"
    if dimensions == 3:
        return "sequence" if timed else "image" if str(field.first.dtype) == "uint8" else None
    if dimensions == 2:
        return "features" if not timed else "tokens" if whole else None
    return "categorical" if dimensions == 1 and whole and field.classes else None


def looks_channels_first(shape: Sequence[int]) -> bool:
    """Return whether rows of a shape look like channels × height × width, rather than height × width × channels."""
    channels = (1, 3, 4)
    return len(shape) == 3 and shape[0] in channels and shape[1] > 4 and shape[2] > 4


def _no_kind(field: StoredField) -> str:
    dimensions = len(field.row_shape) + 1
    fitting = [kind for kind, (allowed, _) in LAYOUTS.items() if dimensions in allowed]
    if dimensions == 1 and not field.whole_numbers:
        return (
            f"it is {field.role} with one float a row, {_shape(field.first.shape)}; features are N×F: store it as N×1"
        )
    if not fitting:
        letters = ", ".join(f"{kind} {letters}" for kind, (_, letters) in LAYOUTS.items())
        return f"it has {dimensions} dimensions, {_shape(field.first.shape)}; an {field.role} is {letters}"
    choices = " or ".join(fitting)
    return (
        f"it could be {choices} ({_shape(field.first.shape)} {field.first.dtype}); give it the attribute kind, or say "
        f'so in the recipe:\n    [data.fields]\n    {field.name} = {{ kind = "{fitting[-1]}" }}'
    )


def _shape(shape: Sequence[int]) -> str:
    return "×".join(str(int(size)) for size in shape) or "single values"
