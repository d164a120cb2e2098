import itertools
import random
from typing import ClassVar

import pytest
import torch
from torch import nn

from dlcli import Combination, Ensemble, MemberSpecification, Search, SingleMember, compose
from dlcli.contracts.randomness import derive
from dlcli.testing.law import Law
from dlcli.testing.laws import populations

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


class Averages(nn.Module):
    def forward(self, outputs):
        return outputs.mean(0)


class Bagging(Ensemble):
    name: ClassVar[str] = "bagging_"

    def plan(self, context):
        generator = context.generator("rows")
        rows = context.training_rows
        picked = [rows[torch.randint(len(rows), (len(rows),), generator=generator)] for _ in range(3)]
        results = yield [MemberSpecification(f"bag-{place}", training_rows=rows) for place, rows in enumerate(picked)]
        return Combination(tuple(result.identity for result in results))

    def combine(self, settings, state):
        return Averages()


class TrainsOnValidation(Bagging):
    def plan(self, context):
        yield [MemberSpecification("all", training_rows=torch.arange(18))]
        return SingleMember("all")


class OneName(Bagging):
    def plan(self, context):
        yield [MemberSpecification("same"), MemberSpecification("same")]
        return SingleMember("same")


class ReturnsNothing(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]


class Endless(Bagging):
    def plan(self, context):
        for round_ in itertools.count():
            yield [MemberSpecification(f"round-{round_}")]


class NamesByTime(Bagging):
    def plan(self, context):
        yield [MemberSpecification(f"member-{next(COUNTER)}")]
        return SingleMember("member-0")


class RowsByGlobalStream(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one", training_rows=torch.randperm(12)[:6])]
        return SingleMember("one")


class CombinesToMembers(Bagging):
    def combine(self, settings, state):
        return nn.Identity()


class CombinesToNan(Bagging):
    def combine(self, settings, state):
        class LogOfMean(Averages):
            def forward(self, outputs):
                return super().forward(outputs).log()

        return LogOfMean()


BROKEN = [
    (populations.proposes_settings_of_the_space, OutsideTheSpace, "'model.dropout': 0.75, .*not of the space"),
    (populations.proposes_settings_of_the_space, ForgetsAKey, r"proposes {'train.optimizer.lr': 0.001}, which is not"),
    (populations.proposes_settings_of_the_space, ForgetsConditions, "'train.optimizer.momentum': 0.9}, which is not"),
    (populations.proposes_settings_of_the_space, ProposesNothing, "proposes nothing"),
    (populations.proposes_settings_of_the_space, ProposesTooMany, "asked for 3 settings, it proposes 4"),
    (populations.proposes_settings_of_the_space, GivesUpOnFailure, "a trial failed"),
    (populations.searches_the_same_way_with_one_seed, Unseeded, "two searches with one seed propose different"),
    (populations.goes_on_where_it_was, CountsItself, "told of 9 trials, it does not go on as it did"),
    (populations.shares_the_work, CountsItself, "propose 6 different settings in 12 trials"),
    (populations.plans_members_of_training_rows, TrainsOnValidation, "trains on rows that are not training rows"),
    (populations.plans_members_of_training_rows, OneName, "two members have one identity"),
    (populations.plans_members_of_training_rows, ReturnsNothing, "the plan returns None"),
    (populations.plans_members_of_training_rows, Endless, "the plan has not ended after 50 rounds"),
    (populations.plans_the_same_again, NamesByTime, "a plan asked twice wants"),
    (populations.plans_the_same_again, RowsByGlobalStream, "training_rows of one differs when asked again"),
    (populations.combines_into_outputs, CombinesToMembers, r"combined into \(3, 6, 1\)"),
    (populations.combines_into_outputs, CombinesToNan, "there are NaN"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, RuntimeError), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Fine, Bagging])
def test_a_sound_component_passes(case_of, cls):
    laws = [law for law in populations.LAWS if law.binds(cls())]
    assert laws
    for law in laws:
        law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in populations.LAWS}
