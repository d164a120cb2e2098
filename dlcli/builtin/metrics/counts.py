"""What `precision`, `recall` and `f1` share: how often each class was answered, true, and both."""

from abc import abstractmethod
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import CLASSIFICATION, Metric, Task

Average = Literal["macro", "micro"]


class ClassShare(Metric):
    """Base of shares of each class, averaged over classes; a subclass says of what they are shares."""

    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "max"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0

    average: Average | None = Field(None, description="how classes are averaged; binary without it: y = 1 alone")

    @abstractmethod
    def share(self, statistics: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a part and its whole for each class (C,), from what `class_counts` says."""

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return the weight of right answers, of all answers and of all rows of each class."""
        return class_counts(output, target, weight, self.average)

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the average; NaN without rows."""
        return averaged(*self.share(statistics), statistics["counted"], self.average)


def class_counts(output: Tensor, target: Tensor, weight: Tensor, average: Average | None) -> dict[str, Tensor]:
    """Return the statistics of one batch.

    Args:
        output: Outputs (B, O).
        target: Targets (B,) or (B, O).
        weight: Weights (B,).
        average: As the metric has it: a binary target is two classes where it is given, else y = 1 alone.

    Returns:
        Of each class or label the weight of rows that are it and are answered so (`right`), are answered so
        (`predicted`), are it (`true`), and in which it counts at all (`counted`): a class that is neither true nor
        answered does not, a label always does.
    """
    if target.ndim == 1:
        predicted, true = (F.one_hot(classes, output.shape[-1]) for classes in (output.argmax(-1), target.long()))
    else:
        predicted, true = (output > 0).long(), (target > 0).long()
        if average is not None and output.shape[-1] == 1:
            predicted, true = (torch.cat([1 - side, side], -1) for side in (predicted, true))
    predicted, true = predicted.to(weight.dtype), true.to(weight.dtype)
    found = {"right": weight @ (predicted * true), "predicted": weight @ predicted, "true": weight @ true}
    labels = target.ndim > 1 and predicted.shape[-1] == output.shape[-1]
    counted = weight.sum().expand(output.shape[-1]) if labels else found["predicted"] + found["true"]
    return {**found, "counted": counted}


def averaged(right: Tensor, all_of: Tensor, counted: Tensor, average: Average | None) -> Tensor:
    """Return the mean over classes of right / all of them, or their common share; 0 / 0 is 0.

    Args:
        right: Of each class (C,).
        all_of: What it is a share of (C,).
        counted: Positive where the class counts (C,).
        average: `micro` for the common share, else the mean over classes that count.

    Returns:
        A 0-d tensor; NaN where no class counts.
    """
    if average == "micro":
        right, all_of, counted = (t.sum(-1, keepdim=True) for t in (right, all_of, counted))
    shares = torch.where(all_of > 0, right / all_of, 0.0)
    counts = counted > 0
    return (shares * counts).sum() / counts.sum()
