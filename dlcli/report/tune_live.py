"""The display of a search on a terminal: how far it is, the best so far and how it came about."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dlcli.report.figures import duration, number
from dlcli.report.sparkline import sparkline
from dlcli.report.tune_progress import SearchProgress
from dlcli.report.tune_table import TrialsTable
from dlcli.report.tune_text import score_text, setting_text, short_names

if TYPE_CHECKING:
    from dlcli.report.tune_view import TrialRow, TuneView

DRAW_SECONDS = 0.2
"""Least time between two pictures."""
SHOWN_TRIALS = 5
STATES = (("finished", "green"), ("running", "cyan"), ("pruned", "yellow"), ("failed", "red"))


class LiveTuneDisplay:
    """Shows counts, speed, time left, the best so far with its setting, a sparkline and the best five, in place.

    It draws on the calling thread, and only when something happened: a drawing thread of its own would take the
    interpreter away from training.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next_drawing = 0.0
        self._progress: SearchProgress | None = None
        self._names: dict[str, str] = {}
        self._population: set[int] = set()
        self._fold = self._epoch = self._epochs = 0

    def __enter__(self) -> Self:
        """Return the display; it appears when the search starts."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the picture down and give the cursor back."""
        self._stop()

    def search_started(self, view: "TuneView") -> None:
        """Show the picture."""
        self._progress = SearchProgress(view, time.monotonic())
        self._names = short_names(view.space)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self.tick()

    def updated(self, view: "TuneView") -> None:
        """Take the trials of other workers, too."""
        for row in view.trials:
            self._add(row)
        self.tick()

    def population_started(self, rows: "Sequence[TrialRow]", fold: int, epochs: int) -> None:
        """Show which fold is trained, and count its trials as running."""
        self._population = {row.number for row in rows}
        self._fold, self._epoch, self._epochs = fold, 0, epochs
        for row in rows:
            self._add(row)
        self.tick()

    def population_finished(self) -> None:
        """Show no epochs until the next population."""
        self._population = set()
        self.tick()

    def trial_reported(self, number: int, epoch: int, value: float) -> None:
        """Show the epoch."""
        self._epoch = max(epoch, self._epoch)
        self.tick()

    def trial_finished(self, row: "TrialRow") -> None:
        """Count the trial, and show it where it is among the best."""
        self._add(row)
        self._population.discard(row.number)
        self.tick()

    def tick(self) -> None:
        """Draw, where the last picture is old enough."""
        now = time.monotonic()
        if self._live is None or now < self._next_drawing:
            return
        self._next_drawing = now + DRAW_SECONDS
        self._live.update(self.picture(), refresh=True)

    def note(self, text: str) -> None:
        """Print the note above the picture."""
        self._console.print(Text.assemble(("note: ", "yellow"), text), soft_wrap=True)

    def finished(self) -> None:
        """Take the picture down."""
        self._stop()

    def _add(self, row: "TrialRow") -> None:
        if self._progress is not None:
            self._progress.add(row)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def picture(self) -> RenderableType:
        """Return what the terminal shows now; nothing before the search started."""
        if self._progress is None:
            return Text("")
        now, progress, view = time.monotonic(), self._progress, self._progress.view
        ranked = progress.ranked
        head = Text.assemble((str(view.run), "bold"), (f"  {duration(progress.seconds(now))}", "dim"))
        parts: list[RenderableType] = [head, self._bar(now), self._facts()]
        if ranked:
            parts += ["", TrialsTable(ranked[:SHOWN_TRIALS], list(view.space), view.monitor)]
        return Group(*parts)

    def _bar(self, now: float) -> Table:
        """The part of the budget that is used: the scarcer one where there are two."""
        assert self._progress is not None
        progress, view = self._progress, self._progress.view
        parts = []
        if view.trial_budget:
            parts.append(progress.done / view.trial_budget)
        if view.seconds_budget:
            parts.append(progress.seconds(now) / view.seconds_budget)
        total = str(view.trial_budget) if view.trial_budget is not None else "∞"
        left, speed = progress.seconds_left(now), progress.per_minute(now)
        pace = [] if speed is None else [f"{number_of_trials(speed)} trials/min"]
        if left is not None:
            pace.append(f"{duration(left)} left")
        grid = Table.grid(padding=(0, 2), expand=True)
        grid.add_column(style="bold", no_wrap=True)
        grid.add_column(justify="right", no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(justify="right", no_wrap=True)
        bar = ProgressBar(total=1, completed=max(parts, default=0), complete_style="cyan", finished_style="cyan")
        grid.add_row("trials", f"{progress.done}/{total}", bar, "  ".join(pace))
        return grid

    def _facts(self) -> Table:
        assert self._progress is not None
        progress, view = self._progress, self._progress.view
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="bold", no_wrap=True, width=6)
        grid.add_column(overflow="fold")
        counts = progress.counts
        states = Text("  ").join(
            Text(f"{counts[state]}\u00a0{state}", style=style if counts[state] else "dim") for state, style in STATES
        )
        grid.add_row("", states)
        if self._population:
            grid.add_row("now", self._now(view.folds, view.stages))
        if best := next(iter(progress.ranked), None):
            score = f"{view.monitor} {score_text(best.score, best.spread)}"
            grid.add_row("best", Text(f"trial {best.number}  {score}", style="green"))
            grid.add_row("", Text(setting_text(best.setting, self._names)))
            curve = progress.curve
            ends = f"{number(curve[0])} → {number(curve[-1])}"
            room = max(self._console.width - len(ends) - 12, 8)
            grid.add_row("", Text.assemble((sparkline(curve, min(room, 40)), "cyan"), f"  {ends}"))
        return grid

    def _now(self, folds: int, stages: int) -> Text:
        assert self._progress is not None
        together = len(self._population)
        words = [f"stage {self._progress.stage} of {stages}"] if stages > 1 else []
        words += [f"fold {self._fold} of {folds}"] if folds > 1 else []
        words.append(f"epoch {self._epoch} of {self._epochs}")
        words.append(f"{together} together" if together > 1 else f"trial {next(iter(self._population))}")
        return Text("  ".join(words))


def number_of_trials(speed: float) -> str:
    """Return trials a minute with two digits, such as `0.35`, `3.5` or `350`."""
    return f"{speed:.2f}" if speed < 1 else f"{speed:.1f}" if speed < 10 else f"{speed:,.0f}"
