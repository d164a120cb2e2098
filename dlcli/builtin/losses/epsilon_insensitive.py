"""The loss `epsilon_insensitive`."""

from typing import ClassVar, Self

import torch
from pydantic import Field
from torch import Tensor

from dlcli import REGRESSION, Loss, PerMember, Task
from dlcli.builtin.losses.one_unit import of_scaled_target
from dlcli.builtin.losses.same_shape import same_shape


class EpsilonInsensitive(Loss):
    """Epsilon-insensitive loss of support vector regression: ℓ = max(0, |ŷ − y| − ε), the mean over targets.

    Errors up to ε cost nothing, so a model stops where it is good enough. With ε above all errors there is no gradient
    and nothing is learnt; with ε = 0 it is `mae`, or `mse` where squared.

    Args:
        epsilon: ε ≥ 0, in the target's units, also with `data.scale_target`; 0.1 as in SVR.
        squared: Whether the excess is squared, as `squared_epsilon_insensitive` in scikit-learn's LinearSVR.

    Shape:
        output and target (B, R) give (B,); (B, T, R) gives (B, T).

    Source: Vapnik 1995, "The nature of statistical learning theory"; sklearn.svm.LinearSVR.
    """

    name: ClassVar[str] = "epsilon_insensitive"
    tasks: ClassVar[frozenset[Task]] = REGRESSION

    epsilon: PerMember = Field(0.1, ge=0, description="largest error that costs nothing, in the target's units")
    squared: bool = Field(False, description="whether the excess is squared")

    def for_scaled(self, scale: Tensor) -> Self:
        """Return the loss with ε in units of the scale."""
        return self.model_copy(update={"epsilon": of_scaled_target("epsilon", self.epsilon, scale)})

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        excess = torch.relu((output - same_shape(target, output, self.name)).abs() - self.epsilon)
        return (excess.square() if self.squared else excess).mean(-1)
