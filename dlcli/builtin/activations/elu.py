"""The activation `elu`."""

import math
from typing import ClassVar

from pydantic import Field
from torch import nn

from dlcli import Activation, Initialization


class ELU(Activation):
    """Exponential linear unit, which goes on smoothly below zero and levels off: x for x > 0, else alpha · (e^x − 1).

    Its outputs lie closer to zero than those of relu, and no unit dies at once; it costs an exponential.

    Args:
        alpha: What it falls to, −alpha, for very negative x, > 0; the default of 1, torch's, makes it smooth at 0.

    Source: Clevert et al. 2016, "Fast and accurate deep network learning by exponential linear units".
    """

    name: ClassVar[str] = "elu"
    formula: ClassVar[str] = "x for x > 0, else alpha * (exp(x) - 1)"
    gradient: ClassVar[str] = "1 for x > 0, else alpha * exp(x)"
    output_range: ClassVar[str] = "(-alpha, inf)"
    zero_centred: ClassVar[bool] = False
    saturates: ClassVar[str] = "on the left: the gradient is below 0.01 * alpha for x < -4.6"
    initialization: ClassVar[Initialization] = "kaiming_normal"

    alpha: float = Field(1.0, gt=0, description="minus what it falls to for very negative x")

    @property
    def gain(self) -> float:
        """1 / sqrt(1/2 + c · alpha²), c = E[(e^z − 1)²; z < 0]."""
        return 1 / math.sqrt(0.5 + 0.144945417 * self.alpha**2)

    def build(self, width: int, feature_dim: int = 1) -> nn.Module:
        """Build the module; any width."""
        return nn.ELU(self.alpha)
