"""The metric `nll`."""

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from dlcli import CLASSIFICATION, Metric, Task


class NegativeLogLikelihood(Metric):
    """Negative log-likelihood of the right answers, in nats: the mean of −log p.

    A proper score: it is smallest for the true probabilities. One sure and wrong answer can decide it.

    Multiclass: −log softmax(z)[y]. Binary: −y log σ(z) − (1 − y) log(1 − σ(z)). Multilabel: the mean of that over
    labels. Taken from the outputs in float64, so no probability is clamped and the figure is finite.

    Source: Good 1952, "Rational decisions".
    """

    name: ClassVar[str] = "nll"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = None

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of −log p and of the weights."""
        if target.ndim == 1:
            values = F.cross_entropy(output, target.long(), reduction="none")
        else:
            values = F.binary_cross_entropy_with_logits(output, target.to(output.dtype), reduction="none").mean(-1)
        return {"total": (weight * values).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the mean; NaN without rows."""
        return statistics["total"] / statistics["weight"]
