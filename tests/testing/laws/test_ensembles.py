import itertools
from typing import ClassVar

import pytest
import torch
from torch import nn

from dlcli import AveragedWeights, Combination, Ensemble, MeanOfMembers, MemberSpecification, SingleMember, Task
from dlcli.testing.law import Law
from dlcli.testing.laws import ensembles

COUNTER = itertools.count()


class Bagging(Ensemble):
    name: ClassVar[str] = "bagging_"

    def plan(self, context):
        generator = context.generator("rows")
        rows = context.training_rows
        picked = [rows[torch.randint(len(rows), (len(rows),), generator=generator)] for _ in range(3)]
        results = yield [MemberSpecification(f"bag-{place}", training_rows=rows) for place, rows in enumerate(picked)]
        return Combination(tuple(result.identity for result in results))

    def combine(self, task, settings, state):
        return MeanOfMembers(task, state.get("weights"))


class OfGiven(Bagging):
    takes: ClassVar[str] = "given"

    def plan(self, context):
        yield from ()
        return Combination(tuple(each.identity for each in context.given))


class OfOneGiven(OfGiven):
    def plan(self, context):
        if len(context.given) != 1:
            raise ValueError("one model, please")
        return (yield from super().plan(context))


class OfOneTarget(Bagging):
    def plan(self, context):
        if context.task is Task.REGRESSION and context.outputs != 1:
            raise ValueError("one target, please")
        return (yield from super().plan(context))


class TrainsOnValidation(Bagging):
    def plan(self, context):
        yield [MemberSpecification("all", training_rows=torch.cat([context.training_rows, context.validation_rows]))]
        return SingleMember("all")


class ChoosesOnTestRows(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one", validation_rows=torch.arange(context.rows))]
        return SingleMember("one")


class OneName(Bagging):
    def plan(self, context):
        yield [MemberSpecification("same"), MemberSpecification("same")]
        return SingleMember("same")


class Endless(Bagging):
    def plan(self, context):
        for round_ in itertools.count():
            yield [MemberSpecification(f"round-{round_}")]


class AsksTargets(Bagging):
    def plan(self, context):
        context.target(torch.arange(context.rows))
        return (yield from super().plan(context))


class AsksOutputs(OfGiven):
    def plan(self, context):
        context.outputs_of(context.given[0].identity, torch.tensor([context.rows - 1]))
        return (yield from super().plan(context))


class ScoresOnTestRows(OfGiven):
    def plan(self, context):
        context.score(torch.zeros(1, context.outputs), torch.tensor([context.rows - 1]))
        return (yield from super().plan(context))


class ReturnsNothing(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]


class NamesAStranger(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(("one", "two"))


class TwiceTheSame(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(("one", "one"))


class Nobody(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(())


class OtherWeights(Bagging):
    def plan(self, context):
        (result,) = yield [MemberSpecification("one")]
        doubled = {name: tensor.double() for name, tensor in result.state.items()}
        return AveragedWeights(doubled, like="one")


class NamesByTime(Bagging):
    def plan(self, context):
        (result,) = yield [MemberSpecification(f"member-{next(COUNTER)}")]
        return SingleMember(result.identity)


class RowsByGlobalStream(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one", training_rows=torch.randperm(12)[:6])]
        return SingleMember("one")


class FedByGlobalStream(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one", fed={"more": torch.rand(context.rows, 2)})]
        return SingleMember("one")


class WeightsByGlobalStream(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(("one",), {"weights": torch.rand(1)})


class SettingsByTime(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(("one",), settings={"count": next(COUNTER)})


class NeedsValidation(Bagging):
    def plan(self, context):
        if context.validation_rows is None:
            raise ValueError("needs validation rows")
        return (yield from super().plan(context))


class SaysSo(NeedsValidation):
    needs_validation: ClassVar[bool] = True


class CombinesToMembers(Bagging):
    def combine(self, task, settings, state):
        return nn.Identity()


class CombinesToNan(Bagging):
    def combine(self, task, settings, state):
        class LogOfMean(nn.Module):
            def forward(self, outputs):
                return outputs.mean(0).log()

        return LogOfMean()


class OverflowsWhenSure(Bagging):
    def combine(self, task, settings, state):
        class Odds(nn.Module):
            def forward(self, outputs):
                return outputs.mean(0).exp().square()

        return Odds()


class CombinesInDouble(Bagging):
    def combine(self, task, settings, state):
        class Double(nn.Module):
            def forward(self, outputs):
                return outputs.double().mean(0)

        return Double()


class LooksAtOtherRows(Bagging):
    def combine(self, task, settings, state):
        class Centred(nn.Module):
            def forward(self, outputs):
                mean = outputs.mean(0)
                return mean - mean.mean(0)

        return Centred()


class SettingsOfTensors(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(("one",), settings={"weights": torch.ones(1)})


class SettingsWithNumbersAsKeys(Bagging):
    def plan(self, context):
        yield [MemberSpecification("one")]
        return Combination(("one",), settings={"shift": {0: 1.0}})

    def combine(self, task, settings, state):
        class Shifted(nn.Module):
            def forward(self, outputs):
                return outputs.mean(0) + settings["shift"].get(0, 0.0)

        return Shifted()


BROKEN = [
    (ensembles.plans_members_of_training_rows, TrainsOnValidation, "training_rows of all are more than its context's"),
    (ensembles.plans_members_of_training_rows, ChoosesOnTestRows, "validation_rows of one are more than its context's"),
    (ensembles.plans_members_of_training_rows, OneName, "two members have one identity"),
    (ensembles.plans_members_of_training_rows, Endless, "the plan has not ended after 100 rounds"),
    (ensembles.asks_for_no_test_rows, AsksTargets, r"asks for rows \[36, 37, 38, 39, 40, 41\], which are neither"),
    (ensembles.asks_for_no_test_rows, AsksOutputs, r"of models that exist: asks for rows \[41\], which are neither"),
    (ensembles.asks_for_no_test_rows, ScoresOnTestRows, r"of models that exist: asks for rows \[41\]"),
    (ensembles.answers_with_members_that_there_are, ReturnsNothing, "the plan returns None"),
    (ensembles.answers_with_members_that_there_are, NamesAStranger, "the outcome names two, but there are one"),
    (ensembles.answers_with_members_that_there_are, TwiceTheSame, "a member is in the combination twice"),
    (ensembles.answers_with_members_that_there_are, Nobody, "the combination has no members"),
    (ensembles.answers_with_members_that_there_are, OtherWeights, "the weights have the form .*float64"),
    (ensembles.plans_the_same_again, NamesByTime, "a plan asked twice wants"),
    (ensembles.plans_the_same_again, RowsByGlobalStream, "one differs when asked again, in training_rows"),
    (ensembles.plans_the_same_again, FedByGlobalStream, "one differs when asked again, in fed, in more"),
    (ensembles.plans_the_same_again, WeightsByGlobalStream, "the outcome differs when asked again, in state"),
    (ensembles.plans_the_same_again, SettingsByTime, "the outcome differs when asked again, in settings"),
    (
        ensembles.plans_without_validation_rows,
        NeedsValidation,
        "needs_validation is False, but without them it refuses",
    ),
    (ensembles.combines_into_outputs, CombinesToMembers, r"combined into \(3, 24, 1\)"),
    (ensembles.combines_into_outputs, CombinesToNan, "there are NaN"),
    (ensembles.combines_into_outputs, OverflowsWhenSure, "of members that are sure: there are NaN or infinite"),
    (ensembles.combines_into_outputs, CombinesInDouble, "combined into torch.float64, expected torch.float32"),
    (ensembles.combines_into_outputs, LooksAtOtherRows, "a row's outputs depend on the rows beside it"),
    (ensembles.combines_the_same_after_writing, SettingsOfTensors, "not JSON serializable"),
    (
        ensembles.combines_the_same_after_writing,
        SettingsWithNumbersAsKeys,
        "written and read, it combines into other outputs",
    ),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, TypeError), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Bagging, OfGiven, OfOneGiven, OfOneTarget, SaysSo])
def test_a_sound_component_passes(case_of, cls):
    for law in ensembles.LAWS:
        assert law.binds(cls())
        law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in ensembles.LAWS}
