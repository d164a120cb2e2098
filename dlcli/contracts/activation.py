"""The contract of an activation."""

from abc import abstractmethod
from typing import ClassVar, Literal, TypeAlias

from torch import nn

from dlcli.contracts.component import Component

Initialization: TypeAlias = Literal[
    "kaiming_normal",
    "kaiming_uniform",
    "xavier_normal",
    "xavier_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
]
"""Built-in initializers that an activation may name as the one that suits it."""


class Activation(Component):
    """A nonlinearity between layers; knows its formula, where its gradient is lost, and how its weights should start.

    Class attributes: `formula` and `gradient` as text in x; `output_range` as text; `zero_centred`, whether outputs
    spread around zero: their mean is 0 for x ~ N(0, 1); `saturates`, where the gradient vanishes or dies ("nowhere"
    where it does not); `initialization`, the built-in initializer that suits the weights before it, which `init =
    "auto"` takes.
    """

    kind: ClassVar[str] = "activation"
    formula: ClassVar[str]
    gradient: ClassVar[str]
    output_range: ClassVar[str]
    zero_centred: ClassVar[bool]
    saturates: ClassVar[str]
    initialization: ClassVar[Initialization] = "xavier_uniform"

    @property
    def input_multiple(self) -> int:
        """How many times its output's width the input must have: 1; 2 for glu; k for maxout."""
        return 1

    @property
    def gain(self) -> float:
        """By what weights are scaled so that signals keep their size through many layers, > 0.

        That of `torch.nn.init.calculate_gain` where torch knows it, else 1 / sqrt(E f(z)²) for z ~ N(0, 1).
        """
        return 1.0

    @abstractmethod
    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module.

        Args:
            width: Width of the output along `feature_dim`.
            feature_dim: Dimension that holds features: 1 for (B, F) and (B, C, H, W), -1 for (B, T, F).

        Returns:
            A module from (…, width · input_multiple, …) to (…, width, …), dtype and device kept.
        """
