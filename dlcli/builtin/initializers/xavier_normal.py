"""The initializer `xavier_normal`."""

import math
from typing import ClassVar, Self

from pydantic import Field
from torch import Generator, Tensor

from dlcli import Activation, Initializer
from dlcli.builtin.initializers.fans import fan_in, fan_out


class XavierNormal(Initializer):
    """Compromise between signals forward and gradients backward: N(0, 2 gain² / (fan_in + fan_out)).

    For tanh, sigmoid and the like; through many layers of relu use kaiming. Also known as Glorot.

    Args:
        gain: Scale, > 0; without it the activation's own, and 1 where the architecture has none.

    Source: Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward neural networks".
    """

    name: ClassVar[str] = "xavier_normal"

    gain: float | None = Field(None, gt=0, description="scale; by default what suits the activation")

    def suited(self, activation: Activation) -> Self:
        """Return it with the activation's gain where it has none of its own."""
        return self if self.gain is not None else self.model_copy(update={"gain": activation.gain})

    def fill(self, parameter: Tensor, generator: Generator) -> None:
        """Fill a weight."""
        gain = 1.0 if self.gain is None else self.gain
        deviation = gain * math.sqrt(2 / (fan_in(parameter) + fan_out(parameter)))
        parameter.normal_(0.0, deviation, generator=generator)
