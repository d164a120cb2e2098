from typing import ClassVar

import pytest
from torch import nn

from dlcli import Activation
from dlcli.testing.law import Law
from dlcli.testing.laws import exports


def activation(function):
    """Make an activation of a function of x."""

    class Layer(nn.Module):
        def forward(self, x):
            return function(x)

    class Made(Activation):
        name: ClassVar[str] = "made"

        def build(self, width, feature_dim=1):
            return Layer()

    return Made


@pytest.mark.parametrize(
    ("function", "match"),
    [
        (lambda x: x if x.sum() > 0 else -x, r"\(its layer module\) cannot be exported: it decides by values"),
        (lambda x: x.view(5, *x.shape[1:]), "cannot be exported: its code takes one number of rows alone"),
    ],
)
def test_a_broken_component_fails(case_of, function, match):
    with pytest.raises(AssertionError, match=match):
        Law(exports.exports)(case_of(activation(function)))


def test_a_sound_component_passes(case_of):
    exports.exports(case_of(activation(lambda x: x.sinh())))


def test_every_law_can_fail():
    assert [law.check for law in exports.LAWS] == [exports.exports]
