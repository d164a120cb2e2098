"""The display on a terminal: two bars and the figures that matter, drawn five times a second."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlcli.report.display import best_record
from dlcli.report.figures import duration, number, rate
from dlcli.report.layout import bar_of, bars_table
from dlcli.report.scoreboard import Scoreboard

if TYPE_CHECKING:
    from torch import Tensor

    from dlcli.contracts.history import Direction, EpochRecord, History
    from dlcli.contracts.member import Member
    from dlcli.contracts.run import RunInfo
    from dlcli.experiment.summary import Summary

DRAW_SECONDS = 0.2
"""Least time between two pictures: a picture takes about 2 ms, and small networks train in steps of half of one."""
RECENT_EPOCHS = 5
"""How many of the last epochs tell how long the next ones will take."""


class LiveDisplay:
    """Shows epoch, batch, loss, rate, time left, the last epoch's figures and the best so far, in place.

    Of several members it shows how much of all is done, and the scores of each or on average.

    It draws on the training thread, and only when something happened: a drawing thread of its own would take the
    interpreter away from training.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next_drawing = 0.0
        self._title = ""
        self._epochs = self._epoch = self._steps = self._step = 0
        self._loss: float | None = None
        self._rate: float | None = None
        self._epoch_start = 0.0
        self._history: History | None = None
        self._board: Scoreboard | None = None
        self._start = 0.0

    def __enter__(self) -> Self:
        """Return the display; it appears when the run starts."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the picture down and give the cursor back."""
        self._stop()

    def run_started(
        self, run: "RunInfo", epochs: int, monitor: str, direction: "Direction", members: Sequence[str] = ()
    ) -> None:
        """Show the picture."""
        self._title = str(run.path)
        self._epochs = epochs
        self._board = Scoreboard(members, epochs) if members else None
        self._start = time.monotonic()
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def epoch_started(self, member: "Member", epoch: int, steps: int) -> None:
        """Begin the batch bar anew."""
        self._epoch, self._steps, self._step = epoch, steps, 0
        self._epoch_start = time.monotonic()
        if self._board is not None:
            self._board.epoch_started(member.identity, epoch)
        if self._loss is None:
            # The first step may take long: a picture before it shows that all is well.
            self._draw()

    def step_finished(self, step: int, loss: "Tensor", learning_rate: float) -> None:
        """Draw, where the last picture is old enough; only then the loss is read."""
        now = time.monotonic()
        if now < self._next_drawing:
            return
        self._next_drawing = now + DRAW_SECONDS
        self._step, self._loss, self._rate = step, float(loss), learning_rate
        self._draw()

    def epoch_finished(self, member: "Member", record: "EpochRecord", history: "History") -> None:
        """Remember the figures for the next picture."""
        self._history = history
        if self._board is not None:
            self._board.epoch_finished(member.identity, history)

    def note(self, text: str) -> None:
        """Print the note above the picture."""
        self._console.print(Text.assemble(("note: ", "yellow"), text), soft_wrap=True)

    def finished(self, summary: "Summary") -> None:
        """Take the picture down."""
        self._stop()

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """Return what the terminal shows now."""
        part = self._step / max(self._steps, 1)
        done = self._epoch - 1 + part
        bars = bars_table()
        if self._board is not None:
            bars.add_row(
                "all", f"{self._board.share:.0%}", bar_of(self._board.share, 1.0), self._all_left(self._board.share)
            )
        left = "" if self._board else self._time_left(done, part)
        bars.add_row("epoch", f"{self._epoch}/{self._epochs}", bar_of(done, self._epochs), left)
        bars.add_row(
            "batch", f"{self._step}/{self._steps}", bar_of(self._step, self._steps), f"loss {number(self._loss)}"
        )
        if self._board is not None:
            return Group(Text(self._title, style="dim"), bars, self._board.table())
        rows = Table.grid(padding=(0, 2))
        rows.add_column(style="bold")
        rows.add_column(overflow="fold")
        if self._rate is not None:
            rows.add_row("rate", rate(self._rate))
        if self._history is not None and self._history.records:
            record = self._history.records[-1]
            rows.add_row("last", _figures(record, self._history.monitor))
            best = best_record(self._history)
            score = number(best.values[self._history.monitor])
            rows.add_row("best", Text(f"{self._history.monitor} {score} in epoch {best.epoch}", style="green"))
        return Group(Text(self._title, style="dim"), bars, rows)

    def _all_left(self, share: float) -> str:
        seconds = time.monotonic() - self._start
        return f"{duration(seconds * (1 - share) / share)} left" if share else ""

    def _time_left(self, done: float, part: float) -> str:
        records = self._history.records[-RECENT_EPOCHS:] if self._history else ()
        if records:
            seconds = sum(record.seconds for record in records) / len(records)
        elif part:
            seconds = (time.monotonic() - self._epoch_start) / part
        else:
            return ""
        return f"{duration(seconds * max(self._epochs - done, 0))} left"


def _figures(record: "EpochRecord", monitor: str) -> Text:
    text = Text()
    for name, value in record.values.items():
        text.append(f"{name}\u00a0", style="dim")
        text.append(number(value), style="bold" if name == monitor else "")
        text.append("  ")
    text.rstrip()
    return text
