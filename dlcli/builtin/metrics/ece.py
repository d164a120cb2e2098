"""The metric `ece`."""

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import CLASSIFICATION, Metric, Task


class ExpectedCalibrationError(Metric):
    """Expected calibration error: how far confidence is from accuracy, Σ_b (w_b / w) |accuracy_b − confidence_b|.

    Answers are put into equally wide bins [i/bins, (i + 1)/bins) by their confidence, the probability of the class
    that is predicted. A binary answer counts as the two classes p and 1 − p, so its confidence is max(p, 1 − p) and
    the figure is that of a two-class softmax. Each label of a multilabel row is a binary answer of weight w / labels.

    Args:
        bins: Number of bins, ≥ 1; 15 as in the paper.

    Source: Guo et al. 2017, "On calibration of modern neural networks".
    """

    name: ClassVar[str] = "ece"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION
    direction: ClassVar[Literal["min", "max"]] = "min"
    lowest: ClassVar[float | None] = 0.0
    highest: ClassVar[float | None] = 1.0
    needs_probabilities: ClassVar[bool] = True

    bins: int = Field(15, ge=1, description="number of equally wide bins of confidence")

    def update(self, output: Tensor, target: Tensor, weight: Tensor) -> dict[str, Tensor]:
        """Return, for every bin, the weight of its answers, of the right ones, and the weighted confidence."""
        if target.ndim == 1:
            confidence, predicted = output.max(-1)
            right = predicted == target
        else:
            confidence = torch.maximum(output, 1 - output).flatten()
            right = ((output > 0.5) == (target > 0)).flatten()
            weight = (weight[:, None] / output.shape[-1]).expand_as(output).flatten()
        index = (confidence * self.bins).long().clamp(0, self.bins - 1)
        # A product with indicators adds in a fixed order, which index_add on a GPU does not.
        members = F.one_hot(index, self.bins).to(weight.dtype)
        return {
            "weight": weight @ members,
            "right": (weight * right) @ members,
            "confidence": (weight * confidence) @ members,
        }

    def compute(self, statistics: dict[str, Tensor]) -> Tensor:
        """Return the weighted mean distance; NaN without rows."""
        return (statistics["right"] - statistics["confidence"]).abs().sum() / statistics["weight"].sum()
