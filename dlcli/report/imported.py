"""What was imported, and how far an import is."""

import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlcli.report.figures import byte_size, duration, shape
from dlcli.report.layout import as_it_is, as_lines, as_name, bar_of, bars_table, folded, line, plain_table, shortened

if TYPE_CHECKING:
    from dlcli.contracts.importer import SourceField
    from dlcli.experiment.import_data import Imported

LISTED = 12
"""How many columns or classes are named."""


def imported_view(imported: "Imported") -> RenderableType:
    """Return where it came from and went, its splits, its fields, and what was found out rather than told."""
    splits = ", ".join(f"{name} {rows:,}" for name, rows in imported.splits.items())
    parts: list[RenderableType] = [
        line("source", f"{imported.source}, read by {imported.importer}"),
        line("rows", f"{imported.rows:,}" + (f": {splits}, {imported.how}" if splits else ", not divided")),
        "",
        _fields(imported.fields),
    ]
    gaps = [
        f"{shortened(name)} {count:,}"
        for field in imported.fields
        for name, count in zip(field.names, field.missing, strict=False)
        if count
    ]
    if gaps:
        parts += ["", folded("missing", as_it_is(_listed(gaps)).plain)]
    if imported.notes:
        parts += ["", *(folded("note", as_lines(note).plain) for note in imported.notes)]
    if imported.output is None:
        last = line("left", "nothing, since it was a dry run: with -o out.h5 instead, the dataset")
    else:
        size = byte_size(imported.bytes or 0)
        last = line("left", f"{imported.output}  {size}, in {duration(imported.seconds)}")
    return Group(*parts, "", last)


def _fields(fields: tuple["SourceField", ...]) -> Table:
    table = plain_table()
    for header in ("field", "role", "kind"):
        table.add_column(header)
    table.add_column("row", justify="right")
    table.add_column("type")
    table.add_column("holds", overflow="fold")
    for field in fields:
        role = f"{field.role} of {field.of}" if field.of else field.role or "splits only"
        holds = f"{len(field.classes)} classes: {_listed(field.classes)}" if field.classes else _listed(field.names)
        name, held = as_name(field.name), as_it_is(holds)
        table.add_row(name, role, field.kind or "–", shape(field.shape), field.dtype, held)
    return table


def _listed(names: tuple[str, ...] | list[str]) -> str:
    return ", ".join(map(shortened, names[:LISTED])) + (
        f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    )


class ImportProgress:
    """A line, and a bar where the number of rows is known, drawn while entered and taken down at the end.

    Args:
        console: Where; nothing is drawn where it is no terminal.
        quiet: Whether to draw nothing there either.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        drawn = console.is_terminal and not console.is_dumb_terminal and not quiet
        # Drawn by the clock, since nothing is told while a file is looked at.
        self._live = (
            Live(console=console, get_renderable=self.picture, refresh_per_second=5, transient=True) if drawn else None
        )
        self._state: tuple[str, int, int | None] = ("looking", 0, None)
        self._start = time.monotonic()

    def __enter__(self) -> Self:
        """Begin."""
        self._start = time.monotonic()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar down and give the cursor back."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, what: str, done: int, total: int | None) -> None:
        """Take note.

        Args:
            what: What is being done.
            done: How many rows are done.
            total: Of how many; None where that is not known.
        """
        if what != self._state[0]:
            self._start = time.monotonic()
        self._state = what, done, total

    def picture(self) -> RenderableType:
        """Return the line or bar."""
        what, done, total = self._state
        seconds = time.monotonic() - self._start
        if total is None:
            return Text.assemble((f"{what}  ", "bold"), duration(seconds))
        bars = bars_table()
        left = seconds * (total - done) / done if done else None
        bars.add_row(what, f"{done:,}/{total:,} rows", bar_of(done, total), f"{duration(left)} left")
        return bars
