from typing import ClassVar

import pytest
import torch
from torch import nn

from dlcli import Activation, Initializer, Randomized
from dlcli.testing.law import Law
from dlcli.testing.laws import activations


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def activation(function, gain=1.0):
    """Make an activation of a function of x."""

    class Broken(Activation):
        name: ClassVar[str] = "broken"
        output_range: ClassVar[str] = "[0, inf)"
        zero_centred: ClassVar[bool] = False

        @property
        def gain(self):
            return _gain

        def build(self, width, feature_dim=1):
            return Function(function)

    _gain = gain
    return Broken


def needs_two_rows(x):
    if len(x) < 2:
        raise ValueError("needs two rows")
    return x


class DrawsFromElsewhere(Randomized):
    def forward(self, x):
        return x + self.bits(x.shape, x.device).float() + torch.rand(())


class Noisy(Activation):
    name: ClassVar[str] = "noisy"

    def build(self, width, feature_dim=1):
        return DrawsFromElsewhere()


def initializer(fill, suited=None):
    """Make an initializer of what it does to a weight, and of what it is for any activation."""

    class Broken(Initializer):
        name: ClassVar[str] = "broken"

        def suited(self, activation):
            return self if suited is None else suited

        def fill(self, parameter, generator):
            fill(parameter, generator)

    return Broken


BROKEN = [
    (activations.is_finite_far_out, activation(lambda x: x.exp().exp()), "at 50.0: there are NaN or infinite"),
    (activations.is_finite_far_out, activation(lambda x: x.abs().sqrt()), "gradient of .* at 0.0"),
    (activations.takes_a_batch_of_one_in_training, activation(needs_two_rows), "needs two rows"),
    (activations.draws_only_the_bits_that_it_is_given, Noisy, "the same bits give another output"),
    (activations.has_a_gain, activation(torch.relu, gain=0.0), "expected a positive number"),
    (activations.has_a_gain, activation(torch.relu, gain=float("inf")), "the gain is inf"),
    (
        activations.keeps_to_its_range,
        activation(torch.tanh),
        r"output_range is \[0, inf\), but outputs go from -1 to 1",
    ),
    (activations.is_zero_centred_where_it_says, activation(torch.tanh), "zero_centred is False, but the mean over"),
    (
        activations.fills_weights_from_its_generator_alone,
        initializer(lambda weight, generator: weight[0].zero_()),
        r"on a weight \(12, 16\): there are NaN",
    ),
    (
        activations.fills_weights_from_its_generator_alone,
        initializer(lambda weight, generator: weight.normal_()),
        "draws from torch's own stream",
    ),
    (
        activations.fills_weights_from_its_generator_alone,
        initializer(lambda weight, generator: weight.fill_(torch.initial_seed())),
        "two fillings from one seed differ",
    ),
    (activations.suits_any_activation, initializer(nn.init.zeros_, suited="zeros"), "is 'zeros'"),
    (activations.suits_any_activation, initializer(lambda weight, generator: None), "NaN"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, ValueError), match=match):
        Law(check)(case_of(cls))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in activations.LAWS}
