from typing import ClassVar

import pytest
import torch
from pydantic import Field
from torch.nn import functional

from dlcli import Loss, PerMember, Task
from dlcli.testing.law import Law
from dlcli.testing.laws import losses


class Fine(Loss):
    name: ClassVar[str] = "fine"
    tasks: ClassVar[frozenset] = frozenset({Task.MULTICLASS})

    def values(self, output, target):
        return functional.cross_entropy(output.movedim(-1, 1), target, reduction="none")


class OwnUnit(Loss):
    name: ClassVar[str] = "own_unit"
    tasks: ClassVar[frozenset] = frozenset({Task.REGRESSION})

    margin: PerMember = Field(0.5, ge=0, description="what costs nothing, in the target's unit")

    def values(self, output, target):
        return torch.relu((output - target).abs() - self.margin).square().mean(-1)


class Reduced(Fine):
    def values(self, output, target):
        return super().values(output, target).mean()


class Doubled(Fine):
    def mean(self, output, target):
        return 2 * self.values(output, target).mean()


class Centred(Fine):
    def values(self, output, target):
        values = super().values(output, target)
        return values - values.mean()


class BalancedWeights(Fine):
    def weights(self, target):
        return 1.0 / torch.bincount(target, minlength=3)[target]


class NegativeWeights(Fine):
    def weights(self, target):
        return -1.0 - target


class Naive(Fine):
    def values(self, output, target):
        return functional.nll_loss(output.movedim(-1, 1).softmax(1).log(), target, reduction="none")


class Backwards(Fine):
    def values(self, output, target):
        return -super().values(output, target)


class Flat(Fine):
    def values(self, output, target):
        return super().values(output * 0, target)


class Branching(Fine):
    strength: PerMember = Field(0.5, ge=0, description="strength")

    def values(self, output, target):
        values = super().values(output, target)
        return values * self.strength if self.strength else values


class ItemWeights(Fine):
    def weights(self, target):
        return torch.ones(len(target)) * target.max().item()


class Picky(Fine):
    def check(self, task, outputs):
        raise ValueError("never")


class Gaussian(Loss):
    """Mean and logarithm of the variance, in turn."""

    name: ClassVar[str] = "gaussian"
    tasks: ClassVar[frozenset] = frozenset({Task.REGRESSION})
    outputs_per_target: ClassVar[int] = 2

    def values(self, output, target):
        logarithm = output[..., 1::2].clamp(-10, 200)
        return (logarithm + (target - output[..., ::2]).square() * torch.exp(-logarithm)).mean(-1)

    def prediction(self, output):
        return output[..., ::2]

    def spread(self, output):
        return torch.exp(0.5 * output[..., 1::2])

    def own_units(self, offset, scale):
        pairs = (offset, 2 * scale.log()), (scale, torch.ones_like(scale))
        return tuple(torch.stack(pair, -1).flatten() for pair in pairs)


class All(Gaussian):
    def prediction(self, output):
        return output


class Logarithms(Gaussian):
    def spread(self, output):
        return output[..., 1::2]


class Alike(Gaussian):
    def own_units(self, offset, scale):
        return offset.repeat(2), scale.repeat(2)


class Exploding(Gaussian):
    def values(self, output, target):
        return (output[..., 1::2] + (target - output[..., ::2]).square() / output[..., 1::2].exp()).mean(-1)


class Swapped(Gaussian):
    def prediction(self, output):
        return output[..., 1::2]


class Deciding(Gaussian):
    def prediction(self, output):
        return output[..., ::2] if output.sum() > -1e9 else output[..., 1::2]


BROKEN = [
    (losses.gives_one_value_a_sample, Reduced, r"values are \(\), expected \(8,\)"),
    (losses.its_mean_is_the_mean_of_its_values, Doubled, r"mean\(\) is not the mean of values\(\)"),
    (losses.a_sample_of_weight_zero_does_not_count, Centred, "value depends on the rows beside it"),
    (losses.a_sample_of_weight_zero_does_not_count, BalancedWeights, "weight depends on the rows beside it"),
    (losses.a_sample_of_weight_zero_does_not_count, NegativeWeights, "weights are negative"),
    (losses.is_finite_for_outputs_far_out, Naive, "at outputs of ±100 or exactly the target: there are NaN"),
    (losses.prefers_the_target, Backwards, "right outputs cost -"),
    (losses.asks_the_same_of_scaled_targets, OwnUnit, "on a scaled target it asks something else"),
    (losses.gives_finite_gradients, Flat, "its gradient is zero everywhere"),
    (losses.stacks, Branching, "vmap"),
    (losses.its_weights_stack, ItemWeights, "vmap"),
    (losses.fits_its_tasks, Picky, "for multiclass: its defaults do not fit 3 outputs"),
    (losses.is_finite_for_outputs_far_out, Exploding, "at outputs of ±100 or exactly the target: there are NaN"),
    (losses.prefers_the_target, Swapped, "outputs that cost less predict worse"),
    (losses.predicts_each_target, All, r"predictions are \(8, 4\), expected \(8, 2\)"),
    (losses.predicts_each_target, Logarithms, "spreads are not above 0"),
    (losses.answers_in_own_units, Alike, "predictions in own units are not those of scaled targets"),
    (losses.its_prediction_stacks, Deciding, "vmap"),
]


@pytest.mark.parametrize(("check", "cls", "match"), BROKEN)
def test_a_broken_loss_fails(case_of, check, cls, match):
    with pytest.raises((AssertionError, RuntimeError), match=match):
        Law(check)(case_of(cls))


@pytest.mark.parametrize("cls", [Fine, Gaussian])
@pytest.mark.parametrize("law", losses.LAWS, ids=lambda law: law.name)
def test_a_sound_loss_passes(case_of, law, cls):
    case = case_of(cls)
    if law.binds(case.component):
        law(case)


def test_every_law_can_fail():
    assert {check for check, _, _ in BROKEN} == {law.check for law in losses.LAWS}
