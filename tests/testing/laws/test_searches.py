import itertools
import random
from typing import ClassVar

import pytest

from dlcli import Search, compose
from dlcli.contracts.randomness import derive
from dlcli.testing.law import Law
from dlcli.testing.laws import searches

COUNTER = itertools.count()


class Searching:
    def __init__(self, space, seed):
        self.space, self.seed, self.told = space, seed, set()

    def ask(self, trials):
        return [self.propose(trial) for trial in trials]

    def propose(self, trial):
        quantile = {key: random.Random(derive(self.seed, key, trial)).random() for key in self.space}
        return compose(self.space, lambda key, way: way.at(quantile[key]))

    def tell(self, trial, setting, score):
        self.told.add(trial)

    def pending(self, trial, setting):
        pass


class Fine(Search):
    name: ClassVar[str] = "fine"
    way: ClassVar[type] = Searching

    def start(self, space, direction, seed, previous=()):
        return self.way(space, seed)


class OutsideTheSpace(Fine):
    class way(Searching):
        def propose(self, trial):
            return {**super().propose(trial), "model.dropout": 0.75}


class ForgetsAKey(Fine):
    class way(Searching):
        def propose(self, trial):
            return {"train.optimizer.lr": 1e-3}


class ForgetsConditions(Fine):
    class way(Searching):
        def propose(self, trial):
            return {**super().propose(trial), "train.optimizer": "adam", "train.optimizer.momentum": 0.9}


class ProposesNothing(Fine):
    class way(Searching):
        def ask(self, trials):
            return []


class ProposesTooMany(Fine):
    class way(Searching):
        def ask(self, trials):
            return super().ask([*trials, max(trials) + 1])


class GivesUpOnFailure(Fine):
    class way(Searching):
        def tell(self, trial, setting, score):
            if score is None:
                raise RuntimeError("a trial failed")


class Unseeded(Fine):
    def start(self, space, direction, seed, previous=()):
        return Searching(space, next(COUNTER))


class CountsItself(Fine):
    class way(Searching):
        def ask(self, trials):
            self.asked = getattr(self, "asked", 0) + len(trials)
            return [self.propose(self.asked - place) for place in range(len(trials))]


BROKEN = [
    (searches.proposes_settings_of_the_space, OutsideTheSpace, "'model.dropout': 0.75, .*not of the space"),
    (searches.proposes_settings_of_the_space, ForgetsAKey, r"proposes {'train.optimizer.lr': 0.001}, which is not"),
    (searches.proposes_settings_of_the_space, ForgetsConditions, "'train.optimizer.momentum': 0.9}, which is not"),
    (searches.proposes_settings_of_the_space, ProposesNothing, "proposes nothing"),
    (searches.proposes_settings_of_the_space, ProposesTooMany, "asked for 3 settings, it proposes 4"),
    (searches.proposes_settings_of_the_space, GivesUpOnFailure, "a trial failed"),
    (searches.searches_the_same_way_with_one_seed, Unseeded, "two searches with one seed propose different"),
    (searches.goes_on_where_it_was, CountsItself, "told of 9 trials, it does not go on as it did"),
    (searches.shares_the_work, CountsItself, "propose 6 different settings in 12 trials"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, RuntimeError), match=match):
        Law(check)(case_of(cls))


def test_a_sound_component_passes(case_of):
    for law in searches.LAWS:
        assert law.binds(Fine())
        law(case_of(Fine))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in searches.LAWS}
