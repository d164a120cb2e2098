"""The metric `recall`."""

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from dlcli import CLASSIFICATION, Metric, Task
from dlcli.builtin.metrics.counts import Average, averaged, class_counts


class Recall(Metric):
    """Recall: the share of rows of class c that are answered so, right / true; for costly misses.

    Answers are the largest output, or logits > 0. 0 / 0 is 0, as scikit-learn's with zero_division = 0; a class that
    is neither true nor answered anywhere is left out of the mean, a label is not.

    Args:
        average: `macro`, the mean over classes or labels, or `micro`, of all their answers together, which for
            multiclass is the accuracy. None: binary the figure of y = 1, otherwise `macro`; where given for binary,
            y = 0 and y = 1 are two classes.

    Source: sklearn.metrics.recall_score.
    """

    name: ClassVar[str] = "recall"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    average: Average | None = Field(None, description="how classes are averaged; binary without it: y = 1 alone")

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weight of right answers, of all answers and of all rows of each class."""
        return class_counts(output, target, weight, self.average)

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the average; NaN without rows."""
        return averaged(statistics["right"], statistics["true"], statistics["counted"], self.average)
