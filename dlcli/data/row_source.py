"""Rows of a file, read one block after another: what is common to HDF5 and to whatever importers read."""

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcli.contracts.importer import Importer, SourceField
from dlcli.errors import DataError, UsageError

ALL = "all"
"""Stands for every row of a file, whatever its splits."""


@dataclass(frozen=True)
class RowPart:
    """Rows that lie together: a split group, or the whole file.

    Args:
        split: Name of the group; empty for the whole file.
        fields: What it holds, by name.
        table: Whether it is a table of text, whose columns the fields name.
    """

    split: str
    fields: Mapping[str, SourceField]
    table: bool = False


@dataclass(frozen=True)
class Block:
    """Rows that were read together.

    Args:
        rows: Their numbers in their part, int64 (R,).
        splits: For each the position of its split in the source's `splits`, int64 (R,); None without splits.
        arrays: Their values as stored, by field.
    """

    rows: np.ndarray
    splits: np.ndarray | None
    arrays: Mapping[str, np.ndarray]


class RowSource(ABC):
    """A file of rows.

    Args:
        path: The file.
        parts: Its rows, in the order in which they are read.
        splits: Names of the splits; empty where there are none. With `membership` the last stands for rows of no split.
        membership: Where splits are lists of rows of one part: for each row the position of its split in `splits`.
    """

    def __init__(
        self,
        path: Path,
        parts: Sequence[RowPart],
        splits: Sequence[str] = (),
        membership: np.ndarray | None = None,
    ) -> None:
        self.path, self.parts, self.splits, self.membership = path, tuple(parts), tuple(splits), membership

    @abstractmethod
    def arrays(self, part: RowPart, names: Sequence[str], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Read fields of a part, about so many rows at a time.

        Args:
            part: One of `parts`.
            names: The fields to read; no other is touched.
            rows: How many rows at a time.

        Returns:
            The values as stored, (R, *shape) by field, row after row.
        """

    def line(self, row: int) -> int | None:
        """Return the line of a text file in which a row stands; None where rows are no lines."""
        return None

    def chosen(self, split: str) -> tuple[RowPart, ...]:
        """Return the parts that hold rows of a split.

        Args:
            split: A split of the file, or `ALL`.

        Returns:
            The parts.

        Raises:
            UsageError: There is no such split.
        """
        there = [name for name in self.splits if name]
        if split == ALL:
            return self.parts
        if split not in there:
            has = f"; there are {', '.join(there)}, and" if there else ", nor any other; there is only"
            raise UsageError(f"{self.path} has no split {split!r}{has} {ALL} for every row")
        return self.parts if self.membership is not None else tuple(p for p in self.parts if p.split == split)

    def count(self, split: str, names: Sequence[str]) -> int | None:
        """Return how many rows a split has; None where only reading tells."""
        if split != ALL and self.membership is not None:
            return int((self.membership == self.splits.index(split)).sum())
        rows = [part.fields[names[0]].rows for part in self.chosen(split)]
        return None if None in rows else sum(count for count in rows if count is not None)

    def blocks(self, part: RowPart, split: str, names: Sequence[str], rows: int) -> Generator[Block, None, None]:
        """Read the rows of a part that belong to a split.

        Args:
            part: One of `chosen(split)`.
            split: The split.
            names: The fields to read.
            rows: About how many rows at a time.

        Yields:
            Block: Rows in the order of the file; blocks without any are left out.
        """
        start = 0
        for arrays in self.arrays(part, names, rows):
            numbers = np.arange(start, start + len(arrays[names[0]]))
            start += len(numbers)
            if self.membership is None:
                place = self.splits.index(part.split) if part.split else None
                yield Block(numbers, None if place is None else np.full(len(numbers), place), arrays)
                continue
            places = self.membership[numbers].astype(np.int64)
            if split != ALL:
                wanted = places == self.splits.index(split)
                numbers, places = numbers[wanted], places[wanted]
                arrays = {name: values[wanted] for name, values in arrays.items()}
            if len(numbers):
                yield Block(numbers, places, arrays)


class ImportedRows(RowSource):
    """A file of a foreign format.

    Args:
        importer: Reads it.
        path: The file.

    Raises:
        DataError: It is missing, damaged, hostile or of another format.
    """

    def __init__(self, importer: Importer, path: Path) -> None:
        self._importer = importer
        fields = {field.name: field for field in importer.fields(path)}
        super().__init__(path, [RowPart("", fields, table=importer.line(path, 0) is not None)])

    def line(self, row: int) -> int | None:
        """Return the line of the file in which a row stands, as the importer says."""
        return self._importer.line(self.path, row)

    def arrays(self, part: RowPart, names: Sequence[str], rows: int) -> Iterator[Mapping[str, np.ndarray]]:
        """Read fields; as the base says, and compare what the importer gives with what it said."""
        for arrays in self._importer.chunks(self.path, [part.fields[name] for name in names], rows):
            for name in names:
                shape = part.fields[name].shape
                if arrays[name].shape != (len(arrays[names[0]]), *shape):
                    raise DataError(
                        f"{self.path}: {part.fields[name].where}: rows of shape {arrays[name].shape[1:]} were read, "
                        f"but {shape} was said; the importer {self._importer.name} is wrong"
                    )
            yield arrays
