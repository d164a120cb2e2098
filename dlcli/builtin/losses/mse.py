"""The loss `mse`."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional as F

from dlcli import REGRESSION, Loss, Task
from dlcli.builtin.losses.same_shape import same_shape


class MeanSquaredError(Loss):
    """Mean squared error: ℓ = mean over targets of (ŷ − y)², without the ½; for regression.

    The first choice for regression; its best answer is the mean. A few far-off rows decide it: `huber` or `mae` care
    less. Targets of large numbers want `data.scale_target`.

    Shape:
        output and target (B, R) give (B,); (B, T, R) gives (B, T).

    Raises:
        ValueError: The shapes of output and target differ; broadcasting them would compare every row with every other.

    Source: Bishop 2006, "Pattern recognition and machine learning", 1.2.5.
    """

    name: ClassVar[str] = "mse"
    tasks: ClassVar[frozenset[Task]] = REGRESSION

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        return F.mse_loss(output, same_shape(target, output, self.name), reduction="none").mean(-1)

    def mean(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over samples and targets in one call."""
        return F.mse_loss(output, same_shape(target, output, self.name))
