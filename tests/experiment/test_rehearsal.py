"""What one row through the network shows before training."""

from dataclasses import replace
from typing import ClassVar, Literal

import pytest
from torch import nn

from dlcli import Architecture, Task
from dlcli.errors import RecipeError
from dlcli.experiment.members import plan_members
from dlcli.experiment.prepare import read_data
from dlcli.experiment.rehearsal import check_member
from dlcli.experiment.settle import settle
from dlcli.recipe.load import load_recipe

LAST = {
    "softmax": lambda: nn.Softmax(-1),
    "sigmoid": lambda: nn.Sequential(nn.Sigmoid(), nn.Unflatten(-1, (1, -1)), nn.Flatten()),
    "tanh": nn.Tanh,
    "log_softmax": lambda: nn.LogSoftmax(-1),
    "within": lambda: nn.Sequential(nn.Sigmoid(), nn.LazyLinear(10)),
}


class Ending(Architecture):
    """An affine map with something after it."""

    name: ClassVar[str] = "ending"
    last: Literal["softmax", "sigmoid", "tanh", "log_softmax", "within"]

    def build(self, io):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, io.outputs), LAST[self.last]())


@pytest.fixture
def ending(plugins, recipe):
    """A member whose network ends in something."""
    checked = load_recipe(recipe(), plugins.registry)
    dataset = read_data(checked)
    (member,) = plan_members(settle(checked, dataset, plugins.registry), dataset).members
    return lambda last, **changes: replace(member, architecture=Ending(last=last), **changes)


@pytest.mark.parametrize("last", ["softmax", "sigmoid"])
def test_probabilities_are_not_taken_for_logits(ending, last):
    message = (
        f"ends in a {last}, but must answer logits: the loss cross_entropy, metrics and predictions make probabilities"
    )
    with pytest.raises(RecipeError, match=message):
        check_member(ending(last))


def test_logarithms_of_probabilities_are_logits_of_several_classes_alone(ending):
    member = ending("log_softmax")
    with pytest.raises(RecipeError, match="ends in a log-softmax, but must answer logits"):
        check_member(replace(member, io=replace(member.io, task=Task.MULTILABEL)))


@pytest.mark.parametrize("last", ["tanh", "log_softmax", "within"])
def test_other_ends_are_left_alone(ending, last):
    check_member(ending(last))


def test_targets_may_lie_between_zero_and_one(ending):
    member = ending("sigmoid")
    check_member(replace(member, io=replace(member.io, task=Task.REGRESSION)))
