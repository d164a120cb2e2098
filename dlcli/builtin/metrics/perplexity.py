"""The metric `perplexity`."""

from typing import ClassVar, Literal

from torch import Tensor
from torch.nn import functional as F

from dlcli import Metric, Task


class Perplexity(Metric):
    """Perplexity: exp of the mean −log p of the right class; among how many equally likely ones the model still doubts.

    1 is sure and right, C is guessing among C classes. For language models, where a row is a token; `nll` is its
    logarithm.

    Source: Jelinek et al. 1977, "Perplexity: a measure of the difficulty of speech recognition tasks".
    """

    name: ClassVar[str] = "perplexity"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.MULTICLASS})
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 1.0
    highest: ClassVar[float | None] = None

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weighted sum of −log p and of the weights."""
        values = F.cross_entropy(output, target.long(), reduction="none")
        return {"total": (weight * values).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return exp of the mean; NaN without rows."""
        return (statistics["total"] / statistics["weight"]).exp()
