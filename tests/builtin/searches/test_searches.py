"""The built-in searches, against Optuna run by hand and against laws of their own."""

import importlib.util
import logging
import math
import random
import statistics
import time

import optuna
import pytest
from scipy.stats import qmc

from dlcli import Choice, Condition, Normal, PluginError, Uniform, belongs
from dlcli.builtin.searches.grid import combinations

RATE = Uniform(1e-5, 1e1, log=True)
VALLEY = {f"k{place}": RATE for place in range(4)}
GOAL = (-3, -1, -4, 0)
MIXED = {
    "lr": RATE,
    "width": Uniform(4, 64, log=True, whole=True),
    "kind": Choice(("a", {"name": "b", "x": 1})),
    "momentum": Uniform(0.0, 0.9, when=Condition("kind", ("b",))),
    "decay": Normal(0.0, 1.0, low=-1.0),
}
METHODS = ["cmaes", "gp", "grid", "quasi_random", "random", "tpe"]
MODELS = ["cmaes", "gp", "tpe"]


def loss(setting, seed, trial):
    noise = random.Random(1000 * seed + trial).gauss(0, 0.05)
    return noise + sum((math.log10(setting[key]) - goal) ** 2 for key, goal in zip(VALLEY, GOAL, strict=True))


@pytest.fixture
def start(registry):
    def started(method, space=VALLEY, direction="min", seed=0, previous=(), **parameters):
        return registry.create("search", method, **parameters).start(space, direction, seed, previous)

    return started


def best_of(searcher, seed, trials, batch, sign=1):
    best = math.inf
    for first in range(0, trials, batch):
        numbers = range(first, min(first + batch, trials))
        for trial, setting in zip(numbers, searcher.ask(numbers), strict=True):
            value = loss(setting, seed, trial)
            searcher.tell(trial, setting, sign * value)
            best = min(best, value)
    return best


def optuna_best(seed, trials, sampler):
    study = optuna.create_study(sampler=sampler)
    for trial in range(trials):
        asked = study.ask()
        study.tell(asked, loss({key: asked.suggest_float(key, 1e-5, 1e1, log=True) for key in VALLEY}, seed, trial))
    return study.best_value


@pytest.fixture
def silent_optuna():
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(level)


@pytest.mark.usefixtures("silent_optuna")
def test_tpe_in_batches_of_eight_is_as_good_as_optuna_one_by_one_and_far_better_than_random(start):
    seeds = range(10)
    ours = [best_of(start("tpe", seed=seed), seed, 80, 8) for seed in seeds]
    theirs = [optuna_best(seed, 80, optuna.samplers.TPESampler(seed=seed)) for seed in seeds]
    chance = [best_of(start("random", seed=seed), seed, 80, 8) for seed in seeds]
    assert statistics.median(ours) <= statistics.median(theirs) + 0.1
    assert statistics.median(ours) < statistics.median(chance) / 5
    assert sum(mine < other for mine, other in zip(ours, chance, strict=True)) == len(seeds)


@pytest.mark.usefixtures("silent_optuna")
def test_cmaes_is_as_good_as_optunas(start):
    seeds = range(10)
    ours = [best_of(start("cmaes", seed=seed), seed, 160, 8) for seed in seeds]
    theirs = [optuna_best(seed, 160, optuna.samplers.CmaEsSampler(seed=seed)) for seed in seeds]
    assert statistics.median(ours) <= statistics.median(theirs) + 0.05


def test_a_gaussian_process_needs_few_trials(start):
    assert best_of(start("gp"), 0, 40, 8) < 0.3


@pytest.mark.parametrize("method", MODELS)
def test_larger_is_better_where_it_is(start, method):
    trials = 32 if method == "gp" else 80
    up = best_of(start(method, direction="max"), 0, trials, 8, sign=-1)
    assert up < best_of(start("random"), 0, trials, 8)


@pytest.mark.parametrize("method", METHODS)
def test_a_batch_asked_together_is_diverse(start, method):
    searcher = start(method)
    best_of(searcher, 0, 24, 8)
    points = [[math.log10(value) for value in setting.values()] for setting in searcher.ask(range(24, 32))]
    distances = [math.dist(a, b) for place, a in enumerate(points) for b in points[:place]]
    assert min(distances) > 0.01
    assert statistics.median(distances) > 0.1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", [MIXED, {"k": Choice((1,))}, {"k": Uniform(1, 1)}, {"k": Uniform(1, 3, whole=True)}])
def test_every_kind_of_space_is_searched(start, method, space):
    searcher = start(method, space)
    for first in range(0, 16, 4):
        numbers = range(first, first + 4)
        for trial, setting in zip(numbers, searcher.ask(numbers), strict=False):
            assert belongs(space, setting)
            searcher.tell(trial, setting, None if trial % 5 == 4 else float(trial))


@pytest.mark.parametrize("method", METHODS)
def test_a_search_in_which_all_fails_goes_on(start, method):
    searcher = start(method, MIXED)
    for first in range(0, 24, 8):
        for trial, setting in zip(range(first, first + 8), searcher.ask(range(first, first + 8)), strict=True):
            searcher.tell(trial, setting, math.nan if trial % 2 else None)


@pytest.mark.parametrize("method", METHODS)
def test_a_setting_that_is_not_of_the_space_is_passed_by(start, method):
    one, other = start(method), start(method)
    for trial in (0, 1):
        one.tell(100 + trial, {"k0": 99.0}, 1.0)
        one.pending(200 + trial, {"k9": 99.0})
    assert one.ask(range(4)) == other.ask(range(4))


@pytest.mark.parametrize("method", ["random", "quasi_random"])
def test_the_set_is_the_same_for_any_number_of_workers(start, method):
    alone = start(method).ask(range(40))
    workers = [start(method) for _ in range(4)]
    shared = {
        trial: setting for k, each in enumerate(workers) for trial in range(k, 40, 4) for setting in each.ask([trial])
    }
    assert [shared[trial] for trial in range(40)] == alone


def test_random_values_depend_on_nothing_but_seed_trial_and_key(start):
    whole = start("random", MIXED).ask(range(5))
    part = start("random", {"lr": RATE}).ask(range(5))
    assert [setting["lr"] for setting in whole] == [setting["lr"] for setting in part]
    assert start("random", seed=1).ask([0]) != start("random").ask([0])


def test_random_values_are_spread_as_their_distribution(start):
    values = [math.log10(setting["k0"]) for setting in start("random").ask(range(2000))]
    assert statistics.fmean(values) == pytest.approx(-2, abs=0.15)
    assert statistics.stdev(values) == pytest.approx(6 / math.sqrt(12), abs=0.1)


def test_quasi_random_points_leave_fewer_holes_than_random_ones(start):
    space = {f"k{place}": Uniform(0.0, 1.0) for place in range(4)}

    def discrepancy(method):
        return qmc.discrepancy([list(setting.values()) for setting in start(method, space).ask(range(64))])

    assert discrepancy("quasi_random") < discrepancy("random") / 3


def test_the_start_of_tpe_is_random_search(start):
    searcher, chance = start("tpe", MIXED), start("random", MIXED)
    for first in (0, 5):
        numbers = range(first, first + 5)
        settings = searcher.ask(numbers)
        assert settings == chance.ask(numbers)
        for trial, setting in zip(numbers, settings, strict=True):
            searcher.tell(trial, setting, float(trial))
    assert searcher.ask([10]) != chance.ask([10])
    # All at once, before anything is known: there is nothing else to go by.
    assert start("tpe", MIXED).ask(range(32)) == chance.ask(range(32))
    assert start("tpe", MIXED, start_trials=3).ask([40]) == chance.ask([40])


@pytest.mark.parametrize("method", MODELS)
def test_an_earlier_stage_gives_a_head_start(start, method):
    before = start("random", seed=5).ask(range(60))
    previous = [(setting, 100 + loss(setting, 0, trial)) for trial, setting in enumerate(before)]
    outside = [({**before[0], "k0": 1e9}, -1e9)] * 10
    warm = [best_of(start(method, seed=seed, previous=[*outside, *previous]), seed, 16, 8) for seed in range(4)]
    cold = [best_of(start("random", seed=seed), seed, 16, 8) for seed in range(4)]
    assert statistics.median(warm) < statistics.median(cold) / 2


def test_scores_of_an_earlier_stage_are_not_compared_with_this_ones(start):
    """They are all better, and far from the goal: were they kept, the search would stay there."""
    wrong = [({key: 9.0 - trial / 10 for key in VALLEY}, -1000.0 - trial) for trial in range(20)]
    assert best_of(start("tpe", previous=wrong), 0, 80, 8) < 1.0


@pytest.mark.usefixtures("silent_optuna")
def test_failures_are_avoided_where_optuna_forgets_them(start):
    """The best value lies at a cliff: beyond it everything fails."""

    def ours(seed):
        searcher = start("tpe", {"k": Uniform(0.0, 1.0)}, seed=seed)
        for trial in range(48):
            (setting,) = searcher.ask([trial])
            searcher.tell(trial, setting, None if setting["k"] > 0.3 else 1 - setting["k"])
            yield setting["k"] > 0.3

    def theirs(seed):
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        for _ in range(48):
            asked = study.ask()
            value = asked.suggest_float("k", 0, 1)
            failed = value > 0.3
            study.tell(asked, None if failed else 1 - value, optuna.trial.TrialState.FAIL if failed else None)
            yield failed

    late = [sum(sum(list(run(seed))[16:]) for seed in range(4)) / 128 for run in (ours, theirs)]
    assert late[0] < 0.55 < 0.75 < late[1]


class TestGrid:
    def all_of(self, space, points=5):
        return list(combinations(space, points))

    def test_the_product_comes_shuffled_and_then_nothing(self, start):
        space = {"a": Uniform(0.0, 1.0), "b": Choice(("x", "y"))}
        searcher = start("grid", space, points=3)
        settings = searcher.ask(range(4)) + searcher.ask(range(4, 20))
        product = [{"a": a, "b": b} for a in (0.0, 0.5, 1.0) for b in ("x", "y")]
        assert sorted(settings, key=str) == sorted(product, key=str)
        assert settings != product
        assert searcher.ask([20]) == []
        assert start("grid", space, points=3).ask(range(20)) == settings

    def test_a_part_of_a_grid_tries_every_part_of_each_range(self, start):
        space = {key: Uniform(0.0, 1.0) for key in ("a", "b", "c")}
        settings = start("grid", space).ask(range(24))
        assert all(len({setting[key] for setting in settings}) == 5 for key in space)

    def test_points_of_a_log_range_have_equal_factors_and_whole_ones_are_counted_once(self):
        rates = [setting["k"] for setting in self.all_of({"k": Uniform(1e-4, 1.0, log=True)})]
        assert rates == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1, 1.0])
        assert (rates[0], rates[-1]) == (1e-4, 1.0)
        assert [setting["k"] for setting in self.all_of({"k": Uniform(1, 3, whole=True)})] == [1, 2, 3]
        assert [setting["k"] for setting in self.all_of({"k": Uniform(1, 16, True, True)})] == [1, 2, 4, 8, 16]

    def test_one_point_is_the_middle_and_a_normal_gives_quantiles(self):
        assert self.all_of({"k": Uniform(0.0, 1.0)}, 1) == [{"k": 0.5}]
        values = [setting["k"] for setting in self.all_of({"k": Normal(2.0, 1.0)})]
        assert values == pytest.approx([0.718, 1.476, 2.0, 2.524, 3.282], abs=1e-3)

    def test_a_condition_multiplies_only_where_it_holds(self):
        settings = self.all_of({"m": Uniform(0, 1, when=Condition("kind", ("b",))), "kind": Choice(("a", "b"))}, 3)
        assert settings == [{"kind": "a"}, {"m": 0, "kind": "b"}, {"m": 0.5, "kind": "b"}, {"m": 1, "kind": "b"}]

    def test_what_others_have_is_left_to_them_and_numbers_may_start_anywhere(self, start):
        space = {"k": Choice((1, 2, 3, 4))}
        searcher = start("grid", space)
        searcher.pending(40, {"k": 1})
        searcher.tell(41, {"k": 3}, None)
        assert sorted(setting["k"] for setting in searcher.ask([42, 43, 44])) == [2, 4]

    def test_millions_of_combinations_cost_nothing(self, start):
        space = {f"k{place}": Uniform(0.0, 1.0) for place in range(12)}
        begin = time.process_time()
        assert len(start("grid", space).ask(range(10))) == 10
        assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("method", "package", "match"),
    [
        ("gp", "scipy", r'gp needs scipy, which is not installed: pip install "dlcli\[tune\]"'),
        ("cmaes", "cmaes", r'cmaes needs the package cmaes, not installed: pip install "dlcli\[tune\]"'),
    ],
)
def test_a_missing_package_is_told_before_anything_starts(start, monkeypatch, method, package, match):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    with pytest.raises(PluginError, match=match):
        start(method)


def test_optuna_is_silent_and_its_logger_left_as_it_was(start, capfd):
    logger = logging.getLogger("optuna")
    before = logger.level
    best_of(start("tpe", MIXED_RATES), 0, 16, 8)
    assert logger.level == before
    assert capfd.readouterr() == ("", "")


MIXED_RATES = {**VALLEY, "kind": Choice(("a", "b")), "m": Uniform(0, 1, when=Condition("kind", ("b",)))}


def test_a_thousand_trials_are_told_within_half_a_second_and_proposals_are_quick(start):
    settings = start("random", MIXED_RATES).ask(range(1000))
    searcher = start("tpe", MIXED_RATES)
    searcher.ask([2000])  # imports
    begin = time.process_time()
    for trial, setting in enumerate(settings):
        searcher.tell(trial, setting, float(trial % 97))
    searcher.ask([1000])
    assert time.process_time() - begin < 0.5


@pytest.mark.usefixtures("silent_optuna")
def test_a_proposal_costs_little_more_than_optunas(start):
    def ours():
        best_of(start("tpe"), 0, 64, 8)

    def theirs():
        optuna_best(0, 64, optuna.samplers.TPESampler(seed=0))

    def seconds(run):
        begin = time.process_time()
        run()
        return time.process_time() - begin

    ours(), theirs()
    mine, other = (min(seconds(run) for _ in range(3)) for run in (ours, theirs))
    assert (mine - other) / 64 < 0.005
