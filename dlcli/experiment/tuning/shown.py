"""A search as its displays and summaries are told it, and the watch that tells them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dlcli.contracts.history import Direction
from dlcli.contracts.search import Choice, Distribution, Normal, Uniform
from dlcli.experiment.interruption import Interruption
from dlcli.report.tune_display import TuneDisplay
from dlcli.report.tune_view import ParameterRange, TrialRow, TuneView
from dlcli.search.budget import Budget
from dlcli.search.search_file import SearchFile, SearchPlan
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, Trial, TrialOutcome


def range_of(distribution: Distribution) -> ParameterRange:
    """Return where the values of a key come from, as pictures draw it."""
    if isinstance(distribution, Choice):
        return ParameterRange(choices=distribution.values)
    if isinstance(distribution, Uniform):
        return ParameterRange(distribution.low, distribution.high, distribution.log, distribution.whole)
    if isinstance(distribution, Normal):
        low, high = (end if math.isfinite(end) else None for end in (distribution.low, distribution.high))
        return ParameterRange(low, high)
    return ParameterRange()


def row_of(trial: Trial) -> TrialRow:
    """Return a trial as a row."""
    return TrialRow(
        number=trial.number,
        state=trial.state,
        setting=trial.setting,
        score=trial.score,
        spread=trial.spread,
        fold_scores=trial.fold_scores,
        epochs=trial.best_epoch,
        seconds=trial.seconds,
        reason=trial.reason,
        stage=trial.stage,
    )


def view_of(
    run: Path, name: str, plan: SearchPlan, budget: Budget, seconds: float, trials: Mapping[int, Trial]
) -> TuneView:
    """Return a search as it stands.

    Args:
        run: Its directory.
        name: Its recipe's name.
        plan: What it is.
        budget: How much it may try.
        seconds: Time used.
        trials: What is known of its trials, by number.

    Returns:
        The view.
    """
    return TuneView(
        run=run,
        name=name,
        monitor=plan.monitor,
        direction=plan.direction,
        space={key: range_of(distribution) for key, distribution in plan.space.items()},
        trials=[row_of(trial) for _, trial in sorted(trials.items())],
        trial_budget=budget.trials,
        seconds_budget=None if budget.minutes is None else 60 * budget.minutes,
        seconds=seconds,
        folds=plan.folds,
        stages=len(plan.stage_epochs),
    )


class TuneWatch:
    """Tells a display how a search goes, and the search whether Ctrl-C was pressed.

    Args:
        run: The run directory.
        name: The recipe's name.
        display: Shows it.
        interruption: Says whether to end.
    """

    def __init__(self, run: Path, name: str, display: TuneDisplay, interruption: Interruption) -> None:
        record = SearchFile(run).read()
        self._display, self._interruption = display, interruption
        self._file = SearchFile(run)
        self.view = view_of(run, name, record.plan, record.budget, record.seconds, {})
        self.state: SearchState | None = None
        self.notes: list[str] = []
        self.tick = display.tick
        self._ended: set[int] = set()

    @property
    def direction(self) -> Direction:
        """Whether a smaller or larger score is better."""
        return self.view.direction

    def interrupted(self) -> bool:
        """Return whether Ctrl-C was pressed."""
        return self._interruption.requested

    def state_changed(self, state: SearchState) -> None:
        """Show what is new."""
        first = self.state is None
        self.state = state
        self.view = replace(self.view, trials=[row_of(trial) for _, trial in sorted(state.trials.items())])
        self.count_time()
        if first:
            self._ended = set(state.ended)
            self._display.search_started(self.view)
            return
        self._display.updated(self.view)
        for number in state.ended:
            if number not in self._ended:
                self._ended.add(number)
                self._display.trial_finished(row_of(state.trials[number]))

    def count_time(self) -> None:
        """Take in how much time is used and allowed, as `search.json` has it."""
        record = self._file.read()
        minutes = record.budget.minutes
        self.view = replace(
            self.view,
            trial_budget=record.budget.trials,
            seconds_budget=None if minutes is None else 60 * minutes,
            seconds=record.seconds,
        )

    def population_started(self, population: Population) -> None:
        """Show who trains."""
        known = self.state.trials if self.state else {}
        rows = [row_of(known[number]) for number, _ in population.trials if number in known]
        self._display.population_started(rows, population.fold + 1, population.epochs)

    def trial_reported(self, number: int, epoch: int, value: float) -> None:
        """Show an epoch."""
        self._display.trial_reported(number, epoch, value)

    def population_finished(self, population: Population, outcomes: Sequence[TrialOutcome]) -> None:
        """Show that the population is through."""
        self._display.population_finished()

    def note(self, text: str) -> None:
        """Show a note, each once."""
        if text not in self.notes:
            self.notes.append(text)
            self._display.note(text)
