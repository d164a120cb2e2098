"""Which array of a file feeds which field of a model: by name, in the model's order, or not at all."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcli.contracts.field import Field
from dlcli.contracts.importer import TEXTS, SourceField
from dlcli.data.finding import Finding, error
from dlcli.data.row_source import RowPart

INDICES = ("tokens", "categorical")
"""Kinds whose values are positions among names, or of an embedding."""
_LISTED = 8
_NUMBERS = ("bool", "int", "uint", "float")


@dataclass(frozen=True)
class Match:
    """A model's field, and the array that feeds it.

    Args:
        field: What the model takes.
        source: What the file has.
        columns: Which columns of the file, in the model's order; None where they are as they should be.
        note: What must be known about it; None where nothing need be.
    """

    field: Field
    source: SourceField
    columns: tuple[int, ...] | None = None
    note: str | None = None

    @property
    def other_steps(self) -> bool:
        """Whether sequences have other numbers of steps than those that the model was trained on."""
        stepped = self.field.kind in ("sequence", "tokens") and bool(self.source.shape)
        return stepped and self.source.shape[0] != self.field.shape[0]


def match_part(fields: Sequence[Field], part: RowPart, findings: list[Finding]) -> dict[str, Match]:
    """Find what feeds each field of a model.

    Args:
        fields: What the model takes.
        part: What the file has.
        findings: Takes what does not fit, all of it.

    Returns:
        A match a field, by name; those that do not fit are left out.
    """
    if part.table and (problems := _column_findings(fields, part)):
        findings.extend(problems)
        return {}
    found: dict[str, Match] = {}
    for field in fields:
        source = part.fields.get(field.name)
        if source is None:
            findings.append(error(part.split, _missing(field, part)))
        elif match := match_field(field, source, findings):
            found[field.name] = match
    rows = {name: match.source for name, match in found.items()}
    first = next(iter(rows.values()), None)
    for source in rows.values():
        if first is not None and source.rows != first.rows:
            findings.append(
                error(source.where, f"it has {source.rows} rows, but {first.where} has {first.rows}; make them equal")
            )
    for match in found.values():
        owner = found.get(match.field.of or "")
        if match.field.role == "mask" and owner and match.source.shape[0] != owner.source.shape[0]:
            steps = f"{match.source.shape[0]} steps, but {owner.source.where} has {owner.source.shape[0]}"
            findings.append(error(match.source.where, f"it has {steps}; make them equal"))
    return found


def match_field(field: Field, source: SourceField, findings: list[Finding]) -> Match | None:
    """Match an array with a field of its name.

    Args:
        field: What the model takes.
        source: What the file has.
        findings: Takes what does not fit.

    Returns:
        The match; None where something does not fit.
    """
    before = len(findings)
    if source.kind is not None and source.kind != field.kind:
        findings.append(error(source.where, f"it is {source.kind}, but the model takes {field.kind}; give its like"))
    elif problem := _type_problem(field, source):
        findings.append(error(source.where, problem))
    columns, note = _columns(field, source, findings) if len(findings) == before else (None, None)
    if len(findings) == before and (problem := _shape_problem(field, source, columns)):
        findings.append(error(source.where, problem))
    return Match(field, source, columns, note) if len(findings) == before else None


def _column_findings(fields: Sequence[Field], part: RowPart) -> list[Finding]:
    """Find columns that a table lacks, and those that hold texts instead of numbers or the other way round."""
    columns = {name: source for source in part.fields.values() for name in source.names}
    lacking, found = [], []
    for field in fields:
        numbers = field.kind == "features"
        for name in field.names if numbers else (field.name,):
            source = columns.get(name) or part.fields.get(name)
            if source is None:
                lacking.append(name)
            elif numbers and source.kind != "features":
                found.append(error("", f"column {name!r} holds texts, but the model takes numbers; mend its cells"))
            elif field.kind == "categorical" and source.kind == "features":
                told = f"column {name!r} holds numbers, but the model takes categories"
                found.append(error("", f"{told}; mend its cells, or say --set categorical='[\"{name}\"]'"))
    return [*([error("", _missing_columns(lacking, list(columns)))] if lacking else []), *found]


def _missing(field: Field, part: RowPart) -> str:
    there = ", ".join(part.fields) or "none"
    role = "input" if field.role == "input" else field.role
    return f"there is no dataset {field.name}, the model's {role} ({field.kind}); there are: {there}; give it that name"


def _type_problem(field: Field, source: SourceField) -> str | None:
    """Return why values of a type cannot be what the model was trained on; what depends on values is asked later."""
    if source.dtype == TEXTS:
        if field.kind in INDICES and field.classes:
            return None
        return f"it holds texts, but the model was trained on {field.dtype}; give the numbers that it was trained on"
    if not source.dtype.startswith(_NUMBERS):
        return (
            f"it holds {source.dtype}; allowed are integers, floats and, where the model has categories, texts; store "
            "numbers, or texts as strings"
        )
    if field.kind == "image" and source.dtype == "bool" and field.dtype == "uint8":
        return "it holds bool, but the model was trained on uint8 images: true would be read as 1 of 255; store uint8"
    if field.kind == "image" and source.dtype.startswith("float") is not field.dtype.startswith("float"):
        scale = "floats from 0 to 1 would be read as black" if field.dtype == "uint8" else "the scale may be another"
        return (
            f"it holds {source.dtype}, but the model was trained on {field.dtype} images: {scale}; store {field.dtype}"
        )
    return None


def _columns(field: Field, source: SourceField, findings: list[Finding]) -> tuple[tuple[int, ...] | None, str | None]:
    """Return the columns to take, in the model's order, and what to say about that."""
    if field.kind not in ("features", "sequence") or not field.names or not source.names or not source.shape:
        return None, None
    if len(source.names) != source.shape[-1]:
        findings.append(error(source.where, f"it has {source.shape[-1]} columns, but {len(source.names)} names"))
        return None, None
    if twice := sorted({name for name in source.names if source.names.count(name) > 1}):
        findings.append(error(source.where, f"two columns have the name {twice[0]!r}; names must differ"))
        return None, None
    if missing := [name for name in field.names if name not in source.names]:
        findings.append(error(source.where, _missing_columns(missing, source.names)))
        return None, None
    columns = tuple(source.names.index(name) for name in field.names)
    extra = [name for name in source.names if name not in field.names]
    if columns == tuple(range(len(source.names))):
        return None, None
    said = f"{source.where}: columns are taken by name"
    if extra:
        said += f"; the model does not take {_listed(extra)}"
    return columns, said


def _missing_columns(missing: Sequence[str], there: Sequence[str]) -> str:
    what = "a column" if len(missing) == 1 else f"{len(missing)} columns"
    close = {name: _close(name, there) for name in missing}
    hints = "".join(f"; is {found!r} {name!r}?" for name, found in close.items() if found is not None)
    return f"it lacks {what} that the model takes: {_listed(missing)}{hints}; there are: {_listed(there)}"


def _close(name: str, there: Sequence[str]) -> str | None:
    """Return the name that differs only in case and blanks, or else is close."""
    plain = "".join(name.casefold().split())
    same = [other for other in there if "".join(other.casefold().split()) == plain]
    return next(iter(same or difflib.get_close_matches(name, there, n=1)), None)


def _shape_problem(field: Field, source: SourceField, columns: tuple[int, ...] | None) -> str | None:
    shape, wanted = source.shape, field.shape
    if 0 in shape:
        return f"its rows are {_sizes(shape)}, with nothing in them; fill it"
    if field.kind == "image":
        channels, height, width = wanted
        if shape == (height, width, channels) or (channels == 1 and shape == (height, width)):
            return None
        advice = "; the channels come last in a file: numpy.moveaxis(x, 1, -1)" if shape == wanted else ""
        return f"its images are {_sizes(shape)}, but the model takes {_sizes((height, width, channels))}{advice}"
    if columns is not None:
        wanted = (*wanted[:-1], shape[-1])
    steps = 1 if field.kind in ("sequence", "tokens") else 0  # how many steps is the network's to say
    if len(shape) == len(wanted) and shape[steps:] == wanted[steps:]:
        return None
    hint = ""
    if field.kind == "features" and field.names and not source.names:
        hint = f": {_listed(field.names)}; give it the attribute `names`, and columns are taken by name"
    return f"its rows are {_sizes(shape)}, but the model takes {_sizes(field.shape)}{hint}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(map(repr, names[:_LISTED])) + more


def _sizes(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape)) or "single values"


def notes_of(matches: Mapping[str, Match]) -> list[str]:
    """Return what must be known about matches."""
    return [match.note for match in matches.values() if match.note]
