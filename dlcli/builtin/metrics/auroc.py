"""The metric `auroc`."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from dlcli import CLASSIFICATION, Metric, Task
from dlcli.builtin.metrics.ranking import kept, macro, up_to


class AreaUnderROC(Metric):
    """Area under the ROC curve: the chance that a row of the class scores above one that is not, a tie counting half.

    Multiclass: the mean over classes of each against the rest, by probability; multilabel: the mean over labels. Where
    all rows or none are of a class it is undefined: such a class is left out of the mean, and NaN where none is left.
    It says nothing of thresholds or calibration; with rare positives `average_precision` tells more. Scores of all
    rows are kept until the end.

    Source: Hanley and McNeil 1982, "The meaning and use of the area under a ROC curve"; sklearn.metrics.roc_auc_score.
    """

    name: ClassVar[str] = "auroc"
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
        return macro(statistics, _area)


def _area(places: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
    above = up_to(positive)
    first, last = (torch.searchsorted(places, places, right=right) for right in (False, True))
    over = (above.gather(-1, first) + above.gather(-1, last)) / 2
    return (negative * over).sum(-1) / (positive.sum(-1) * negative.sum(-1))
