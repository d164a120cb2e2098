"""The metric `r2`."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from dlcli import REGRESSION, Metric, Task


class RSquared(Metric):
    """Coefficient of determination: 1 − Σ (ŷ − y)² / Σ (y − mean y)²; the mean over targets where there are several.

    1 is perfect, 0 is no better than always answering the mean. Undefined, NaN, where a target does not vary, or
    varies by less than 3e-7 of its own size, since the sums that add over batches then hold no digit of its variance.

    Source: Wright 1921, "Correlation and causation"; scikit-learn's r2_score.
    """

    name: ClassVar[str] = "r2"
    tasks: ClassVar[frozenset[Task]] = REGRESSION
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = None
    highest: ClassVar[float | None] = 1.0

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return weighted sums of every target (R,): squared errors, values, squared values; and of the weights."""
        return {
            "errors": weight @ (output - target).square(),
            "values": weight @ target.to(weight.dtype),
            "squares": weight @ target.to(weight.dtype).square(),
            "weight": weight.sum(),
        }

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean over targets; NaN where it is undefined."""
        squares = statistics["squares"]
        variation = squares - statistics["values"].square() / statistics["weight"]
        varies = variation > 1e-13 * squares
        return torch.where(varies, 1 - statistics["errors"] / variation, torch.nan).mean()
