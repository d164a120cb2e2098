"""Displays of a search without a terminal: one plain line a trial, or nothing."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self

from dlcli.report.figures import count_of, duration
from dlcli.report.tune_progress import SearchProgress
from dlcli.report.tune_text import epochs_text, score_text, setting_text, short_names

if TYPE_CHECKING:
    from rich.console import Console

    from dlcli.report.tune_view import TrialRow, TuneView


class QuietTuneDisplay:
    """Shows nothing."""

    def __enter__(self) -> Self:
        """Return the display."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is shown."""

    def search_started(self, view: "TuneView") -> None:
        """Nothing is shown."""

    def updated(self, view: "TuneView") -> None:
        """Nothing is shown."""

    def population_started(self, rows: "Sequence[TrialRow]", fold: int, epochs: int) -> None:
        """Nothing is shown."""

    def population_finished(self) -> None:
        """Nothing is shown."""

    def trial_reported(self, number: int, epoch: int, value: float) -> None:
        """Nothing is shown."""

    def trial_finished(self, row: "TrialRow") -> None:
        """Nothing is shown."""

    def tick(self) -> None:
        """Nothing is shown."""

    def note(self, text: str) -> None:
        """Nothing is shown."""

    def finished(self) -> None:
        """Nothing is shown."""


class PlainTuneDisplay(QuietTuneDisplay):
    """One line a trial that has ended, written at once, so that a log can be followed.

    Args:
        console: Where to write; its width is ignored, because lines of a log are not to be folded.
    """

    def __init__(self, console: "Console") -> None:
        self._file = console.file
        self._progress: SearchProgress | None = None
        self._names: dict[str, str] = {}

    def search_started(self, view: "TuneView") -> None:
        """Say where the search is, how far it goes and what decides."""
        self._progress = SearchProgress(view, time.monotonic())
        self._names = short_names(view.space)
        limits = []
        if view.trial_budget is not None:
            limits.append(count_of(view.trial_budget, "trial"))
        if view.seconds_budget is not None:
            limits.append(duration(view.seconds_budget))
        facts = [f"{' or '.join(limits)} at most"] if limits else []
        if view.stages > 1:
            facts.append(f"{view.stages} stages")
        if view.folds > 1:
            facts.append(f"{view.folds} folds")
        better = "smaller" if view.direction == "min" else "larger"
        facts.append(f"{view.monitor} decides ({better} is better)")
        self._write(f"{view.run}: {', '.join(facts)}")
        if self._progress.done:
            self._write(f"{count_of(self._progress.done, 'trial')} already there")

    def updated(self, view: "TuneView") -> None:
        """Write a line for each trial that has ended since."""
        for row in view.trials:
            if row.state != "running":
                self.trial_finished(row)

    def trial_finished(self, row: "TrialRow") -> None:
        """Write the trial's line: its score or what became of it, its setting, and whether it is the best so far."""
        if self._progress is None or not self._progress.add(row):
            return
        view = self._progress.view
        parts = [f"trial {row.number:{len(str(max((view.trial_budget or 1) - 1, 0)))}d}"]
        if view.stages > 1:
            parts.append(f"stage {row.stage}")
        if row.state != "finished":
            parts.append(f"{row.state}: {row.reason}" if row.reason else row.state)
        if row.score is not None:
            parts.append(f"{view.monitor} {score_text(row.score, row.spread)}")
        parts.append(setting_text(row.setting, self._names))
        if row.epochs is not None:
            parts.append(f"{epochs_text(row.epochs)} {'epoch' if row.epochs == 1 else 'epochs'}")
        if row.seconds is not None:
            parts.append(duration(row.seconds))
        if next(iter(self._progress.ranked), None) is row:
            parts.append("best")
        self._write("  ".join(filter(None, parts)))

    def note(self, text: str) -> None:
        """Write the note."""
        self._write(f"note: {text}")

    def _write(self, line: str) -> None:
        print(line, file=self._file, flush=True)
