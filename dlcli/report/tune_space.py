"""Settings drawn from a space, as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from dlcli.report.layout import plain_table
from dlcli.report.tune_text import value_text


def space_view(settings: Sequence[Mapping[str, Any]]) -> Table:
    """Return one row a setting and one column a key; keys that a setting does not have are left blank.

    Args:
        settings: The settings, one at least.

    Returns:
        The table.
    """
    keys = list(dict.fromkeys(key for setting in settings for key in setting))
    table = plain_table()
    for key in keys:
        table.add_column(key, overflow="fold")
    for setting in settings:
        table.add_row(*(value_text(setting[key]) if key in setting else "" for key in keys))
    return table
