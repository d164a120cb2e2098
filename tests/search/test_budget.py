import pytest

from dlcli.search.budget import Budget, population_size, time_is_over, trials_left


def test_one_stage_has_all_trials():
    assert trials_left(Budget(trials=40), 1, 1, {}) == 40
    assert trials_left(Budget(trials=40), 1, 1, {1: 37}) == 3
    assert trials_left(Budget(trials=40), 1, 1, {1: 44}) == 0


def test_stages_share_equally_and_the_last_takes_the_remainder():
    planned = {}
    for stage in (1, 2, 3):
        planned[stage] = trials_left(Budget(trials=41), stage, 3, planned)
    assert planned == {1: 13, 2: 14, 3: 14}


def test_what_a_stage_did_not_use_goes_to_those_after_it():
    assert trials_left(Budget(trials=30), 2, 3, {1: 4}) == 13


def test_a_larger_budget_after_the_last_stage_began_goes_to_it():
    assert trials_left(Budget(trials=60), 3, 3, {1: 10, 2: 10, 3: 10}) == 30


def test_without_a_limit_on_trials_there_is_none():
    assert trials_left(Budget(minutes=1), 1, 3, {1: 1000}) is None


@pytest.mark.parametrize(
    ("stage", "seconds", "over"), [(1, 19.9, False), (1, 20, True), (2, 39, False), (3, 59, False), (3, 60, True)]
)
def test_stages_share_the_time(stage, seconds, over):
    assert time_is_over(Budget(minutes=1), stage, 3, seconds) is over
    assert not time_is_over(Budget(trials=1), stage, 3, seconds)


def test_extending_takes_the_larger_limit_and_keeps_what_is_not_named():
    assert Budget(40, 5.0).extended(Budget(60, None)) == Budget(60, 5.0)
    assert Budget(40, None).extended(Budget(20, 3.0)) == Budget(40, 3.0)


@pytest.mark.parametrize(("trials", "size"), [(1, 4), (16, 4), (40, 10), (64, 16), (1000, 16)])
def test_a_population_is_a_quarter_of_the_trials_within_bounds(trials, size):
    assert population_size(trials) == size
