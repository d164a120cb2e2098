"""The metric `accuracy`."""

from typing import ClassVar, Literal

from torch import Tensor

from dlcli import CLASSIFICATION, Metric, Task


class Accuracy(Metric):
    """Share of right answers: the class with the largest output, or the sign of a logit.

    Misleads where classes are of very different size, since always answering the largest is then right often: see `f1`
    or `auroc`.

    Multiclass: argmax z = y, the first class winning a tie. Binary: (z > 0) = y, which is p > ½. Multilabel: the mean
    over labels of the binary figure (one minus the Hamming loss), not the share of rows with every label right.

    Source: scikit-learn's accuracy_score.
    """

    name: ClassVar[str] = "accuracy"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weight of right answers and of all."""
        multiclass = target.ndim == 1
        right = output.argmax(-1) == target if multiclass else ((output > 0) == (target > 0)).to(weight.dtype).mean(-1)
        return {"right": (weight * right).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the share; NaN without rows."""
        return statistics["right"] / statistics["weight"]
