"""The metric `mse`."""

from typing import ClassVar, Literal

from torch import Tensor

from dlcli import REGRESSION, Metric, Task


class MeanSquaredError(Metric):
    """Mean squared error (ŷ − y)², in squared units of the target; the mean over targets where there are several.

    Rows that are far off weigh most; `rmse` is in the target's own unit.

    Source: scikit-learn's mean_squared_error.
    """

    name: ClassVar[str] = "mse"
    tasks: ClassVar[frozenset[Task]] = REGRESSION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of squared errors and of the weights."""
        return {"total": (weight * (output - target).square().mean(-1)).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean; NaN without rows."""
        return statistics["total"] / statistics["weight"]
