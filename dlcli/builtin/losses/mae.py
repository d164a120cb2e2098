"""The loss `mae`."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from dlcli import REGRESSION, Loss, Task
from dlcli.builtin.losses.same_shape import same_shape


class MeanAbsoluteError(Loss):
    """Mean absolute error: ℓ = mean over targets of |ŷ − y|; for regression whose targets have outliers.

    It estimates the median. Its gradient is as large near the target as far from it, so the learning rate must fall
    for training to settle; `huber` is smooth there.

    Shape:
        output and target (B, R) give (B,); (B, T, R) gives (B, T).

    Source: torch.nn.L1Loss.
    """

    name: ClassVar[str] = "mae"
    tasks: ClassVar[frozenset[Task]] = REGRESSION

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        return F.l1_loss(output, same_shape(target, output, self.name), reduction="none").mean(-1)

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over samples and targets in one call."""
        return F.l1_loss(output, same_shape(target, output, self.name))
