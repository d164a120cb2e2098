import itertools
from typing import ClassVar

import pytest
import torch
from pydantic import Field

from dlcli import MixedBatch, PerMember, Regularizer
from dlcli.testing.law import Law
from dlcli.testing.laws import regularizers

COUNTER = itertools.count()


class Fine(Regularizer):
    """Uses every method."""

    name: ClassVar[str] = "fine"
    activations: ClassVar[str | None] = "*.activation"
    strength: PerMember = Field(0.1, ge=0, le=1, description="strength")

    def draw(self, shapes, generator):
        return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}

    def mix(self, inputs, targets, weight, noise):
        place = torch.arange(len(targets))
        partner = torch.where((weight > 0) & (weight.flip(0) > 0), place.flip(0), place)
        mixed = tuple(x + self.strength * (x[partner] - x) for x in inputs)
        return MixedBatch(mixed, (targets, targets[partner]), torch.as_tensor(1 - self.strength))

    def parameters(self, parameters, noise):
        return {name: value + self.strength * noise[name] for name, value in parameters.items()}

    def penalty(self, parameters, activations):
        values = (*parameters.values(), *activations.values())
        return self.strength * torch.stack([value.square().sum() for value in values]).sum()

    def activity(self, activations):
        return self.strength * sum(value.flatten(1).square().sum(1) for value in activations.values())

    def gradients(self, gradients, parameters):
        return {name: value.clamp(-1, 1) for name, value in gradients.items()}

    def project(self, parameters):
        return {name: value.clamp(-1, 1) for name, value in parameters.items()}

    def stop(self, history):
        return "enough" if len(history.records) > 9 else None


class Idle(Regularizer):
    name: ClassVar[str] = "idle"


class DrawsGlobally(Fine):
    def draw(self, shapes, generator):
        return {name: torch.randn(shape) for name, shape in shapes.items()}


class DrawsUnseeded(Fine):
    def draw(self, shapes, generator):
        return {name: torch.full(shape, float(next(COUNTER))) for name, shape in shapes.items()}


class CropsBatch(Fine):
    def mix(self, inputs, targets, weight, noise):
        return MixedBatch(tuple(x[..., 1:] for x in inputs), (targets,))


class ForgetsWeight(Fine):
    def mix(self, inputs, targets, weight, noise):
        return MixedBatch(inputs, (targets, targets))


class HeavyWeight(Fine):
    def mix(self, inputs, targets, weight, noise):
        return MixedBatch(inputs, (targets, targets), torch.tensor(1.5))


class BatchInPlace(Fine):
    def mix(self, inputs, targets, weight, noise):
        return MixedBatch(tuple(x.mul_(2) for x in inputs), (targets,))


class OneHotTarget(Fine):
    def mix(self, inputs, targets, weight, noise):
        return MixedBatch(inputs, (targets.unsqueeze(-1),))


class MixesHeldOutRows(Regularizer):
    name: ClassVar[str] = "mixes_held_out_rows"

    def batch(self, inputs, targets, noise):
        return MixedBatch(tuple((x + x.flip(0)) / 2 for x in inputs), (targets, targets.flip(0)), torch.tensor(0.5))


class MixesHeldOutTargets(Fine):
    def mix(self, inputs, targets, weight, noise):
        return MixedBatch(inputs, (targets, targets.flip(0)), torch.tensor(0.5))


class LosesParameter(Fine):
    def parameters(self, parameters, noise):
        return dict(list(parameters.items())[1:])


class ParametersInPlace(Fine):
    def parameters(self, parameters, noise):
        return {name: value.data.add_(1) + value for name, value in parameters.items()}


class NormPenalty(Fine):
    def penalty(self, parameters, activations):
        return torch.stack([value.square().sum().sqrt() for value in parameters.values()]).sum()


class VectorPenalty(Fine):
    def penalty(self, parameters, activations):
        return torch.stack([value.square().sum() for value in parameters.values()])


class ConstantPenalty(Fine):
    def penalty(self, parameters, activations):
        return torch.ones((), requires_grad=True) * 2


class ActivityOfTheBatch(Fine):
    def activity(self, activations):
        return sum(value.square().sum() for value in activations.values())


class ActivityOfOtherRows(Fine):
    def activity(self, activations):
        return sum((value - value.mean(0)).flatten(1).square().sum(1) for value in activations.values())


class DividesGradients(Fine):
    def gradients(self, gradients, parameters):
        return {name: value / value.norm() for name, value in gradients.items()}


class GradientsInPlace(Fine):
    def gradients(self, gradients, parameters):
        return {name: value.mul_(0.5) for name, value in gradients.items()}


class ProjectsToDouble(Fine):
    def project(self, parameters):
        return {name: value.double() for name, value in parameters.items()}


class ProjectsInPlace(Fine):
    def project(self, parameters):
        return {name: value.clamp_(-1, 1) for name, value in parameters.items()}


class StopsByCount(Fine):
    def stop(self, history):
        return "enough" if next(COUNTER) % 7 == 3 else None


class StopsWithTrue(Fine):
    def stop(self, history):
        return len(history.records) > 2 or None


class Branches(Fine):
    def penalty(self, parameters, activations):
        return super().penalty(parameters, activations) if self.strength else torch.zeros(())


class OfTheWholeStack(Fine):
    def project(self, parameters):
        return {name: value * value.sum().item() for name, value in parameters.items()}


BROKEN = [
    (regularizers.does_something, Idle, "overrides none of batch, mix, parameters"),
    (regularizers.draws_from_its_generator_alone, DrawsGlobally, "draw uses torch's global stream"),
    (regularizers.draws_from_its_generator_alone, DrawsUnseeded, "draw, given one seed twice, changes x"),
    (regularizers.changes_a_batch_into_a_batch, CropsBatch, r"is \(6, 1, 8, 7\), given \(6, 1, 8, 8\)"),
    (regularizers.changes_a_batch_into_a_batch, ForgetsWeight, "returns 2 targets without a weight"),
    (regularizers.changes_a_batch_into_a_batch, HeavyWeight, r"expected 0-d or \(6,\), in \[0, 1\]"),
    (regularizers.changes_a_batch_into_a_batch, BatchInPlace, "batch changes what it was given in place"),
    (regularizers.changes_a_batch_into_a_batch, OneHotTarget, r"batch of target is \(6, 1\), given \(6,\)"),
    (regularizers.learns_nothing_from_rows_that_do_not_count, MixesHeldOutRows, "that count 0 come into rows"),
    (regularizers.learns_nothing_from_rows_that_do_not_count, MixesHeldOutTargets, "that count 0 come into rows"),
    (regularizers.keeps_parameters_like_parameters, LosesParameter, "parameters returns"),
    (regularizers.keeps_parameters_like_parameters, ParametersInPlace, "parameters changes .* in place"),
    (regularizers.penalty_is_a_finite_number, NormPenalty, "gradient of the penalty at zero: there are NaN"),
    (regularizers.penalty_is_a_finite_number, VectorPenalty, r"the penalty is \(3,\), expected a 0-d tensor"),
    (regularizers.penalty_is_a_finite_number, ConstantPenalty, "neither on parameters nor on activations"),
    (regularizers.activity_is_a_number_of_each_row, ActivityOfTheBatch, r"the activity is \(\), expected one number a"),
    (regularizers.activity_is_a_number_of_each_row, ActivityOfOtherRows, "depends on other rows"),
    (regularizers.keeps_gradients_like_gradients, DividesGradients, "gradients of .*: there are NaN"),
    (regularizers.keeps_gradients_like_gradients, GradientsInPlace, "gradients changes .* in place"),
    (regularizers.projects_parameters_onto_parameters, ProjectsToDouble, "is torch.float64, given torch.float32"),
    (regularizers.projects_parameters_onto_parameters, ProjectsInPlace, "project changes .* in place"),
    (regularizers.stops_by_the_history_alone, StopsByCount, "stop depends on when it is asked"),
    (regularizers.stops_by_the_history_alone, StopsWithTrue, "stop returns True, expected a reason or None"),
    (regularizers.stacks, Branches, "vmap"),
    (regularizers.stacks, OfTheWholeStack, "vmap"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_regularizer_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, RuntimeError), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("law", regularizers.LAWS, ids=lambda law: law.name)
def test_a_sound_regularizer_passes(case_of, law):
    law(case_of(Fine))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in regularizers.LAWS}


def test_a_law_binds_only_those_that_override_its_method():
    bound = {law.name for law in regularizers.LAWS if law.binds(Idle())}
    assert bound == {"does_something"}
