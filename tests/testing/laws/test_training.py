import itertools
from typing import ClassVar

import pytest
import torch

from dlcli import Averager, Initializer, Optimizer, Schedule
from dlcli.testing.law import Law
from dlcli.testing.laws import training

COUNTER = itertools.count()


class Descent(torch.optim.Optimizer):
    """Plain descent, with what a test wants changed."""

    def __init__(self, parameters, lr, weight_decay, change=lambda parameter, gradient, lr: lr * gradient):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.change = change

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                gradient = parameter.grad + group["weight_decay"] * parameter
                parameter -= self.change(parameter, gradient, group["lr"])


class Fine(Optimizer):
    name: ClassVar[str] = "fine"
    decay: ClassVar[str] = "coupled"

    def build(self, parameters, *, lr, weight_decay):
        return Descent(parameters, lr, weight_decay)


class Ascends(Fine):
    def build(self, parameters, *, lr, weight_decay):
        return Descent(parameters, lr, weight_decay, lambda parameter, gradient, lr: -lr * gradient)


class SkipsBiases(Fine):
    def build(self, parameters, *, lr, weight_decay):
        return Descent(parameters, lr, weight_decay, lambda p, gradient, lr: lr * gradient * (p.ndim > 1))


class TwoGroups(Fine):
    def build(self, parameters, *, lr, weight_decay):
        return Descent([{"params": [parameter]} for parameter in parameters], lr, weight_decay)


class IgnoresRate(Fine):
    def build(self, parameters, *, lr, weight_decay):
        return Descent(parameters, 0.01, weight_decay)


class SquaredRate(Fine):
    def build(self, parameters, *, lr, weight_decay):
        return Descent(parameters, lr, weight_decay, lambda parameter, gradient, lr: lr**2 * gradient)


class SaysDecoupled(Fine):
    """Adds decay to the gradient before taking its sign."""

    decay: ClassVar[str] = "decoupled"

    def build(self, parameters, *, lr, weight_decay):
        return Descent(parameters, lr, weight_decay, lambda parameter, gradient, lr: lr * gradient.sign())


class SaysNone(Fine):
    decay: ClassVar[str] = "none"


class SaysCoupled(Fine):
    def build(self, parameters, *, lr, weight_decay):
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay)


class Forgets(Fine):
    """Remembers momentum outside of its state."""

    def build(self, parameters, *, lr, weight_decay):
        memory = {}

        def change(parameter, gradient, lr):
            memory[id(parameter)] = memory.get(id(parameter), 0) + gradient
            return lr * memory[id(parameter)]

        return Descent(parameters, lr, weight_decay, change)


class Halving(Schedule):
    name: ClassVar[str] = "halving"
    needs_horizon: ClassVar[bool] = True

    def shape(self, step, horizon, history):
        return 1.0 if step < horizon.steps / 2 else 0.5


class SaysNoHorizon(Halving):
    needs_horizon: ClassVar[bool] = False


class Negative(Halving):
    def shape(self, step, horizon, history):
        return 1.0 - step


class AlwaysZero(Halving):
    def shape(self, step, horizon, history):
        return 0.0


class Counting(Halving):
    def shape(self, step, horizon, history):
        return float(next(COUNTER))


class NoWarmUp(Halving):
    def factor(self, step, horizon, history):
        return self.shape(step, horizon, history)


class WarmsUpFromZero(Halving):
    def factor(self, step, horizon, history):
        return super().factor(step, horizon, history) if step >= 10 else (step + 1) / 10


class Mean(Averager):
    name: ClassVar[str] = "mean"

    def weight(self, step, horizon):
        return None if step + 1 < horizon.steps / 2 else 1 / (step + 1)


class LeavesTheEndOut(Mean):
    def weight(self, step, horizon):
        return None if step == horizon.steps - 1 else 0.5


class NeedsAnEpoch(Mean):
    def weight(self, step, horizon):
        return 0.5 if step >= 1 else None


class Overshoots(Mean):
    def weight(self, step, horizon):
        return float(step)


class Never(Mean):
    def weight(self, step, horizon):
        return None


class Forgetful(Mean):
    def weight(self, step, horizon):
        return 1 / (1 + next(COUNTER))


class Normal(Initializer):
    name: ClassVar[str] = "normal"

    def fill(self, parameter, generator):
        parameter.normal_(generator=generator)


class FillsHalf(Normal):
    def fill(self, parameter, generator):
        parameter[: len(parameter) // 2].normal_(generator=generator)


class FillsGlobally(Normal):
    def fill(self, parameter, generator):
        parameter.normal_()


BROKEN = [
    (training.minimizes_a_quadratic, Ascends, "40 steps on a quadratic go from"),
    (training.minimizes_a_quadratic, SkipsBiases, "one step leaves a parameter where it was"),
    (training.has_one_group_with_its_rate, TwoGroups, "builds 2 parameter groups"),
    (training.has_one_group_with_its_rate, IgnoresRate, "built with the rate 0.125, its group has 0.01"),
    (training.moves_in_proportion_to_its_rate, SquaredRate, "a step of rate 0.1 is not a tenth of a step of rate 1"),
    (training.decays_as_it_says, SaysDecoupled, "states decay = 'decoupled', but weight decay does otherwise"),
    (training.decays_as_it_says, SaysNone, "states decay = 'none', but weight decay does otherwise"),
    (training.decays_as_it_says, SaysCoupled, "states decay = 'coupled', but weight decay does otherwise"),
    (training.goes_on_from_its_state, Forgets, "after its state_dict is loaded by a fresh optimizer"),
    (training.gives_finite_factors, Negative, "a factor is -1.0, expected a finite number ≥ 0"),
    (training.gives_finite_factors, AlwaysZero, "all factors of 40 steps are 0"),
    (training.is_a_pure_function, Counting, "depend on the order in which they are asked"),
    (training.warms_up, NoWarmUp, "the factor of step 0 of 10 of a warm-up is 1.0, not 0.1"),
    (training.warms_up, WarmsUpFromZero, "the factor of step 0 of 10 of a warm-up is 0.1, not 0.325"),
    (training.says_rightly_whether_it_needs_the_horizon, SaysNoHorizon, "a longer training begins with other factors"),
    (training.gives_weights_of_an_average, Overshoots, "a weight is 2.0, expected None or a number in"),
    (training.gives_weights_of_an_average, Never, "no step of 40 enters the average"),
    (training.gives_weights_of_an_average, Forgetful, "depend on the order in which they are asked"),
    (training.averages_to_the_end, LeavesTheEndOut, "training of 40 steps, 5 an epoch, the last step does not enter"),
    (training.averages_to_the_end, NeedsAnEpoch, "training of 1 steps, 1 an epoch, the last step does not enter"),
    (training.fills_from_its_generator_alone, FillsHalf, "not every element is filled"),
    (training.fills_from_its_generator_alone, FillsGlobally, "one seed gives different values"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises(AssertionError, match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Fine, Halving, Mean, Normal])
def test_a_sound_component_passes(case_of, cls):
    laws = [law for law in training.LAWS if law.binds(cls())]
    assert laws
    for law in laws:
        law(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in training.LAWS}
