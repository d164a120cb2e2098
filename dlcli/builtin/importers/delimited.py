"""Rows of delimited text, checked cell by cell: what every importer of CSV files has in common."""

import csv
import gzip
import io
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from dlcli import DataError
from dlcli.builtin.importers.encodings import GZIP, settled_encoding, told_of_damage
from dlcli.builtin.importers.number_forms import POINT_NUMBER, plain_number

if TYPE_CHECKING:
    from _csv import Reader

BLOCK_CELLS = 100_000
"""Cells that are Python objects at once, at most; a row may have more."""
_SAMPLE_ROWS, _LONGEST_LINE = 50, 32 * 2**20
_DELIMITERS = ",;\t|"
_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}


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
        thousands: What sets the thousands of a number apart, and is left out; empty for nothing.
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
    thousands: str = ""

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
                if self.decimal == "," or self.thousands:
                    block = [self._plain(cells, done + offset) for offset, cells in enumerate(block)]
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

    def _plain(self, cells: list[str], row: int) -> list[str]:
        """Return a row's numbers as Python writes them; with a comma before decimals, a point is no such mark."""
        found = [plain_number(cell, self.decimal, self.thousands) for cell in cells]
        if self.decimal == ",":
            for name, cell, plain in zip(self.names, cells, found, strict=False):
                if cell == plain and POINT_NUMBER.fullmatch(cell):
                    raise self.refusal(
                        row,
                        name,
                        f"{cell.strip()!r} has a point, but decimals stand behind a comma (decimal); mend it, or say "
                        "that points set thousands apart: --set thousands='.'",
                    )
        return found

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
    def _reader(self, errors: str = "strict") -> Iterator["Reader"]:
        """Open the file; what is wrong with it is told while it is open."""
        with told_of_damage(self.where), self.opener() as stream:
            text = io.TextIOWrapper(stream, encoding=self.encoding, errors=errors, newline="")
            # A line without an end must not fill the memory; csv refuses a cell that is nearly as long.
            lines = iter(partial(text.readline, _LONGEST_LINE), "")
            reader = csv.reader(lines, delimiter=self.delimiter, strict=True, skipinitialspace=True)
            try:
                yield reader
            except csv.Error as cause:
                other = _another(self.delimiter, _DELIMITERS.replace(self.decimal, ""))
                raise DataError(
                    f"{self.where}, line {reader.line_num}: {cause}; mend the quotation marks, or say what is between "
                    f"cells with --set delimiter='{other}'"
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
    thousands: str = "",
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
        thousands: What sets the thousands of a number apart; empty for nothing.
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
        marks = "".join(mark for mark in _DELIMITERS if mark not in (decimal, thousands))
        delimiter, said = _find_delimiter(where, opener, encoding, marks)
        found.append(said)
    plain = Delimited(where, opener, encoding, delimiter, False, ("",), (), decimal, thousands)
    with plain._reader(errors="replace") as reader:  # a wrong byte is told below, by the name of its column
        first = [cell.strip() for cell in next(filter(None, reader), [])]
    if not first:
        raise DataError(f"{where} is empty; expected lines of cells")
    if header is None:
        number = next((cell for cell in first if _is_number(plain_number(cell, decimal, thousands))), None)
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
    table = Delimited(where, opener, encoding, delimiter, header, names, tuple(found), decimal, thousands)
    with table._reader() as reader:
        next(filter(None, reader))
    for name in names:
        if not name or names.count(name) > 1:
            places = [place for place, other in enumerate(names, start=1) if other == name]
            what = f"columns {' and '.join(map(str, places[:2]))} are both called {name!r}; names must differ"
            empty = f"column {places[0]} has no name; name it"
            raise DataError(f"{where}, line 1: {what if name else empty}, or say --set header=false if it is data")
    return table


def path_opener(path: Path) -> Callable[[], IO[bytes]]:
    """Return what opens a file that may be packed by gzip, whatever it is called."""

    def opened() -> IO[bytes]:
        with path.open("rb") as stream:
            packed = path.suffix.lower() == ".gz" or stream.read(len(GZIP)) == GZIP
        return cast(IO[bytes], gzip.open(path, "rb")) if packed else path.open("rb")

    return opened


def _find_delimiter(where: str, opener: Callable[[], IO[bytes]], encoding: str, marks: str) -> tuple[str, str]:
    with told_of_damage(where), opener() as stream:
        raw = [stream.readline(_LONGEST_LINE) for _ in range(_SAMPLE_ROWS)]
        sample = b"".join(raw).decode(encoding, errors="replace")
    there = [mark for mark in marks if mark in sample]
    if not there and "," in sample and "," not in marks:
        raise DataError(
            f"{where}: what is between cells is not plain from the first lines, since a comma is a mark of numbers "
            "here; say so, such as --set delimiter=','; a file of one column is read with --set delimiter=';'"
        )
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
    return delimiter, f"{_NAMES[delimiter]} is between cells (else: --set delimiter='{_another(delimiter, marks)}')"


def _another(delimiter: str, marks: str) -> str:
    """Return a delimiter to propose, of those that there may be, other than the one that was taken."""
    return next(mark for mark in ";,|" if mark in marks and mark != delimiter)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
