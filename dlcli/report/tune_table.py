"""A table of trials that leaves out the columns for which a terminal has no room, and says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from dlcli.report.layout import plain_table
from dlcli.report.tune_text import epochs_text, score_text, short_names, shortened, value_text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from dlcli.report.tune_view import TrialRow

LONGEST_VALUE = 24
"""Most characters of a value in a table; the best setting is shown in full elsewhere."""
GAP = 2


@dataclass(frozen=True)
class TrialsTable:
    """One row a trial: its number, its score, its epochs, and a column for each tuned key, under its short name.

    Args:
        rows: The trials, in the order in which they are shown.
        keys: The tuned keys, the most telling first: the last ones are left out where there is no room.
        monitor: Name of the score.
    """

    rows: Sequence["TrialRow"]
    keys: Sequence[str]
    monitor: str

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        names = short_names(self.keys)
        columns = [
            _Column("trial", [str(row.number) for row in self.rows], right=True),
            _Column(self.monitor, [score_text(row.score, row.spread) for row in self.rows]),
            _Column("epochs", [epochs_text(row.epochs) for row in self.rows], right=True),
        ]
        room = options.max_width - sum(column.width for column in columns)
        left_out = []
        for key in self.keys:
            column = _Column(names[key], [_cell(row.setting, key) for row in self.rows], right=_numeric(self.rows, key))
            room -= column.width
            if room < 0:
                left_out.append(column.name)
            else:
                columns.append(column)
        table = plain_table()
        for column in columns:
            table.add_column(Text(column.name), justify="right" if column.right else "left", no_wrap=True)
        for place, cells in enumerate(zip(*(column.cells for column in columns), strict=True)):
            table.add_row(*map(Text, cells), style="green" if place == 0 else None)
        yield table
        if left_out:
            yield Text(f"no room for {', '.join(left_out)}", style="dim")


@dataclass(frozen=True)
class _Column:
    name: str
    cells: Sequence[str]
    right: bool = False

    @property
    def width(self) -> int:
        """Characters it takes, with the gap to the next."""
        return max(map(cell_len, (self.name, *self.cells))) + GAP


def _cell(setting: Mapping[str, object], key: str) -> str:
    return shortened(value_text(setting[key]), LONGEST_VALUE) if key in setting else "–"


def _numeric(rows: Sequence["TrialRow"], key: str) -> bool:
    values = [row.setting[key] for row in rows if key in row.setting]
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
