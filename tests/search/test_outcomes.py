import math
from pathlib import Path

import pytest

from dlcli.search.outcomes import failures, result_of
from dlcli.search.state import SearchState
from dlcli.search.trials import Population, PopulationResult, TrialOutcome


def population(number, fold, trials, after=None):
    return Population(number, 1, fold, 9, (), tuple((trial, {}) for trial in trials), Path(), after)


@pytest.fixture
def state():
    """Two folds; trial 0 has both, with 0.2 and 0.4."""
    state = SearchState(2, "min")
    for fold, score in enumerate([0.2, 0.4]):
        now = population(fold, fold, [0], fold - 1 if fold else None)
        state.add_plan(now)
        state.add_result(now, PopulationResult((TrialOutcome(0, score, 9, 9),)))
    return state


def recorded(state, outcomes, **changes):
    now = population(2, 0, [1, 2, 3])
    state.add_plan(now)
    return result_of(state, now, outcomes, {}, 1.0, **changes)


def test_outcomes_are_put_in_order_and_raced(state):
    result = recorded(state, [TrialOutcome(3, 0.39, 9, 9), TrialOutcome(1, 0.1, 9, 9), TrialOutcome(2, 0.41, 9, 9)])
    assert [outcome.trial for outcome in result.outcomes] == [1, 2, 3]
    assert result.leaving.keys() == {2}


def test_racing_may_be_off(state):
    assert recorded(state, [TrialOutcome(trial, 9.0, 9, 9) for trial in (1, 2, 3)], racing=False).leaving == {}


def test_pruned_and_failed_trials_are_not_raced(state):
    outcomes = [
        TrialOutcome(1, 9.0, 3, 3, pruned=True),
        TrialOutcome(2, None, 1, 0, reason="NaN"),
        TrialOutcome(3, 0.1, 9, 9),
    ]
    result = recorded(state, outcomes)
    assert result.leaving == {}
    assert result.outcomes[0].reason == "in the worse half after epoch 3"


@pytest.mark.parametrize("score", [None, math.nan, math.inf])
def test_a_trial_without_a_finite_score_has_failed(state, score):
    result = recorded(state, [TrialOutcome(1, score, 9, 9), TrialOutcome(2, 0.1, 9, 9), TrialOutcome(3, 0.1, 9, 9)])
    assert result.outcomes[0].failed
    assert result.outcomes[0].reason == f"its score is {score}"
    assert result.outcomes[0].score is None


@pytest.mark.parametrize("trials", [[1, 2], [1, 2, 2], [1, 2, 4], [1, 2, 3, 4]])
def test_there_is_exactly_one_outcome_for_each(state, trials):
    with pytest.raises(ValueError, match=r"population 2 has the trials \[1, 2, 3\], and got outcomes for"):
        recorded(state, [TrialOutcome(trial, 0.1, 9, 9) for trial in trials])


def test_all_may_fail_for_one_reason():
    assert [(each.trial, each.reason, each.failed) for each in failures(population(0, 0, [4, 5]), "out of memory")] == [
        (4, "out of memory", True), (5, "out of memory", True),
    ]  # fmt: skip
