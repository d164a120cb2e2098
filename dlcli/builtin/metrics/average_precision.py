"""The metric `average_precision`."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from dlcli import CLASSIFICATION, Metric, Task
from dlcli.builtin.metrics.ranking import kept, macro, up_to


class AveragePrecision(Metric):
    """Average precision: Σ_n (R_n − R_{n−1}) P_n over falling thresholds, the area under the precision-recall steps.

    For rare positives: by chance it is their share, not ½. Multiclass: the mean over classes of each against the rest,
    by probability; multilabel: the mean over labels. Without a positive row it is undefined: such a class is left out
    of the mean, and NaN where none is left. Scores of all rows are kept until the end.

    Source: sklearn.metrics.average_precision_score.
    """

    name: ClassVar[str] = "average_precision"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0
    concatenates: ClassVar[bool] = True

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return scores, targets and weights."""
        return kept(output, target, weight)

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean over classes or labels."""
        return macro(statistics, _steps)


def _steps(places: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    last = torch.searchsorted(places, places, right=True)
    right, wrong = (up_to(side).gather(-1, last) for side in (positive, negative))
    return (positive * right / (right + wrong)).sum(-1) / positive.sum(-1)
