"""The metric `top_k`."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from dlcli import Metric, Task


class TopK(Metric):
    """Top-k accuracy: share of rows whose class is among the k with the largest outputs; for many similar classes.

    Of equal outputs the first class comes first, so k = 1 is `accuracy`.

    Args:
        k: How many classes count as answers, ≥ 1 and below the number of classes; 2 as in scikit-learn.

    Source: sklearn.metrics.top_k_accuracy_score.
    """

    name: ClassVar[str] = "top_k"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.MULTICLASS})
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    k: int = Field(2, ge=1, description="how many classes count as answers")

    def check(self, task: Task, outputs: int) -> None:
        """Refuse a k with which every answer is right."""
        if self.k >= outputs:
            raise ValueError(f"k = {self.k} of {outputs} classes is always right: take a k below {outputs}")

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weight of right answers and of all."""
        own = target.long().unsqueeze(-1)
        true = output.gather(-1, own)
        before = (output > true) | ((output == true) & (torch.arange(output.shape[-1]) < own))
        return {"right": (weight * (before.sum(-1) < self.k)).sum(), "weight": weight.sum()}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the share; NaN without rows."""
        return statistics["right"] / statistics["weight"]
