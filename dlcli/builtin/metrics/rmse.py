"""The metric `rmse`."""

from typing import ClassVar, Literal

from torch import Tensor

from dlcli import REGRESSION, Metric, Task


class RootMeanSquaredError(Metric):
    """Root mean squared error, in the target's units: sqrt(mean (ŷ − y)²).

    Rows that are far off weigh most; `mae` weighs them in proportion.

    With several targets the mean over targets of each one's root, as scikit-learn has it.

    Source: scikit-learn's root_mean_squared_error.
    """

    name: ClassVar[str] = "rmse"
    tasks: ClassVar[frozenset[Task]] = REGRESSION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of squared errors of every target (R,) and of the weights."""
        return {"squares": weight @ (output - target).square(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean over targets of the root; NaN without rows."""
        return (statistics["squares"] / statistics["weight"]).sqrt().mean()
