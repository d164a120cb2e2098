"""The regularizer `relative_weight_noise`."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import PerMember, Regularizer


class RelativeWeightNoise(Regularizer):
    """Trains weights that may be a little off, each by a share of its size: noise multiplies them in each step.

    w · (1 + std · ε) with ε ~ N(0, 1) for each weight in the forward pass; the optimizer's step changes w itself, and
    evaluation has no noise. Weights of 0 get none; dlcli's own `weight_noise` is as large for every weight.

    Args:
        select: Which parameters: `weights` (no biases, no norms), `all`, or glob patterns joined by commas.
        std: Standard deviation of the noise as a share of each weight, ≥ 0; 0 for none.

    Source: Srivastava et al. 2014, "Dropout", section 10, with noise on weights for noise on units.
    """

    name: ClassVar[str] = "relative_weight_noise"

    std: PerMember = Field(0.2, ge=0, description="standard deviation of the noise, as a share of each weight")

    def draw(self, shapes: Mapping[str, tuple[int, ...]], generator: torch.Generator) -> dict[str, Tensor]:
        """Draw a standard normal number for every weight; called for each member alone, with its own stream."""
        device = generator.device
        return {name: torch.randn(shape, generator=generator, device=device) for name, shape in shapes.items()}

    def parameters(self, parameters: Mapping[str, Tensor], noise: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Return noisy weights; pure, so that members of a stack run it together with stds of their own."""
        return {name: weight * (1 + self.std * noise[name]) for name, weight in parameters.items()}
