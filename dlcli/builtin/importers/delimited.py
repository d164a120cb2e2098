"""Rows of delimited text, checked cell by cell: what every importer of CSV files has in common."""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from dlcli import DataError

if TYPE_CHECKING:
    from _csv import Reader

BLOCK_CELLS = 100_000
"""Cells that are Python objects at once, at most; a row may have more."""
_SAMPLE_ROWS, _LONGEST_LINE = 50, 32 * 2**20
_DELIMITERS = ",;\t|"
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; that of UTF-32 begins with one of UTF-16, so it comes first."""
COMMA_NUMBER = re.compile(r"\s*[-+]?\d*,\d+([eE][-+]?\d+)?\s*")
"""A number with a comma before its decimals."""


def pointed(cell: str) -> str:
    """Return a number that has a comma before its decimals with a point; any other text as it is."""
    return cell.replace(",", ".") if COMMA_NUMBER.fullmatch(cell) else cell


@dataclass(frozen=True)
class Delimited:
    """How a file of delimited text is read.

    Args:
        where: Its name, for messages.
        opener: Opens its bytes from the beginning.
        encoding: How bytes stand for characters.
        delimiter: What is between cells.
        header: Whether its first line names the columns.
        names: Names of the columns.
        decimal: What stands before the decimals of a number; a comma is read as a point.
        found: What was found out rather than told, in words.
    """

    where: str
    opener: Callable[[], IO[bytes]]
    encoding: str
    delimiter: str
    header: bool
    names: tuple[str, ...]
    found: tuple[str, ...]
    decimal: str = "."

    def blocks(self, rows: int) -> Generator[list[list[str]], None, None]:
        """Read rows, header and empty lines left out.

        Args:
            rows: How many at a time; fewer where rows are long.

        Yields:
            list[list[str]]: As many cells a row as there are names.

        Raises:
            DataError: A row has more or fewer cells, a quotation has no end, a byte is no character, or the file is
                cut; names line and column.
        """
        size, width = max(1, min(rows, BLOCK_CELLS // len(self.names))), len(self.names)
        done = 0
        with self._reader() as reader:
            if self.header:
                next(filter(None, reader), None)
            while raw := list(islice(reader, size)):
                block = [cells for cells in raw if cells]
                if self.decimal == ",":
                    block = [[pointed(cell) for cell in cells] for cells in block]
                for offset, cells in enumerate(block):
                    if len(cells) != width:
                        raise self.refusal(
                            done + offset,
                            None,
                            f"it has {len(cells)} cells, but the first line has {width}; mend the line, or quote cells "
                            "that hold the delimiter",
                        )
                done += len(block)
                if block:
                    yield block

    def refusal(self, row: int, column: str | None, message: str) -> DataError:
        """Return an error about a cell.

        Args:
            row: Number of the row, from 0, header and empty lines left out.
            column: Name of the column; None for the whole row.
            message: What is wrong with it.

        Returns:
            The error, with the line in the file.
        """
        cell = f", column {column!r}" if column is not None else ""
        return DataError(f"{self.where}, line {self.line(row)}{cell}: {message}")

    def line(self, row: int) -> int:
        """Return the line, from 1 on, on which a row ends; rows are counted from 0, header and empty lines left out."""
        line = 0
        with self._reader() as reader:
            for _ in islice(filter(None, reader), row + 1 + self.header):
                line = reader.line_num
        return line

    @contextmanager
    def _reader(self) -> Iterator["Reader"]:
        """Open the file; what is wrong with it is told while it is open."""
        with _told_of_damage(self.where), self.opener() as stream:
            text = io.TextIOWrapper(stream, encoding=self.encoding, newline="")
            # A line without an end must not fill the memory; csv refuses a cell that is nearly as long.
            lines = iter(partial(text.readline, _LONGEST_LINE), "")
            reader = csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)
            try:
                yield reader
            except csv.Error as cause:
                raise DataError(
                    f"{self.where}, line {reader.line_num}: {cause}; mend the quotation marks, or say what is between "
                    "cells with --set delimiter=';'"
                ) from None
            except UnicodeDecodeError:
                raise self._bad_byte() from None

    def _bad_byte(self) -> DataError:
        """Return where the first byte is that is no character; read again, since text is decoded in large pieces."""
        with self.opener() as stream:
            for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b""), start=1):
                try:
                    line.decode(self.encoding)
                except UnicodeDecodeError as cause:
                    place = line[: cause.start].decode(self.encoding).count(self.delimiter)
                    column = self.names[place] if place < len(self.names) else str(place + 1)
                    name = self.encoding.removesuffix("-sig")
                    return DataError(
                        f"{self.where}, line {number}, column {column!r}: the byte 0x{line[cause.start]:02x} is no "
                        f"{name} ({cause.reason}); say how the file is encoded, such as --set encoding=latin-1"
                    )
        return DataError(f"{self.where} ends within a character of {self.encoding}; copy it again")


def open_delimited(
    where: str,
    opener: Callable[[], IO[bytes]],
    *,
    delimiter: str | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    decimal: str = ".",
    widths: Collection[int] = (),
) -> Delimited:
    """Find out how a file is written, as far as nobody says.

    Args:
        where: Its name, for messages.
        opener: Opens its bytes from the beginning.
        delimiter: What is between cells; None to find out from the first lines.
        header: Whether its first line names the columns; None: where no cell of it is a number.
        encoding: How bytes stand for characters.
        decimal: What stands before the decimals of a number, a point or a comma.
        widths: How many columns there may be where no header names them; empty for any number.

    Returns:
        How to read it.

    Raises:
        DataError: It is empty or damaged, its byte order mark is of another encoding, the delimiter is not plain, two
            columns have one name, or there are more or fewer columns without names than there may be.
    """
    encoding = settled_encoding(where, opener, encoding)
    found = []
    if delimiter is None:
        delimiter, said = _find_delimiter(where, opener, encoding, _DELIMITERS.replace(decimal, ""))
        found.append(said)
    plain = Delimited(where, opener, encoding, delimiter, False, ("",), ())
    with plain._reader() as reader:
        first = [cell.strip() for cell in next(filter(None, reader), [])]
    if not first:
        raise DataError(f"{where} is empty; expected lines of cells")
    if header is None:
        number = next((cell for cell in first if _is_number(pointed(cell) if decimal == "," else cell)), None)
        header = number is None
        why = "none of its cells is a number" if header else f"it holds the number {number}"
        found.append(
            f"the first line {'names the columns' if header else 'is data'}, since {why} (else: --set "
            f"header={'false' if header else 'true'})"
        )
    if widths and not header and len(first) not in widths:
        spare = max(widths) - min(widths)
        last = f"; the last {f'{spare} ' * (spare > 1)}may be left out" if spare else ", and none may be left out"
        raise DataError(
            f"{where} has {len(first)} columns without names, but {' or '.join(map(str, widths))} are expected "
            f"(widths); columns without names are known by their places: give the same ones in the same order{last}"
        )
    names = (
        tuple(cell.lstrip("#").strip() for cell in first)
        if header
        else tuple(f"column_{place}" for place in range(1, len(first) + 1))
    )
    for name in names:
        if not name or names.count(name) > 1:
            places = [place for place, other in enumerate(names, start=1) if other == name]
            what = f"columns {' and '.join(map(str, places[:2]))} are both called {name!r}; names must differ"
            empty = f"column {places[0]} has no name; name it"
            raise DataError(f"{where}, line 1: {what if name else empty}, or say --set header=false if it is data")
    return Delimited(where, opener, encoding, delimiter, header, names, tuple(found), decimal)


def path_opener(path: Path) -> Callable[[], IO[bytes]]:
    """Return what opens a file that may be packed by gzip."""

    def opened() -> IO[bytes]:
        return cast(IO[bytes], gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")

    return opened


def settled_encoding(where: str, opener: Callable[[], IO[bytes]], encoding: str) -> str:
    """Return the encoding that takes off a byte order mark, where there is one, and refuse one that contradicts it."""
    with _told_of_damage(where), opener() as stream:
        name, begin = codecs.lookup(encoding).name, stream.read(4)
    marked = next((other for mark, other in _MARKS.items() if begin.startswith(mark)), None)
    if marked is None:
        return encoding
    if not name.startswith(marked):
        raise DataError(
            f"{where} begins with the byte order mark of {marked}, so its encoding is not {encoding}; say --set "
            f"encoding={marked}"
        )
    return "utf-8-sig" if marked == "utf-8" else marked


def _find_delimiter(where: str, opener: Callable[[], IO[bytes]], encoding: str, marks: str) -> tuple[str, str]:
    with _told_of_damage(where), opener() as stream:
        raw = [stream.readline(_LONGEST_LINE) for _ in range(_SAMPLE_ROWS)]
        sample = b"".join(raw).decode(encoding, errors="replace")
    there = [mark for mark in marks if mark in sample]
    if not there:
        return ",", "there is one column, without a delimiter (else: --set delimiter=' ')"
    try:
        delimiter = csv.Sniffer().sniff(sample, delimiters=marks).delimiter
    except csv.Error:
        delimiter = there[0] if len(there) == 1 else ""
    if delimiter not in there:
        raise DataError(
            f"{where}: what is between cells is not plain from the first lines; it may be "
            f"{' or '.join(_NAMES[mark] for mark in there)}: say so, such as --set delimiter='{there[0]}'"
        )
    return delimiter, f"{_NAMES[delimiter]} is between cells (else: --set delimiter=';')"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


@contextmanager
def _told_of_damage(where: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise DataError(f"there is no file {where}; check the path") from None
    except (OSError, EOFError, zlib.error) as cause:
        raise DataError(f"{where} cannot be read: {cause}; it is cut or damaged: copy it again") from cause
    except LookupError as cause:
        raise DataError(f"{where}: {cause}; name an encoding such as utf-8 or latin-1") from None
