"""How far the learning of one batch is, on a terminal."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from dlcli.report.figures import number
from dlcli.report.layout import bar_of, bars_table

DRAW_SECONDS = 0.2
"""Least time between two pictures."""


class OverfitBatchProgress:
    """A bar that is drawn while entered, when steps were taken, and taken down at the end.

    Args:
        console: Where; nothing is drawn where it is no terminal.
        quiet: Whether to draw nothing there either.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        drawn = console.is_terminal and not console.is_dumb_terminal and not quiet
        self._live = Live(console=console, auto_refresh=False, transient=True) if drawn else None
        self._next = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar down and give the cursor back."""
        if self._live is not None:
            self._live.stop()

    def __call__(self, attempt: str, step: int, steps: int, loss: float) -> None:
        """Draw, where the last picture is old enough.

        Args:
            attempt: What is tried.
            step: How many steps were taken.
            steps: Most of them.
            loss: Loss of the batch.
        """
        now = time.monotonic()
        if self._live is not None and now >= self._next:
            self._next = now + DRAW_SECONDS
            self._live.update(self.picture(attempt, step, steps, loss), refresh=True)

    def picture(self, attempt: str, step: int, steps: int, loss: float) -> Table:
        """Return the bar."""
        bars = bars_table()
        bars.add_row(attempt, f"{step:,}/{steps:,}", bar_of(step, steps), f"loss {number(loss)}")
        return bars
