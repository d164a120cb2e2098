"""The initializer `orthogonal`."""

from typing import ClassVar, Self

from pydantic import Field
from torch import Generator, Tensor, nn

from dlcli import Activation, Initializer


class Orthogonal(Initializer):
    """Keeps lengths and angles: gain times a random matrix whose rows, or columns, are orthonormal.

    A weight (out, in, …) counts as a matrix of `out` rows. For very deep or recurrent networks; costs a QR
    decomposition a weight, which is slow for widths in the thousands.

    Args:
        gain: Scale, > 0; without it the activation's own, and 1 where the architecture has none.

    Source: Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks".
    """

    name: ClassVar[str] = "orthogonal"

    gain: float | None = Field(None, gt=0, description="scale; by default what suits the activation")

    def suited(self, activation: Activation) -> Self:
        """Return it with the activation's gain where it has none of its own."""
        return self if self.gain is not None else self.model_copy(update={"gain": activation.gain})

    def fill(self, parameter: Tensor, generator: Generator) -> None:
        """Fill a weight."""
        nn.init.orthogonal_(parameter, 1.0 if self.gain is None else self.gain, generator=generator)
