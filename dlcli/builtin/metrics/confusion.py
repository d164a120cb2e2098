"""The metric `confusion`."""

from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from dlcli import Metric, Task

LARGEST = 1024
"""Classes of which the matrix of float64 takes 8 MB."""


class Confusion(Metric):
    """The worst confusion: the largest share of one true class that is answered as one other class.

    max over c ≠ k of n_ck / n_c, with n_ck the weight of rows of class c that are answered k, and n_c of all rows of
    class c: the largest cell off the diagonal of the confusion matrix whose rows are divided by their sums. Accuracy
    hides it where there are many classes or few rows of one. `dlcli evaluate` shows the whole matrix. Says little
    where a class has few rows: one of three is 0.33 already.

    Args:
        true: Index of the only true class c that counts, from 0; None for any.
        answered: Index of the only answered class k that counts; None for any. With both, the figure is one cell.

    Raises:
        ValueError: `true` and `answered` are the same class. From `check`: an index without a class, or more than 1024
            classes.

    Source: sklearn.metrics.confusion_matrix with normalize = "true".
    """

    name: ClassVar[str] = "confusion"
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.BINARY, Task.MULTICLASS})
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    true: int | None = Field(None, ge=0, description="index of the true class that counts; None for any")
    answered: int | None = Field(None, ge=0, description="index of the answered class that counts; None for any")

    @model_validator(mode="after")
    def _classes_differ(self) -> Self:
        if self.true is not None and self.true == self.answered:
            raise ValueError(
                f"true and answered are both class {self.true}, which is no confusion: let them differ, or take recall"
            )
        return self

    def check(self, task: Task, outputs: int) -> None:
        """Refuse classes that there are not, and matrices too large to add up in every batch."""
        classes = max(outputs, 2)
        for name, index in (("true", self.true), ("answered", self.answered)):
            if index is not None and index >= classes:
                raise ValueError(f"{name} = {index}, but classes are numbered from 0 to {classes - 1}")
        if classes > LARGEST:
            raise ValueError(
                f"confusion keeps classes × classes numbers, for {LARGEST} classes at most, but there are {classes}; "
                "dlcli evaluate tells the most frequent confusions of any number"
            )

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weight of rows by true and answered class (C, C)."""
        if target.ndim == 1:
            classes, true, answered = output.shape[-1], target.long(), output.argmax(-1)
        else:
            classes, true, answered = 2, (target > 0).long().squeeze(-1), (output > 0).long().squeeze(-1)
        rows, columns = (F.one_hot(side, classes).to(weight.dtype) for side in (true, answered))
        return {"matrix": rows.mT @ (weight.unsqueeze(-1) * columns)}

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the largest share that counts; NaN where no row of such a class is there."""
        matrix = statistics["matrix"]
        rows = matrix.sum(1, keepdim=True)
        classes = torch.arange(len(matrix))
        counts = (rows > 0) & (classes.unsqueeze(1) != classes)
        if self.true is not None:
            counts = counts & (classes.unsqueeze(1) == self.true)
        if self.answered is not None:
            counts = counts & (classes == self.answered)
        largest = torch.where(counts, matrix / rows, -1.0).amax()
        return torch.where(largest >= 0, largest, torch.nan)
