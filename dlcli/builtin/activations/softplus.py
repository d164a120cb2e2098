"""The activation `softplus`."""

import math
from typing import ClassVar

from pydantic import Field
from torch import nn

from dlcli import Activation
from dlcli.builtin.activations.second_moment import second_moment_gain


class Softplus(Activation):
    """Smooth relu that is always positive: log(1 + e^(beta · x)) / beta.

    For quantities that must be positive; between layers relu is cheaper and no worse.

    Args:
        beta: Sharpness at zero, > 0; towards relu as it grows. The default is torch's.
        threshold: It is x itself where beta · x exceeds this, ≥ 0; torch's default, where the difference is 2e-9.

    Source: Dugas et al. 2001, "Incorporating second-order functional knowledge for better option pricing".
    """

    name: ClassVar[str] = "softplus"
    formula: ClassVar[str] = "x for beta * x > threshold, else log(1 + exp(beta * x)) / beta"
    gradient: ClassVar[str] = "1 for beta * x > threshold, else sigmoid(beta * x)"
    output_range: ClassVar[str] = "(0, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on the left: the gradient is below 0.01 for x < -4.6 / beta"

    beta: float = Field(1.0, gt=0, description="sharpness at zero")
    threshold: float = Field(20.0, ge=0, description="beta · x above which it is x itself")

    @property
    def gain(self) -> float:
        """1 / sqrt(E f(z)²)."""
        return second_moment_gain(self._value)

    def _value(self, z: float) -> float:
        inner = self.beta * z
        return z if inner > self.threshold else math.log1p(math.exp(inner)) / self.beta

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.Softplus(self.beta, self.threshold)
