import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import ClassVar, final

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, Role, SourceField, UsageError
from dlcli.builtin.importers.array_archive import ArrayHeader, read_headers, read_rows
from dlcli.builtin.importers.categories import field_name

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val", "test": "test"}
"""What arrays of a split are called, as in `x_train` or `train_images`."""
_RESERVED = ("train", "val", "test", "splits", "streams", "graph")
"""Names in a dataset that a field cannot have."""


@dataclass(frozen=True)
class _Field:
    """Arrays that are one field: one, or one of each split, whose rows follow one another.

    Args:
        name: The field's name.
        called: What users call it: the arrays' name, without that of the split.
        arrays: What its arrays say of themselves, by their names.
    """

    name: str
    called: str
    arrays: Mapping[str, ArrayHeader]

    @property
    def rows(self) -> tuple[int, ...]:
        return tuple(header.shape[0] for header in self.arrays.values())

    def as_source(self, role: Role | None) -> SourceField:
        first = next(iter(self.arrays.values()))
        where = ", ".join(self.arrays)
        return SourceField(self.name, where, first.shape[1:], first.holds, sum(self.rows), role=role)


@dataclass(frozen=True)
class _Contents:
    """What is in an archive.

    Args:
        fields: Arrays of rows.
        alone: Names of arrays that hold a single value.
        splits: The splits that arrays are called after; empty where they are not.
    """

    fields: tuple[_Field, ...]
    alone: tuple[str, ...]
    splits: tuple[str, ...]


@final
class NPZ(Importer):
    """Reads NumPy's `.npz` archives, as `numpy.savez` and `numpy.savez_compressed` write them.

    Every array of one dimension or more is a field, with its rows first; it says nothing of classes and columns. Where
    all arrays are called after splits, such as `x_train`, `y_train`, `x_test` and `y_test`, or `train_images` and
    `test_images`, these become `x`, `y` and `images`, and the splits are kept. Rows are read one block after another,
    of compressed archives too. Arrays of Python objects are refused, because reading them would run code that is in the
    file; arrays in Fortran's order are turned in memory, up to 256 MiB.

    Args:
        target: Array to predict; None for `y`, where there is one.
        group: Array that tells which rows belong together.
        drop: Arrays to leave out.
        channels_first: Whether images, rows of three dimensions, have their channels before height and width.
    """

    name: ClassVar[str] = "npz"
    suffixes: ClassVar[tuple[str, ...]] = (".npz",)

    target: str | None = Field(default=None, description="Array to predict; None for `y`, where there is one")
    group: str | None = Field(default=None, description="Array that tells which rows belong together")
    drop: tuple[str, ...] = Field(default=(), description="Arrays to leave out")
    channels_first: bool = Field(
        default=False, description="Whether images have their channels before height and width"
    )

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return the arrays of an archive.

        Args:
            source: The file.

        Returns:
            The fields, in the order of the file.

        Raises:
            DataError: It is missing, damaged or no archive of arrays, or the arrays of a field differ.
            UsageError: There is no such array as a parameter names.
        """
        there = self._contents(source)
        roles: dict[str | None, Role] = {self.target: "target", self.group: "group"}
        called = [field.called for field in there.fields]
        for name in (self.target or ("y" if "y" in there.alone else None), self.group):
            if name is not None and name not in called:
                what = f"{name!r} holds a single value" if name in there.alone else f"there is no array {name!r}"
                raise UsageError(f"{source}: {what}; arrays of one value a row are {', '.join(called) or 'none'}")
        found = [field.as_source(roles.get(field.called)) for field in there.fields]
        if not self.channels_first:
            return tuple(found)
        return tuple(
            replace(field, shape=(*field.shape[1:], field.shape[0])) if len(field.shape) == 3 else field
            for field in found
        )

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return rows in order, some at a time.

        Args:
            source: The file.
            fields: The arrays to read.
            rows: How many at a time; the last may be fewer.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: It is damaged, or an array is of objects or in Fortran's order.
        """
        there = {field.name: field.arrays for field in self._contents(source).fields}
        # The arrays of one split after those of another.
        for arrays in zip(*(there[field.name] for field in fields), strict=True):
            named = dict(zip((field.name for field in fields), arrays, strict=True))
            for chunk in read_rows(source, named, rows):
                yield {name: self._channels_last(values) for name, values in chunk.items()}

    def _channels_last(self, values: np.ndarray) -> np.ndarray:
        turned = self.channels_first and values.ndim == 4
        return np.ascontiguousarray(np.moveaxis(values, 1, -1)) if turned else values

    def splits(self, source: Path) -> Mapping[str, np.ndarray]:
        """Return the splits that arrays are called after.

        Args:
            source: The file.

        Returns:
            Row numbers of each; empty where arrays are not called after splits.
        """
        there = self._contents(source)
        counts = there.fields[0].rows if there.splits else ()
        starts = (0, *accumulate(counts))
        return {
            name: np.arange(start, start + count)
            for name, start, count in zip(there.splits, starts, counts, strict=False)
        }

    def notes(self, source: Path) -> tuple[str, ...]:
        """Return which arrays hold a single value, and are left out.

        Args:
            source: The file.

        Returns:
            One sentence, where there are any.
        """
        alone = self._contents(source).alone
        return (f"left out, since they hold a single value: {', '.join(alone)}",) if alone else ()

    def without_roles(self) -> Importer:
        """Return the importer for new rows, which may lack what was left out."""
        return super().without_roles().model_copy(update={"drop": ()})

    def _contents(self, source: Path) -> _Contents:
        headers = read_headers(source)
        rows = {name: header for name, header in headers.items() if header.shape}
        by_split = _by_split([name for name in rows if name not in self.drop])
        called = by_split or {name: {"": name} for name in rows}
        for name in self.drop:
            if name not in headers and name not in called:
                raise UsageError(f"drop: {source} has no array {name!r}; there are {', '.join(headers)}")
        taken, fields = set(_RESERVED), []
        for name, arrays in called.items():
            if name not in self.drop:
                field = _Field(field_name(name, taken), name, {array: rows[array] for array in arrays.values()})
                taken.add(field.name)
                fields.append(field)
        splits = next((tuple(arrays) for arrays in by_split.values()), ())
        _refuse_unlike(source, fields, splits)
        return _Contents(tuple(fields), tuple(name for name in headers if name not in rows), splits)


def _by_split(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return which array of a field is of which split; empty unless all arrays are called so, each field in all."""
    found: dict[str, dict[str, str]] = {}
    for name in names:
        for pattern in (r"(?P<split>[a-z]+)_(?P<field>.+)", r"(?P<field>.+)_(?P<split>[a-z]+)"):
            called = re.fullmatch(pattern, name)
            if called and (split := _SPLITS.get(called["split"])):
                if found.setdefault(called["field"], {}).setdefault(split, name) != name:
                    return {}
                break
        else:
            return {}
    first = next(iter(found.values()), {})
    alike = all(set(members) == set(first) for members in found.values())
    return {field: {split: members[split] for split in first} for field, members in found.items()} if alike else {}


def _refuse_unlike(source: Path, fields: Sequence[_Field], splits: Sequence[str]) -> None:
    """Refuse arrays of one field that hold different rows, and fields of one split that differ in their number."""
    for field in fields:
        told = {name: f"{header.holds} {header.shape[1:]}" for name, header in field.arrays.items()}
        if len(set(told.values())) > 1:
            what = ", ".join(f"{name} {row}" for name, row in told.items())
            raise DataError(f"{source}: the rows of a field are alike in all splits, but there are {what}")
    if splits and len({field.rows for field in fields}) > 1:
        counts = ", ".join(f"{name} {header.shape[0]}" for field in fields for name, header in field.arrays.items())
        raise DataError(f"{source}: the arrays of a split differ in their number of rows: {counts}")
