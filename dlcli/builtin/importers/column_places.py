"""Columns of a delimited file by name or number."""

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
