"""The initializer `kaiming_uniform`."""

import math
from typing import ClassVar, Literal, Self

from pydantic import Field
from torch import Generator, Tensor

from dlcli import Activation, Initializer
from dlcli.builtin.initializers.fans import fan_in, fan_out


class KaimingUniform(Initializer):
    """Keeps the size of signals through layers of relu and its kin: U(−b, b), b = sqrt(3 · gain² / fan).

    For relu, leaky_relu, gelu, swish and mish. With saturating activations, such as tanh, it starts too wide: then
    `xavier_uniform`.

    Args:
        gain: Scale, > 0; without it the activation's own, and sqrt(2), relu's, where the architecture has none.
        mode: `fan_in` keeps the size of signals forward, `fan_out` that of gradients backward.

    Source: He et al. 2015, "Delving deep into rectifiers".
    """

    name: ClassVar[str] = "kaiming_uniform"

    gain: float | None = Field(None, gt=0, description="scale; by default what suits the activation")
    mode: Literal["fan_in", "fan_out"] = Field("fan_in", description="which size is kept: signals' or gradients'")

    def suited(self, activation: Activation) -> Self:
        """Return it with the activation's gain where it has none of its own."""
        return self if self.gain is not None else self.model_copy(update={"gain": activation.gain})

    def fill(self, parameter: Tensor, generator: Generator) -> None:
        """Fill a weight."""
        fan = fan_in(parameter) if self.mode == "fan_in" else fan_out(parameter)
        deviation = (math.sqrt(2) if self.gain is None else self.gain) / math.sqrt(fan)
        bound = math.sqrt(3) * deviation
        parameter.uniform_(-bound, bound, generator=generator)
