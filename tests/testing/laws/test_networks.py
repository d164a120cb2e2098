import itertools
from typing import ClassVar

import pytest
import torch
from pydantic import Field
from torch import nn

from dlcli import Activation, Architecture, Normalization, PerMember
from dlcli.testing.law import Law
from dlcli.testing.laws import networks

COUNTER = itertools.count()


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x, **keywords):
        return self.function(x)


def activation(function):
    """Make an activation of a module, or of a function of x."""

    class Broken(Activation):
        name: ClassVar[str] = "broken"

        def build(self, width, feature_dim=1):
            return Function(function) if not isinstance(function, type) else function()

    return Broken


class UnusedParameter(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(()))

    def forward(self, x):
        return x.tanh()


class Unseeded(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor(float(next(COUNTER))))

    def forward(self, x):
        return x * self.scale


class CountsInAnAttribute(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = 0

    def forward(self, x):
        self.seen += self.training
        return x * (1 + self.seen)


class SlopeInAnAttribute(Activation):
    name: ClassVar[str] = "broken"
    slope: PerMember = Field(0.1, ge=0, description="slope")

    def build(self, width, feature_dim=1):
        return nn.LeakyReLU(self.slope)


class StructureByNumber(Activation):
    name: ClassVar[str] = "broken"
    slope: PerMember = Field(0.1, ge=0, description="slope")

    def build(self, width, feature_dim=1):
        return nn.PReLU(init=self.slope) if self.slope else nn.ReLU()


class Batch(Normalization):
    name: ClassVar[str] = "broken"

    def build(self, width, feature_dim=1):
        return Function(lambda x: x - x.mean([d for d in range(x.ndim) if d != feature_dim % x.ndim], keepdim=True))


class None_(Normalization):
    name: ClassVar[str] = "broken"

    @property
    def removes_bias(self):
        return True

    def build(self, width, feature_dim=1):
        return nn.Identity()


class OverSteps(Normalization):
    """Subtracts the mean over all steps."""

    name: ClassVar[str] = "broken"

    def build(self, width, feature_dim=1):
        class Centred(nn.Module):
            def forward(self, x):
                return x - x.mean(1, keepdim=True)

        return Centred()


def refusing(message):
    """Make a normalization that refuses every layout with a message."""

    def refuse(x):
        raise ValueError(message)

    class Refusing(Normalization):
        name: ClassVar[str] = "broken"

        def build(self, width, feature_dim=1):
            return Function(refuse)

    return Refusing


class Network(nn.Module):
    def __init__(self, io, finish):
        super().__init__()
        self.head = nn.Linear(io.inputs[0].shape[0], io.outputs)
        self.finish = finish

    def forward(self, x, *, conditions=(), lengths=None, mask=None):
        return self.finish(self.head(x))


class Bare(Network):
    def forward(self, x, *, conditions, lengths, mask):
        return self.head(x)


class Linear(Architecture):
    name: ClassVar[str] = "linear_of_features"

    def build(self, io):
        if [field.kind for field in io.inputs] != ["features"] or io.conditions:
            raise ValueError("takes one input of features")
        return Network(io, nn.Identity())


class Probabilities(Linear):
    def build(self, io):
        super().build(io)
        return Network(io, nn.Softmax(-1))


class OwnSoftmax(nn.Module):
    def forward(self, x):
        powers = x.exp()
        return powers / powers.sum(-1, keepdim=True)


class OwnProbabilities(Linear):
    def build(self, io):
        super().build(io)
        return Network(io, OwnSoftmax())


class NoDefaults(Linear):
    def build(self, io):
        super().build(io)
        return Bare(io, nn.Identity())


class RefusesAll(Linear):
    def build(self, io):
        raise ValueError("wants something else")


class RefusesSilently(Linear):
    def build(self, io):
        raise ValueError


class Crashes(Linear):
    def build(self, io):
        raise RuntimeError("mat1 and mat2")


BROKEN = [
    (networks.keeps_its_shape_and_dtype, activation(lambda x: x[:, :1]), r"\(5, 1\), expected \(5, 16\)"),
    (networks.keeps_its_shape_and_dtype, activation(lambda x: x.float()), "float64 becomes torch.float32"),
    (networks.keeps_its_shape_and_dtype, activation(lambda x: x.double()), "expected torch.float32"),
    (networks.keeps_its_shape_and_dtype, activation(lambda x: x / 0), "NaN or infinite"),
    (networks.keeps_its_shape_and_dtype, RefusesAll, "builds for none of the standard inputs"),
    (networks.keeps_its_shape_and_dtype, RefusesSilently, "without saying why"),
    (networks.keeps_its_shape_and_dtype, Crashes, "mat1 and mat2"),
    (networks.keeps_its_shape_and_dtype, refusing("only for volumes"), "refuses every layout"),
    (networks.keeps_its_shape_and_dtype, refusing(" "), "without saying why"),
    (networks.gives_finite_gradients, activation(UnusedParameter), "gradient of slope is missing"),
    (networks.gives_finite_gradients, activation(lambda x: x + (0 * x).sqrt()), "gradient of input 0: there are NaN"),
    (networks.same_seed_gives_the_same_output, activation(Unseeded), "scale differs between two builds"),
    (networks.evaluation_is_deterministic, activation(nn.functional.dropout), "two evaluations differ"),
    (networks.evaluation_is_deterministic, activation(lambda x: x.clamp_(0)), "changed its input or state"),
    (networks.a_batch_of_one_is_its_row, activation(lambda x: x - x.mean(0)), "differs when it is alone"),
    (networks.its_state_can_be_saved, activation(CountsInAnAttribute), "after its state_dict is loaded"),
    (networks.per_member_numbers_are_buffers, SlopeInAnAttribute, "keep the number in a buffer"),
    (networks.per_member_numbers_are_buffers, StructureByNumber, "parameters and buffers are other"),
    (networks.gives_logits, Probabilities, "return logits, not probabilities: the outputs end in a softmax"),
    (networks.gives_logits, OwnProbabilities, "return logits, not probabilities: the outputs add up to 1"),
    (networks.takes_the_keywords_of_its_contract, NoDefaults, "missing 3 required keyword-only arguments"),
    (networks.says_rightly_whether_it_removes_a_bias, Batch, "removes_bias is False, but on .* a bias has no effect"),
    (networks.keeps_steps_apart, OverSteps, "other values in the last steps change what the first ones become"),
    (networks.says_rightly_whether_it_removes_a_bias, None_, "removes_bias is True, but on .* a bias has an effect"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_component_fails(case_of, check, cls, match):
    caught = (AssertionError, ValueError, RuntimeError, TypeError, pytest.fail.Exception)
    with pytest.raises(caught, match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("law", [law for law in networks.LAWS if "architecture" in law.kinds], ids=lambda law: law.name)
def test_a_sound_network_passes(case_of, law):
    law(case_of(Linear))


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in networks.LAWS}
