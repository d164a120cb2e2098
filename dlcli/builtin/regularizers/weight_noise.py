"""The regularizer `weight_noise`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class WeightNoise(Regularizer):
    """Trains weights that may be a little off: adds fresh noise to them in every step's forward pass.

    w + std · ε with ε ~ N(0, 1) for each weight; the optimizer's step changes w itself, and evaluation has no noise.
    It leads to flat minima. Before a batch or layer normalization weights can outgrow the noise: combine it with a
    weight decay there.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas.
        std: Standard deviation of the noise in units of the weights, ≥ 0; 0 for none. A layer of 64 inputs starts
            with weights of about 0.07, so that the default of 0.02 is mild.

    Source: Graves 2011, "Practical variational inference for neural networks"; An 1996, "The effects of adding noise
    during backpropagation training on a generalization performance".
    """

    name: ClassVar[str] = "weight_noise"

    std: PerMember = Field(0.02, ge=0, description="standard deviation of the noise, in units of the weights")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a standard normal number for every weight."""
        device = generator.device
        return {name: torch.randn(shape, generator=generator, device=device) for name, shape in shapes.items()}

    def parameters(self, parameters: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return noisy weights."""
        return {name: weight + self.std * noise[name] for name, weight in parameters.items()}
