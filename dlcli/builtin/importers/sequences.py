import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, ClassVar, final

import numpy as np
from pydantic import Field

from dlcli import DataError, Importer, Kind, SourceField, UsageError
from dlcli.builtin.importers.columns import NotANumberError, Survey, parse_numbers
from dlcli.builtin.importers.delimited import Delimited, open_delimited
from dlcli.builtin.importers.members import members_of

Openers = Mapping[str, Callable[[], IO[bytes]]]


@dataclass(frozen=True)
class _Labels:
    """What a file says of each sequence, and of which of its lines there is none."""

    classes: tuple[str, ...]
    values: Mapping[str, float]
    note: str


@final
class Sequences(Importer):
    """Reads a folder or zip of delimited files, one a sequence and a line a step, with a file of targets.

    Sequences become `x` (N×T×F, float32), padded with 0 behind to the longest, with `length`. The file of targets, and
    that of groups, has two columns: the sequence and its value. A sequence is found by the name of its file without
    suffix, or by the number at its end; two files that are found by one line are an error.

    Args:
        pattern: Which files are sequences, such as dataset/walk_*.csv.
        target: File of targets, by its path inside the source.
        group: File of groups, likewise.
        numeric: Whether whole numbers as targets are numbers, not classes.
        header: Whether a first line names the columns; None: where none of its cells is a number.
        delimiter: What is between cells; None to find out.
        encoding: How bytes stand for characters.
    """

    name: ClassVar[str] = "sequences"
    suffixes: ClassVar[tuple[str, ...]] = ()
    contents: ClassVar[tuple[str, ...]] = (".csv", ".tsv")

    pattern: str = Field(default="*.csv", description="Which files are sequences, such as dataset/walk_*.csv")
    target: str | None = Field(default=None, description="File of targets, by its path inside the source")
    group: str | None = Field(default=None, description="File of groups, likewise")
    numeric: bool = Field(default=False, description="Whether whole numbers as targets are numbers, not classes")
    header: bool | None = Field(
        default=None, description="Whether a first line names the columns; None: where none of its cells is a number"
    )
    delimiter: str | None = Field(default=None, description="What is between cells; None to find out")
    encoding: str = Field(default="utf-8", description="How bytes stand for characters")

    def fields(self, source: Path) -> tuple[SourceField, ...]:
        """Return `x`, `length`, `y` and `group`; reads every file once, for its length.

        Args:
            source: A folder or zip archive.

        Returns:
            The fields, those that there are.

        Raises:
            DataError: A file is damaged, or other columns than the rest; a sequence has no target.
            UsageError: There is no such file, or no file fits the pattern.
        """
        members = members_of(source)
        names = self._sequences(source, members)
        first = self._table(source, names[0], members)
        longest = 0
        for name in names:
            table = self._table(source, name, members)
            if table.names != first.names:
                raise DataError(
                    f"{table.where} has the columns {', '.join(table.names)}, but {names[0]} has "
                    f"{', '.join(first.names)}; {self._advice({name: table, names[0]: first})}"
                )
            steps = sum(len(block) for block in table.blocks(4096))
            if not steps:
                raise DataError(f"{table.where} has no steps; remove it, and its target")
            longest = max(longest, steps)
        rows, columns = len(names), first.names
        found = [
            SourceField("x", "x", (longest, len(columns)), "float32", rows, "sequence", (), columns, "input"),
            SourceField("length", "length", (), np.min_scalar_type(longest).name, rows, role="length", of="x"),
        ]
        if self.target is not None:
            labels = self._labels(source, self.target, members, names, "target")
            numbers = not labels.classes
            dtype = "float32" if numbers else np.min_scalar_type(len(labels.classes)).name
            kind: Kind | None = None if numbers else "categorical"
            classes, note = labels.classes, labels.note
            found.append(SourceField("y", self.target, (), dtype, rows, kind, classes, role="target", note=note))
        if self.group is not None:
            labels = self._labels(source, self.group, members, names, "group")
            classes, note = labels.classes, labels.note
            found.append(SourceField("group", self.group, (), "int64", rows, classes=classes, role="group", note=note))
        return tuple(found)

    def chunks(self, source: Path, fields: Sequence[SourceField], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Return sequences in natural order of their files' names, some at a time.

        Args:
            source: A folder or zip archive.
            fields: Those to read.
            rows: How many at a time; fewer where they are long.

        Yields:
            Mapping[str, np.ndarray]: One array a field and time.

        Raises:
            DataError: A file is damaged, a cell is no number, or a file changed since `fields` looked at it.
        """
        members = members_of(source)
        names = self._sequences(source, members)
        by_name = {field.name: field for field in fields}
        files = {"y": (self.target, "target"), "group": (self.group, "group")}
        labels = {
            name: self._labels(source, path, members, names, what)
            for name, (path, what) in files.items()
            if name in by_name and path is not None
        }
        shape = by_name["x"].shape if "x" in by_name else (1, 1)
        size = max(1, min(rows, 8 * 2**20 // (4 * shape[0] * shape[1])))
        for start in range(0, len(names), size):
            part = names[start : start + size]
            found = {name: np.array([labels[name].values[n] for n in part], by_name[name].dtype) for name in labels}
            if "x" in by_name or "length" in by_name:
                sequences = [self._values(self._table(source, name, members)) for name in part]
                if "length" in by_name:
                    found["length"] = np.array(list(map(len, sequences)), by_name["length"].dtype)
                if "x" in by_name:
                    found["x"] = np.zeros((len(part), *shape), "float32")
                    for place, values in enumerate(sequences):
                        if len(values) > shape[0]:
                            raise DataError(f"{source}: {part[place]} is longer than a moment ago; import it again")
                        found["x"][place, : len(values)] = values
            yield found

    def _sequences(self, source: Path, members: Openers) -> list[str]:
        for path in (self.target, self.group):
            if path is not None and path not in members:
                there = ", ".join([name for name in members if not fnmatch.fnmatch(name, self.pattern)][:10])
                raise UsageError(f"{source} holds no file {path!r}; beside sequences there are: {there or 'none'}")
        names = [n for n in members if fnmatch.fnmatch(n, self.pattern) and n not in (self.target, self.group)]
        if not names:
            raise UsageError(
                f"no file of {source} is like {self.pattern!r}; there are {', '.join(list(members)[:5]) or 'none'}: "
                "say which are sequences, --set pattern='*.csv'"
            )
        return names

    def _advice(self, tables: Mapping[str, Delimited]) -> str:
        """Say how to tell sequences from files that say something of each sequence, which have two columns."""
        pattern = "say which files are sequences: --set pattern='dataset/walk_*.csv'"
        pairs = [name for name, table in tables.items() if len(table.names) == 2]
        options = [what for what in ("target", "group") if getattr(self, what) is None]
        if not pairs or not options:
            return pattern
        said = "; ".join(f"if one tells the {what} of each sequence, say --{what} {pairs[0]}" for what in options)
        return f"{said}; if neither does, {pattern}"

    def _table(self, source: Path, name: str, members: Openers) -> Delimited:
        return open_delimited(
            f"{source}: {name}", members[name], delimiter=self.delimiter, header=self.header, encoding=self.encoding
        )

    def _values(self, table: Delimited) -> np.ndarray:
        parts = []
        done = 0
        for block in table.blocks(4096):
            columns = []
            for name, cells in zip(table.names, zip(*block, strict=True), strict=True):
                try:
                    columns.append(parse_numbers(cells, frozenset()))
                except NotANumberError as error:
                    raise table.refusal(done + error.place, name, f"{cells[error.place]!r} is no number") from None
            parts.append(np.stack(columns, axis=-1).astype("float32"))
            done += len(block)
        return np.concatenate(parts)

    def _labels(self, source: Path, path: str, members: Openers, names: Sequence[str], what: str) -> _Labels:
        table = self._table(source, path, members)
        if len(table.names) != 2:
            raise DataError(f"{table.where} has {len(table.names)} columns; expected two: the sequence and its {what}")
        survey = Survey(table.names[1], table, frozenset({""}), 10_000, required=what)
        if what == "group" or not self.numeric:
            survey.taken = "categorical" if what == "group" else None
        cells: dict[str, str] = {}
        for block in table.blocks(4096):
            survey.add([value for _, value in block])
            for key, value in block:
                if cells.setdefault(key.strip(), value.strip()) != value.strip():
                    raise DataError(f"{table.where}: the sequence {key.strip()} has two {what}s; one is wanted")
        keys = {name: _key(name, cells) for name in names}
        for name in names:
            if keys[name] is None:
                raise DataError(
                    f"{source}: the sequence {name} has no {what} in {path}; add a line for it, or remove the file"
                )
        owners: dict[str | None, str] = {}
        for name, line in keys.items():
            if (owner := owners.setdefault(line, name)) != name:
                raise DataError(
                    f"{source}: {owner} and {name} would both have the {what} of the one line {line} in {path}; write "
                    "their files' names there, or say which files are sequences: --set pattern='dataset/walk_*.csv'"
                )
        note = _unused(path, [key for key in cells if key not in owners])
        texts = {name: cells[key or ""] for name, key in keys.items()}
        if not survey.categorical and (self.numeric or survey.few is None):
            return _Labels((), {name: float(text) for name, text in texts.items()}, note)
        if not survey.categorical:
            texts = {name: f"{float(text):g}" for name, text in texts.items()}
            classes = tuple(f"{value:g}" for value in sorted(survey.few or ()))
        else:
            classes = survey.classes or ()
        codes = {name: code for code, name in enumerate(classes)}
        return _Labels(classes, {name: codes[text] for name, text in texts.items()}, note)


def _unused(path: str, keys: Sequence[str]) -> str:
    """Return a note on lines of a file of labels that are of no sequence; files of a download may be missing."""
    if not keys:
        return ""
    listed = ", ".join(keys[:5]) + (", …" if len(keys) > 5 else "")
    return f"lines of {path} without a sequence, which may be missing: {len(keys)} ({listed})"


def _key(name: str, cells: Mapping[str, str]) -> str | None:
    """Return by what a file of labels calls a sequence: its name, that without suffix, or the number at its end."""
    path = PurePosixPath(name)
    number = re.search(r"(\d+)$", path.stem)
    candidates = [name, path.name, path.stem, *([number[1], number[1].lstrip("0") or "0"] if number else [])]
    return next((key for key in candidates if key in cells), None)
