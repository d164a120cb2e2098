"""The loss `quantile`."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor

from dlcli import REGRESSION, Loss, PerMember, Task
from dlcli.builtin.losses.same_shape import same_shape


class Quantile(Loss):
    """Pinball loss: ℓ = max(q d, (q − 1) d) with d = y − ŷ; the network answers the q-quantile of the target.

    Train one run a level for an interval; runs do not know of each other, so their quantiles may cross. Metrics that
    ask for the mean, such as `rmse` and `r2`, then judge another question. Far-out levels need many rows.

    Args:
        level: q, 0 < q < 1; 0.5 is the median, and the loss half of `mae`.

    Shape:
        output and target (B, R) give (B,), the mean over targets; (B, T, R) gives (B, T).

    Source: Koenker and Bassett 1978, "Regression quantiles".
    """

    name: ClassVar[str] = "quantile"
    tasks: ClassVar[frozenset[Task]] = REGRESSION

    level: PerMember = Field(0.5, gt=0, lt=1, description="which quantile of the target is answered")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the mean over targets for every sample."""
        short = same_shape(target, output, self.name) - output
        return torch.maximum(self.level * short, (self.level - 1) * short).mean(-1)
