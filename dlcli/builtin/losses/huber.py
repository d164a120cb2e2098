"""The loss `huber`."""

from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from dlcli import REGRESSION, Loss, PerMember, Task
from dlcli.builtin.losses.one_unit import of_scaled_target
from dlcli.builtin.losses.same_shape import same_shape


class Huber(Loss):
    """Huber loss: ℓ = ½ d² where |d| ≤ δ, else δ (|d| − ½ δ), with d = ŷ − y; for regression with some outliers.

    Squared near the target, absolute far from it, the mean over targets. With δ far above all errors it is half of
    `mse`; with δ far below them it is δ times `mae`, and its gradient is as small as δ.

    Args:
        delta: δ > 0, in the target's units, also with `data.scale_target`; 1 as in torch.

    Shape:
        output and target (B, R) give (B,); (B, T, R) gives (B, T).

    Source: Huber 1964, "Robust estimation of a location parameter"; torch.nn.HuberLoss.
    """

    name: ClassVar[str] = "huber"
    tasks: ClassVar[frozenset[Task]] = REGRESSION

    delta: PerMember = Field(1.0, gt=0, description="largest error that counts squared, in the target's units")

    def for_scaled(self, scale: Tensor) -> Self:
        """Return the loss with δ in units of the scale."""
        return self.model_copy(update={"delta": of_scaled_target("delta", self.delta, scale)})

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        distance = (output - same_shape(target, output, self.name)).abs()
        far = self.delta * (distance - 0.5 * self.delta)
        return torch.where(distance <= self.delta, 0.5 * distance.square(), far).mean(-1)
