"""The state of a search: a pure function of its populations' plans and results, taken in as they appear."""

import statistics
from collections.abc import Sequence
from dataclasses import replace

from dlcli.contracts.history import Direction
from dlcli.search.trials import Population, PopulationResult, Trial, TrialOutcome


class SearchState:
    """All that has happened in a search.

    Args:
        folds: Folds that a trial is scored on; 1 for a single validation split.
        direction: Whether a smaller or larger score is better.
    """

    def __init__(self, folds: int, direction: Direction) -> None:
        self.folds = folds
        self.direction = direction
        self.populations: list[Population] = []
        self.results: dict[int, PopulationResult] = {}
        self.trials: dict[int, Trial] = {}
        self.ended: list[int] = []
        """Numbers of the trials that ended, in that order."""
        self._due: dict[int, tuple[int, ...]] = {}
        self._open: set[int] = set()

    def add_plan(self, population: Population) -> None:
        """Take in the plan of the next population."""
        self.populations.append(population)
        self._open.add(population.number)
        if population.after is not None:
            self._due.pop(population.after, None)
        for number, setting in population.trials:
            known = self.trials.get(number)
            self.trials[number] = (
                replace(known, population=population.number)
                if known is not None
                else Trial(number, population.stage, setting, population.number, planned=population.planned)
            )

    def add_result(self, population: Population, result: PopulationResult) -> None:
        """Take in the result of a population whose plan is known."""
        self.results[population.number] = result
        self._open.discard(population.number)
        for outcome in result.outcomes:
            trial = self._after_fold(self.trials[outcome.trial], population, outcome, result)
            self.trials[trial.number] = trial
            if trial.state != "running":
                self.ended.append(trial.number)
        survivors = tuple(each.trial for each in result.outcomes if self.trials[each.trial].state == "running")
        if survivors:
            self._due[population.number] = survivors

    @property
    def open(self) -> list[Population]:
        """Populations without a result: running, or waiting for a worker."""
        return [self.populations[number] for number in sorted(self._open)]

    def due(self) -> list[tuple[Population, tuple[int, ...]]]:
        """Return the populations whose survivors must go on to the next fold, and which these are."""
        return [(self.populations[number], survivors) for number, survivors in sorted(self._due.items())]

    def of_stage(self, stage: int) -> list[Trial]:
        """Return the trials of a stage, in order of their numbers."""
        return [trial for _, trial in sorted(self.trials.items()) if trial.stage == stage]

    def ranked(self, stage: int | None = None) -> list[Trial]:
        """Return the finished trials of a stage, best first, equal ones by number.

        Args:
            stage: The stage; None for the last one that has finished trials.

        Returns:
            The trials; scores of different stages are never compared.
        """
        done = [trial for trial in self.trials.values() if trial.state == "finished"]
        wanted = max((trial.stage for trial in done), default=1) if stage is None else stage
        return rank([trial for trial in done if trial.stage == wanted], self.direction)

    def _after_fold(
        self, trial: Trial, population: Population, outcome: TrialOutcome, result: PopulationResult
    ) -> Trial:
        trial = replace(
            trial,
            epochs=trial.epochs + outcome.epochs,
            seconds=trial.seconds + outcome.seconds,
            reports=result.reports.get(trial.number, {}) if self.folds == 1 else {},
        )
        if outcome.failed:
            return replace(trial, state="failed", score=None, reason=outcome.reason, ended=result.ended)
        if outcome.pruned:
            return replace(trial, state="pruned", score=outcome.score, reason=outcome.reason, ended=result.ended)
        assert outcome.score is not None  # checked where it was recorded
        scores = (*trial.fold_scores, outcome.score)
        trial = replace(
            trial,
            fold_scores=scores,
            best_epochs=(*trial.best_epochs, outcome.best_epoch),
            score=statistics.fmean(scores),
        )
        if population.fold == self.folds - 1:
            return replace(trial, state="finished", ended=result.ended)
        if trial.number in result.leaving:
            return replace(trial, state="pruned", reason=result.leaving[trial.number], ended=result.ended)
        return trial


def rank(trials: Sequence[Trial], direction: Direction) -> list[Trial]:
    """Return scored trials, best first, equal ones by number."""
    sign = 1.0 if direction == "min" else -1.0
    scored = [(trial.score, trial) for trial in trials if trial.score is not None]
    return [trial for score, trial in sorted(scored, key=lambda item: (sign * item[0], item[1].number))]
