from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field

from dlcli import TEXTS, DataError, Importer, SourceField, UsageError
from dlcli.builtin.importers.categories import category_field, coded, field_name
from dlcli.builtin.importers.column_places import Column, named, place_of, widths_of
from dlcli.builtin.importers.columns import NotANumberError, Survey, column_notes, parse_numbers, parse_times
from dlcli.builtin.importers.delimited import Delimited, open_delimited, path_opener

_RESERVED = ("x", "y", "group", "time", "train", "val", "test", "splits")
"""Names in a dataset that a column of categories cannot have."""


class CSV(Importer):
    """Reads delimited text: CSV, TSV, also packed by gzip, with or without a line of names.

    A first pass tells the columns apart: numbers, which together become the features `x` (float32, NaN where a value is
    missing), and categories, each a field of its own, whose classes are its texts in order and, last, `missing`. A
    column of numbers and texts is an error, never a guess. Blanks around a cell do not count.

    Columns are named, or numbered from 1 on; -1 is the last.

    Args:
        target: Column to predict, or several of numbers; None for none.
        group: Column that tells which rows belong together.
        time: Column of numbers or ISO dates that tells when a row was.
        categorical: Columns that hold categories, whatever they look like.
        numeric: Columns that hold numbers, also a target of 0 and 1.
        drop: Columns to leave out.
        missing: Cells without a value.
        missing_in: Further such cells of single columns, by the column's name.
        header: Whether the first line names the columns; None: where none of its cells is a number.
        delimiter: What is between cells; None to find out among comma, semicolon, tab and bar.
        decimal: What stands before the decimals of a number.
        thousands: What sets the thousands of a number apart, such as the comma in 1,234,567; empty for nothing.
        encoding: How bytes stand for characters.
        max_classes: Different texts of one column, at most, for it to hold categories.
        widths: How many columns there may be where no header names them; empty for any number. A dataset remembers it,
            since such columns are known by their places alone.
    """

    name: ClassVar[str] = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".csv.gz", ".tsv.gz")

    target: Column | tuple[Column, ...] | None = Field(
        default=None, description="Column to predict, or several of numbers; None for none"
    )
    group: Column | None = Field(default=None, description="Column that tells which rows belong together")
    time: Column | None = Field(default=None, description="Column of numbers or ISO dates that tells when a row was")
    categorical: tuple[Column, ...] = Field(
        default=(), description="Columns that hold categories, whatever they look like"
    )
    numeric: tuple[Column, ...] = Field(default=(), description="Columns that hold numbers, also a target of 0 and 1")
    drop: tuple[Column, ...] = Field(default=(), description="Columns to leave out")
    missing: tuple[str, ...] = Field(
        default=("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?"), description="Cells without a value"
    )
    missing_in: dict[str, tuple[str, ...]] = Field(
        default={}, description="Further such cells of single columns, by the column's name"
    )
    header: bool | None = Field(
        default=None, description="Whether the first line names the columns; None: where none of its cells is a number"
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = Field(
        default=None, description="What is between cells; None to find out among comma, semicolon, tab and bar"
    )
    decimal: Literal[".", ","] = Field(default=".", description="What stands before the decimals of a number")
    thousands: Literal["", ",", ".", "'", " "] = Field(default="", description="What sets thousands of a number apart")
    encoding: str = Field(default="utf-8", description="How bytes stand for characters")
    max_classes: Annotated[int, Field(ge=1, le=100_000)] = Field(
        default=1000, description="Different texts of one column, at most, for it to hold categories"
    )
    widths: tuple[int, ...] = Field(
        default=(), description="How many columns there may be where no header names them; none stands for any number"
    )

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return what the columns hold; reads the file once.

        Args:
            source: The file.

        Returns:
            `x`, the categories, `y`, `group` and `time`, those that there are.

        Raises:
            DataError: It is missing, damaged, ragged, or a cell is not what its column holds.
            UsageError: There is no such column.
        """
        table = self._table(source)
        targets, group, time, dropped = self._places(table)
        surveys = self._surveys(table, targets, group, time)
        rows = 0
        used = [place for place in range(len(table.names)) if place not in dropped]
        for block in table.blocks(4096):
            columns = list(zip(*block, strict=True))
            for place in used:
                surveys[place].add(columns[place])
            rows += len(block)
        if not rows:
            raise DataError(f"{source} has no rows below its first line; there is nothing to import")
        inputs = [surveys[place] for place in used if place not in (*targets, group, time)]
        numeric = [survey for survey in inputs if not survey.categorical]
        found = []
        if numeric:
            gaps = tuple(survey.gaps for survey in numeric)
            names = tuple(survey.name for survey in numeric)
            note, shape = column_notes(numeric), (len(names),)
            x = SourceField("x", "x", shape, "float32", rows, "features", (), names, "input", missing=gaps, note=note)
            found.append(x)
        taken = set(_RESERVED)
        for survey in inputs:
            if survey.categorical:
                field = category_field(survey, field_name(survey.name, taken), rows)
                taken.add(field.name)
                found.append(field)
        if targets:
            found.append(self._target([surveys[place] for place in targets], rows))
        if group is not None:
            found.append(category_field(surveys[group], "group", rows, role="group"))
        if time is not None:
            found.append(SourceField("time", "time", (), "float64", rows, names=(surveys[time].name,)))
        return tuple(found)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return rows in order, some at a time.

        Args:
            source: The file.
            fields: Those to read.
            rows: How many at a time; fewer where rows are long.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time; categories as their numbers.

        Raises:
            DataError: It is damaged, or changed since `fields` looked at it.
        """
        table = self._table(source)
        places = {name: place for place, name in enumerate(table.names)}
        codes = {field.name: {name: code for code, name in enumerate(field.classes)} for field in fields}
        done = 0
        for block in table.blocks(rows):
            wanted = sum(len(field.names) for field in fields)
            columns = list(zip(*block, strict=True)) if 4 * wanted > len(places) else None
            found = {}
            for field in fields:
                at = [places[name] for name in field.names]
                cells = [[row[p] for row in block] if columns is None else columns[p] for p in at]
                found[field.name] = self._values(table, field, cells, codes[field.name], done)
            done += len(block)
            yield found

    def notes(self, source: Path) -> tuple[str, ...]:
        """Return what delimiter and header were found.

        Args:
            source: The file.

        Returns:
            One sentence each.
        """
        return self._table(source).found

    def line(self, source: Path, row: int) -> int:
        """Return the line of the file on which a row ends."""
        return self._table(source).line(row)

    def settled(self, source: Path) -> "CSV":
        """Return the importer with names of columns for their positions, since another file may have another order.

        Args:
            source: The file that was imported.

        Returns:
            The same where columns have no names.
        """
        table = self._table(source)
        keys = ("target", "group", "time", "categorical", "numeric", "drop")
        changed: dict[str, object] = {key: named(table, getattr(self, key)) for key in keys}
        changed["missing_in"] = {named(table, column): cells for column, cells in self.missing_in.items()}
        if not table.header:
            targets, group, time, dropped = self._places(table)
            changed["widths"] = widths_of(len(table.names), (*targets, group, time, *dropped))
        return self.model_copy(update=changed)

    def without_roles(self) -> "CSV":
        """Return the importer for new rows: columns that it was told of may be missing, a model's own are asked for."""
        from dlcli.builtin.importers.new_rows import NewRows  # which is a CSV itself

        fields = vars(super().without_roles())
        return NewRows.model_construct(**fields)

    def _there(self, table: Delimited, column: Column, what: str) -> tuple[int, ...]:
        """Return where a column is."""
        return (place_of(table, column, what),)

    def _table(self, source: Path) -> Delimited:
        if source.is_dir():
            raise DataError(f"{source} is a folder; name a file of delimited text")
        tabs = source.name.lower().removesuffix(".gz").endswith(".tsv")
        return open_delimited(
            str(source),
            path_opener(source),
            delimiter=self.delimiter or ("\t" if tabs else None),
            header=self.header,
            encoding=self.encoding,
            decimal=self.decimal,
            thousands=self.thousands,
            widths=self.widths,
        )

    def _places(self, table: Delimited) -> tuple[list[int], int | None, int | None, set[int]]:
        """Return where target, group and time are, and what is left out."""
        given = self.target if isinstance(self.target, tuple) else () if self.target is None else (self.target,)
        targets = [place_of(table, column, "target") for column in given]
        group = None if self.group is None else place_of(table, self.group, "group")
        time = None if self.time is None else place_of(table, self.time, "time")
        dropped = {place for column in self.drop for place in self._there(table, column, "drop")}
        special = [place for place in (*targets, group, time) if place is not None]
        if twice := [place for place in special if place in dropped or special.count(place) > 1]:
            raise UsageError(f"column {table.names[twice[0]]!r} is asked for twice among target, group, time and drop")
        return targets, group, time, dropped

    def _surveys(self, table: Delimited, targets: Sequence[int], group: int | None, time: int | None) -> list[Survey]:
        found = [Survey(name, table, frozenset(self.missing), self.max_classes) for name in table.names]
        for name, more in self.missing_in.items():
            for place in self._there(table, name, "missing_in"):
                found[place].missing |= frozenset(more)
        for column in self.numeric:
            for place in self._there(table, column, "numeric"):
                found[place].taken = "numeric"
        for column in self.categorical:
            for place in self._there(table, column, "categorical"):
                found[place].taken = "categorical"
        for place in targets:
            found[place].required = "target"
        if group is not None:
            found[group].taken, found[group].required, found[group].most = "categorical", "group", 10_000_000
        if time is not None:
            found[time].taken, found[time].required = "time", "time"
        return found

    def _target(self, surveys: Sequence[Survey], rows: int) -> SourceField:
        names = tuple(survey.name for survey in surveys)
        first = surveys[0]
        if len(surveys) > 1 or not first.is_label:
            if texts := [survey.name for survey in surveys if survey.categorical]:
                raise UsageError(
                    f"several targets are numbers, but column {texts[0]!r} holds categories; name one target"
                )
            note = column_notes(surveys, inputs=False)
            if len(surveys) == 1 and first.few is not None:
                note = (
                    f"{len(first.few)} different whole numbers, {first.low:g} to {first.high:g}, taken as numbers; as "
                    f"classes: --set categorical='[\"{first.name}\"]'"
                )
            shape = (len(names),) if len(names) > 1 else ()
            return SourceField("y", "y", shape, "float32", rows, names=names, role="target", note=note)
        if first.categorical:
            return category_field(first, "y", rows, role="target")
        classes = tuple(f"{value:g}" for value in sorted(first.few or ()))
        note = f"0 and 1 taken as classes; as numbers: --set numeric='[\"{first.name}\"]'"
        return SourceField("y", "y", (), "uint8", rows, "categorical", classes, names, "target", note=note)

    def _values(
        self, table: Delimited, field: SourceField, cells: Sequence[Sequence[str]], codes: Mapping[str, int], done: int
    ) -> np.ndarray:
        columns = []
        for name, column in zip(field.names, cells, strict=True):
            missing = frozenset((*self.missing, *self.missing_in.get(name, ())))
            if field.dtype == TEXTS:
                return np.array([cell.strip() for cell in column])
            if codes:
                return coded(table, field, column, codes, missing, done)
            try:
                columns.append((parse_times if field.name == "time" else parse_numbers)(column, missing))
            except NotANumberError as error:
                raise table.refusal(
                    done + error.place, name, f"{column[error.place]!r} is no number any more"
                ) from None
        values = np.stack(columns, axis=-1) if field.shape else columns[0]
        with np.errstate(over="ignore"):
            found = values.astype(field.dtype)
        if (wrong := np.isinf(found)).any():
            place, *column_place = np.argwhere(wrong)[0].tolist()
            name = field.names[column_place[0] if column_place else 0]
            raise table.refusal(done + place, name, f"{values[wrong][0]:g} does not fit into float32; scale the column")
        return found
