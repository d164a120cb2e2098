"""Columns of a delimited file by name or number."""

from collections.abc import Collection

from dlcli import UsageError
from dlcli.builtin.importers.delimited import Delimited

Column = str | int


def place_of(table: Delimited, column: Column, what: str) -> int:
    """Return where a column is.

    Args:
        table: The file.
        column: Its name, or its number from 1 on; -1 is the last.
        what: What asks for it, for the error.

    Returns:
        Its place, from 0.

    Raises:
        UsageError: There is no such column.
    """
    if isinstance(column, str) and column in table.names:
        return table.names.index(column)
    try:
        number = int(column)
    except ValueError:
        number = 0
    if 1 <= abs(number) <= len(table.names):
        return number - 1 if number > 0 else len(table.names) + number
    there = ", ".join(table.names[:20]) + (", …" if len(table.names) > 20 else "")
    raise UsageError(
        f"{what}: {table.where} has no column {column!r}; there are {len(table.names)}: {there}; name one, or give its "
        "number from 1 on, -1 for the last"
    )


def named(table: Delimited, columns: Column | tuple[Column, ...] | None) -> str | tuple[str, ...] | None:
    """Return columns by their names, whether they were asked for by name or number."""
    if columns is None:
        return None
    if isinstance(columns, tuple):
        return tuple(table.names[place_of(table, column, "column")] for column in columns)
    return table.names[place_of(table, columns, "column")]


def widths_of(columns: int, left_out: Collection[int | None]) -> tuple[int, ...]:
    """Return how many columns files may have whose columns are known by their places alone.

    Args:
        columns: How many the first file has.
        left_out: Places, from 0, of those that are no inputs; None does not count.

    Returns:
        As many; or fewer, where all that is left out is at the end, so that files without it are no other.
    """
    places = {place for place in left_out if place is not None}
    inputs = columns - len(places)
    at_the_end = all(place >= inputs for place in places)
    return tuple(range(inputs, columns + 1)) if at_the_end else (columns,)
