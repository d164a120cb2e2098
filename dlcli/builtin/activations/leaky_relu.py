"""The activation `leaky_relu`."""

import math
from typing import ClassVar

from pydantic import Field
from torch import nn

from dlcli import Activation, Initialization


class LeakyReLU(Activation):
    """ReLU that keeps a small slope below zero, so that no unit dies: max(x, slope · x).

    Where units of `relu` die. With a slope near 1 layers add little to one affine map.

    Args:
        slope: Slope for x < 0, in [0, 1]; 0 is `relu`, 1 is no nonlinearity. The default is torch's.

    Source: Maas et al. 2013, "Rectifier nonlinearities improve neural network acoustic models".
    """

    name: ClassVar[str] = "leaky_relu"
    formula: ClassVar[str] = "max(x, slope * x)"
    gradient: ClassVar[str] = "1 for x > 0, else slope"
    output_range: ClassVar[str] = "(-inf, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "nowhere, unless the slope is 0"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    slope: float = Field(0.01, ge=0, le=1, description="slope below zero; 0 is relu")

    @property
    def gain(self) -> float:
        """sqrt(2 / (1 + slope²)), as in torch."""
        return math.sqrt(2 / (1 + self.slope**2))

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.LeakyReLU(self.slope)
