"""The metric `brier`."""

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from dlcli import CLASSIFICATION, Metric, Task


class Brier(Metric):
    """Brier score: squared distance between predicted probabilities and what came true; right and sure gives 0.

    Multiclass: the sum over classes of (p_c − [c = y])², from 0 to 2, as Brier defined it. Binary: (p − y)², from 0
    to 1, half of what the two classes would give as a sum. Multilabel: the mean over labels of the binary figure.

    Source: Brier 1950, "Verification of forecasts expressed in terms of probability".
    """

    name: ClassVar[str] = "brier"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 2.0
    needs_probabilities: ClassVar[bool] = True

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of squared distances and of the weights."""
        if target.ndim == 1:
            values = (output - F.one_hot(target.long(), output.shape[-1])).square().sum(-1)
        else:
            values = (output - target).square().mean(-1)
        return {"total": (weight * values).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean; NaN without rows."""
        return statistics["total"] / statistics["weight"]
