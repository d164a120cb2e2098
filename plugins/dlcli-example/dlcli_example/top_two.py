"""The metric `top_two`."""

from typing import ClassVar, Literal

from torch import Tensor

from dlcli import Metric, Task


class TopTwo(Metric):
    """Share of rows whose class is among the two that the network finds most probable.

    Σ w · [fewer than two classes have a larger logit than the right one] / Σ w. A class that ties with the right one
    does not outrank it.

    Shape:
        Outputs (B, C), classes (B,), weights (B,).
    """

    name: ClassVar[str] = "top_two"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.MULTICLASS})
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weight of the rows that count as right, and of all rows: sums add over batches."""
        outranked_by = (output > output.gather(1, target[:, None])).sum(1)
        return {"right": (weight * (outranked_by < 2)).sum(), "all": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the share; NaN where no row has weight."""
        return statistics["right"] / statistics["all"]
