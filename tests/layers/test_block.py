from functools import partial
from typing import ClassVar

import pytest
import torch
from torch import nn

from dlcli import Activation, AffineBlock, Dropout, Normalization


class Gated(Activation):
    """Needs twice its output's width."""

    name: ClassVar[str] = "gated"

    @property
    def input_multiple(self):
        return 2

    def build(self, width, feature_dim=1):
        return nn.GLU(dim=feature_dim)


class Plain(Activation):
    """Does nothing, and notes how it was built."""

    name: ClassVar[str] = "plain"

    def build(self, width, feature_dim=1):
        module = nn.Identity()
        module.built = (width, feature_dim)
        return module


class Norm(Normalization):
    """Batch normalization, which removes biases, or nothing."""

    name: ClassVar[str] = "norm"
    removes: bool = False

    @property
    def removes_bias(self):
        return self.removes

    def build(self, width, feature_dim=1):
        return nn.BatchNorm1d(width) if self.removes else nn.Identity()


LINEAR = partial(nn.Linear, 6)


@pytest.mark.parametrize("removes", [True, False])
def test_no_bias_is_built_where_the_normalization_removes_it(removes):
    block = AffineBlock(LINEAR, 5, normalization=Norm(removes=removes), activation=Plain())
    assert (block.affine.bias is None) is removes
    assert block(torch.randn(3, 6)).shape == (3, 5)


def test_an_activation_that_needs_more_inputs_widens_the_affine_map():
    block = AffineBlock(LINEAR, 5, normalization=Norm(removes=True), activation=Gated())
    assert block.affine.out_features == block.normalization.num_features == 10
    assert block(torch.randn(3, 6)).shape == (3, 5)


def test_order_names_and_arguments():
    block = AffineBlock(LINEAR, 5, normalization=Norm(), activation=Plain(), dropout=0.5, feature_dim=-1)
    assert [name for name, _ in block.named_children()] == ["affine", "normalization", "activation", "dropout"]
    assert block.activation.built == (5, -1)
    assert isinstance(block.dropout, Dropout)
    assert block.dropout.rate == 0.5


def test_dropout_is_built_even_at_rate_zero():
    block = AffineBlock(LINEAR, 5, normalization=Norm(), activation=Plain())
    assert isinstance(block.dropout, Dropout)
