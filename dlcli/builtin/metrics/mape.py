"""The metric `mape`."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from dlcli import REGRESSION, Metric, Task


class MeanAbsolutePercentageError(Metric):
    """Mean absolute percentage error |ŷ − y| / |y|, as a share: 0.1 is 10 %; the mean over targets.

    For positive targets of several sizes. A target of 0 is taken as 2.2e-16, as in scikit-learn, so one such row drowns
    all others; too small answers cost at most 1 each, so it favours them.

    Source: sklearn.metrics.mean_absolute_percentage_error.
    """

    name: ClassVar[str] = "mape"
    tasks: ClassVar[frozenset[Task]] = REGRESSION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of relative errors and of the weights."""
        size = target.to(output.dtype).abs().clamp_min(torch.finfo(torch.float64).eps)
        return {"total": (weight * ((output - target).abs() / size).mean(-1)).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean; NaN without rows."""
        return statistics["total"] / statistics["weight"]
