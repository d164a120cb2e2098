"""The activation `relu`."""

import math
from typing import ClassVar

from torch import nn

from dlcli import Activation, Initialization


class ReLU(Activation):
    """Rectified linear unit: max(0, x); the usual first choice between layers.

    Quick, and its gradient does not shrink in depth. A unit that is negative on every row gets no gradient and stays
    dead, as after too large a step: then `leaky_relu`, or a smaller rate.

    Source: Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".
    """

    name: ClassVar[str] = "relu"
    formula: ClassVar[str] = "max(0, x)"
    gradient: ClassVar[str] = "1 for x > 0, else 0"
    output_range: ClassVar[str] = "[0, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "dies for x <= 0: a unit that is negative on every row stops learning"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    @property
    def gain(self) -> float:
        """sqrt(2): half of the signal passes."""
        return math.sqrt(2)

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.ReLU()
