"""How far a prediction is, on a terminal."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from dlcli.report.figures import duration
from dlcli.report.layout import bar_of, bars_table

DRAW_SECONDS = 0.2
"""Least time between two pictures."""


class PredictionProgress:
    """A bar that is drawn while entered, when rows were done, and taken down at the end.

    Args:
        console: Where; nothing is drawn where it is no terminal.
        quiet: Whether to draw nothing there either.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        drawn = console.is_terminal and not console.is_dumb_terminal and not quiet
        self._live = Live(console=console, auto_refresh=False, transient=True) if drawn else None
        self._start = self._next = 0.0

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

    def __call__(self, done: int, total: int | None) -> None:
        """Draw, where the last picture is old enough.

        Args:
            done: How many rows are done.
            total: Of how many; None where that is not known.
        """
        now = time.monotonic()
        if self._live is not None and now >= self._next:
            self._next = now + DRAW_SECONDS
            self._live.update(self.picture(done, total), refresh=True)

    def picture(self, done: int, total: int | None) -> Table:
        """Return the bar."""
        seconds = time.monotonic() - self._start
        bars = bars_table()
        if total is None:
            bars.add_row("rows", f"{done:,}", "", duration(seconds))
        else:
            left = seconds * (total - done) / done if done else None
            bars.add_row("rows", f"{done:,}/{total:,}", bar_of(done, total), f"{duration(left)} left")
        return bars
