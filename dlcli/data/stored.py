"""A field as it lies in the file: its datasets, and what attributes and the recipe say about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from dlcli.contracts.field import KINDS_OF_FIELDS, ROLES, Field, Kind, Role
from dlcli.data.finding import Finding, error
from dlcli.data.mapping import FieldMapping

if TYPE_CHECKING:
    import h5py

# What torch computes with; its uint16, uint32 and uint64 lack most operations.
_WIDER = {"bool": "uint8", "uint16": "int32", "uint32": "int64", "uint64": "int64", "longdouble": "float64"}
_DECLARED = ("role", "kind", "classes", "names", "of")


@dataclass(frozen=True)
class StoredField:
    """One field, over all parts of a file.

    Args:
        name: Its name.
        datasets: Its dataset in every part: a split group, or the whole file.
        role: What it is for; None where it is not used.
        kind: How its rows are laid out; None until that is settled.
        classes: Names of the classes or labels.
        names: Names of the columns.
        of: The field that it belongs to.
    """

    name: str
    datasets: "Mapping[str, h5py.Dataset]"
    role: Role | None = None
    kind: Kind | None = None
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    of: str | None = None

    @property
    def first(self) -> "h5py.Dataset":
        """Its dataset in the first part."""
        return next(iter(self.datasets.values()))

    @property
    def where(self) -> str:
        """Path of its first dataset."""
        return str(self.first.name).strip("/")

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of a row on disk."""
        return tuple(int(size) for size in (self.first.shape or ())[1:])

    @property
    def rows(self) -> int:
        """Rows of all parts together."""
        return sum(int(dataset.shape[0]) for dataset in self.datasets.values())

    @property
    def dtype(self) -> "np.dtype[Any]":
        """Type of the values in memory: as stored, or the next wider one that torch computes with."""
        narrow = [dataset.dtype.newbyteorder("=") for dataset in self.datasets.values()]
        return np.result_type(*(_WIDER.get(dtype.name, dtype) for dtype in narrow))

    @property
    def whole_numbers(self) -> bool:
        """Whether it holds integers or booleans."""
        return self.first.dtype.kind in "bui"

    def as_field(self) -> Field:
        """Return the field as a module sees it; its role and kind are settled by now."""
        shape = self.row_shape
        if self.kind == "image":
            shape = (1, *shape) if len(shape) == 2 else (shape[2], shape[0], shape[1])
        role, kind = cast(Role, self.role), cast(Kind, self.kind)
        return Field(self.name, role, kind, shape, self.dtype.name, self.classes, self.names, self.of)

    def __str__(self) -> str:
        size = "".join(f"×{length}" for length in self.row_shape)
        return f"{self.name} (N{size} {self.first.dtype})"


def declared(
    name: str, datasets: "Mapping[str, h5py.Dataset]", mapping: FieldMapping, findings: list[Finding]
) -> StoredField:
    """Read what is said about a field, in its attributes or, which wins, in the recipe.

    Args:
        name: The field's name.
        datasets: Its dataset in every part.
        mapping: What the recipe says.
        findings: Takes what is wrong.

    Returns:
        The field; what nobody says is None or empty.
    """
    values: dict[str, Any] = {}
    for key in _DECLARED:
        read = _texts if key in ("classes", "names") else _text
        said = {part: read(data.attrs[key]) for part, data in datasets.items() if key in data.attrs}
        wanted = getattr(mapping, key)
        if wanted is None and len(set(said.values())) > 1:
            told = "; ".join(f"{datasets[part].name.strip('/')}: {value!r}" for part, value in said.items())
            findings.append(error(name, f"the attribute {key!r} differs between splits ({told}); make them equal"))
        value = wanted if wanted is not None else next(iter(said.values()), None)
        allowed = {"role": ROLES, "kind": KINDS_OF_FIELDS}.get(key, ())
        if allowed and value is not None and value not in allowed:
            findings.append(error(name, f"unknown {key} {value!r}; allowed are {', '.join(allowed)}"))
            value = None
        if value is not None:
            values[key] = value
    field = StoredField(name, datasets, **values)
    if len(set(field.classes)) < len(field.classes):
        twice = sorted({value for value in field.classes if field.classes.count(value) > 1})
        findings.append(error(name, f"two classes have the same name ({', '.join(twice)}); names must differ"))
    return field


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(_text(item) for item in np.atleast_1d(np.asarray(value)).tolist())
