"""The activation `rrelu`."""

import math
from typing import ClassVar, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from dlcli import Activation, Initialization, Randomized


class RReLU(Activation):
    """Leaky ReLU whose slope is drawn for every element in training: max(0, x) + slope · min(0, x).

    slope ~ U(lower, upper) in training, their mean in evaluation. The noise regularizes a little, for small datasets.
    Slopes have a resolution of 1/65536 of the range, and members of a stack draw their own.

    Args:
        lower: Smallest slope, in [0, 1]; torch's default.
        upper: Largest slope, in [lower, 1]; torch's default.

    Raises:
        ValueError: `lower` is above `upper`.

    Source: Xu et al. 2015, "Empirical evaluation of rectified activations in convolutional network".
    """

    name: ClassVar[str] = "rrelu"
    formula: ClassVar[str] = "x for x > 0, else slope * x"
    gradient: ClassVar[str] = "1 for x > 0, else slope"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "nowhere"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    lower: float = Field(1 / 8, ge=0, le=1, description="smallest slope below zero")
    upper: float = Field(1 / 3, ge=0, le=1, description="largest slope below zero")

    @model_validator(mode="after")
    def _lower_is_below_upper(self) -> Self:
        if self.lower > self.upper:
            raise ValueError(f"rrelu: lower must be ≤ upper, got {self.lower:g} and {self.upper:g}; swap them")
        return self

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²), over the slopes too: sqrt(2 / (1 + E slope²))."""
        square = (self.lower**2 + self.lower * self.upper + self.upper**2) / 3
        return math.sqrt(2 / (1 + square))

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return RandomizedLeakyReLU(self.lower, self.upper)


class RandomizedLeakyReLU(Randomized):
    """Leaky ReLU with slopes drawn from the bits that training gives it.

    Args:
        lower: Smallest slope.
        upper: Largest slope.

    Shape:
        Any shape; the same comes out, dtype and device kept.
    """

    def __init__(self, lower: float, upper: float) -> None:
        super().__init__(active=lower < upper)
        self.lower = lower
        self.upper = upper

    def forward(self, x: Tensor) -> Tensor:
        """Draw slopes in training; take their mean in evaluation."""
        if not (self.training and self.active):
            return nn.functional.leaky_relu(x, (self.lower + self.upper) / 2)
        uniform = (self.bits(x.shape, x.device).float() + 32768.5) / 65536
        slopes = self.lower + (self.upper - self.lower) * uniform
        return torch.where(x > 0, x, x * slopes.to(x.dtype))
