import statistics
from pathlib import Path

import pytest

from dlcli.search.state import SearchState
from dlcli.search.trials import Population, PopulationResult, TrialOutcome


def population(number, trials, *, stage=1, fold=0, after=None):
    return Population(number, stage, fold, 9, (), tuple((trial, {"x": trial}) for trial in trials), Path(), after, 5.0)


def ended(state, population, *outcomes, **more):
    state.add_result(population, PopulationResult(outcomes, ended=6.0, **more))


def good(trial, score):
    return TrialOutcome(trial, score, 9, 4, 1.0)


def test_a_single_split_ends_with_its_population():
    state = SearchState(1, "min")
    first = population(0, [0, 1, 2])
    state.add_plan(first)
    assert state.open == [first]
    assert [trial.state for trial in state.trials.values()] == ["running"] * 3
    pruned = TrialOutcome(1, 0.9, 3, 2, pruned=True, reason="in the worse half")
    failed = TrialOutcome(2, None, 1, 0, reason="NaN")
    ended(state, first, good(0, 0.5), pruned, failed, reports={0: {1: 0.7, 2: 0.5}})
    assert [trial.state for trial in state.trials.values()] == ["finished", "pruned", "failed"]
    assert [trial.score for trial in state.trials.values()] == [0.5, 0.9, None]
    assert [trial.reason for trial in state.trials.values()] == [None, "in the worse half", "NaN"]
    assert [trial.fold_scores for trial in state.trials.values()] == [(0.5,), (), ()]
    assert state.trials[0].reports == {1: 0.7, 2: 0.5}
    assert (state.trials[0].planned, state.trials[0].ended) == (5.0, 6.0)
    assert (state.open, state.due(), state.ended) == ([], [], [0, 1, 2])


def test_survivors_wait_for_the_next_fold_and_the_score_is_the_mean():
    state = SearchState(3, "min")
    folds = [population(0, [0, 1, 2]), population(1, [0, 2], fold=1, after=0), population(2, [0], fold=2, after=1)]
    state.add_plan(folds[0])
    ended(state, folds[0], good(0, 0.1), good(1, 0.9), good(2, 0.2), leaving={1: "worse"})
    assert state.due() == [(folds[0], (0, 2))]
    assert (state.trials[1].state, state.trials[1].score, state.trials[1].reason) == ("pruned", 0.9, "worse")
    state.add_plan(folds[1])
    assert state.due() == []
    ended(state, folds[1], good(0, 0.2), TrialOutcome(2, None, 2, 0, 0.5, reason="NaN"))
    assert (state.trials[2].state, state.trials[2].fold_scores, state.trials[2].score) == ("failed", (0.2,), None)
    state.add_plan(folds[2])
    ended(state, folds[2], good(0, 0.6))
    trial = state.trials[0]
    assert (trial.state, trial.fold_scores, trial.population) == ("finished", (0.1, 0.2, 0.6), 2)
    assert trial.score == pytest.approx(0.3)
    assert trial.spread == pytest.approx(statistics.stdev([0.1, 0.2, 0.6]))
    assert (trial.epochs, trial.best_epochs, trial.best_epoch, trial.seconds) == (27, (4, 4, 4), 4.0, 3.0)
    assert state.ended == [1, 2, 0]


def test_ranking_is_of_finished_trials_of_one_stage():
    state = SearchState(1, "max")
    for stage in (1, 2):
        now = population(stage - 1, [3 * stage, 3 * stage + 1, 3 * stage + 2], stage=stage)
        state.add_plan(now)
        ended(
            state,
            now,
            good(3 * stage, 0.5),
            good(3 * stage + 1, 0.7),
            TrialOutcome(3 * stage + 2, 9.0, 1, 1, pruned=True),
        )
    assert [trial.number for trial in state.ranked()] == [7, 6]
    assert [trial.number for trial in state.ranked(1)] == [4, 3]
    assert [trial.number for trial in state.of_stage(2)] == [6, 7, 8]


def test_equal_trials_rank_by_number():
    state = SearchState(1, "min")
    now = population(0, [0, 1, 2])
    state.add_plan(now)
    ended(state, now, good(0, 0.5), good(1, 0.5), good(2, 0.5))
    assert [trial.number for trial in state.ranked()] == [0, 1, 2]
    assert state.trials[0].spread is None
