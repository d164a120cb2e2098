"""What is recorded of a population that was run: outcomes checked, and who leaves before the next fold."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from dlcli.search.racing import losers
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, PopulationResult, TrialOutcome


def result_of(
    state: SearchState,
    population: Population,
    outcomes: Sequence[TrialOutcome],
    reports: Mapping[int, Mapping[int, float]],
    ended: float,
    *,
    racing: bool = True,
) -> PopulationResult:
    """Make the record of a population.

    Args:
        state: The search, before this population ended.
        population: The population.
        outcomes: One for each of its trials, in any order.
        reports: The monitored value by epoch, by trial.
        ended: The time, in seconds since 1970.
        racing: Whether trials are raced at all.

    Returns:
        The record. A trial that went well but has no finite score has failed; from the first fold on, trials are raced
        against the best of the same stage.

    Raises:
        ValueError: There is not exactly one outcome for each trial.
    """
    by_trial = {outcome.trial: outcome for outcome in outcomes}
    numbers = [number for number, _ in population.trials]
    if len(outcomes) != len(numbers) or by_trial.keys() != set(numbers):
        got = [outcome.trial for outcome in outcomes]
        raise ValueError(f"population {population.number} has the trials {numbers}, and got outcomes for {got}")
    checked = tuple(_checked(by_trial[number]) for number in numbers)
    leaving = {}
    if racing and population.fold < state.folds - 1:
        running = {
            outcome.trial: (*state.trials[outcome.trial].fold_scores, outcome.score)
            for outcome in checked
            if not outcome.failed and not outcome.pruned and outcome.score is not None
        }
        incumbent = next(iter(state.ranked(population.stage)), None)
        leaving = losers(running, incumbent, state.direction)
    return PopulationResult(checked, leaving, reports, ended)


def failures(population: Population, reason: str) -> list[TrialOutcome]:
    """Return outcomes that say that every trial of a population failed for one reason."""
    return [TrialOutcome(number, None, 0, 0, reason=reason) for number, _ in population.trials]


def _checked(outcome: TrialOutcome) -> TrialOutcome:
    finite = outcome.score is not None and math.isfinite(outcome.score)
    if outcome.failed:
        return replace(outcome, score=None)
    if outcome.pruned:
        reason = outcome.reason or f"in the worse half after epoch {outcome.epochs}"
        return replace(outcome, score=outcome.score if finite else None, reason=reason)
    return outcome if finite else replace(outcome, score=None, reason=f"its score is {outcome.score}")
