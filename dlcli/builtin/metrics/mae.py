"""The metric `mae`."""

from typing import ClassVar, Literal

from torch import Tensor

from dlcli import REGRESSION, Metric, Task


class MeanAbsoluteError(Metric):
    """Mean absolute error |ŷ − y|, in the target's units; the mean over targets where there are several.

    Far-off rows weigh no more than in proportion; the best constant answer is the median.

    Source: scikit-learn's mean_absolute_error.
    """

    name: ClassVar[str] = "mae"
    tasks: ClassVar[frozenset[Task]] = REGRESSION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of absolute errors and of the weights."""
        return {"total": (weight * (output - target).abs().mean(-1)).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean; NaN without rows."""
        return statistics["total"] / statistics["weight"]
