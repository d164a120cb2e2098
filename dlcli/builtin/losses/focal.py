"""The loss `focal`."""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import CLASSIFICATION, Loss, PerMember, Task


class Focal(Loss):
    """Focal loss: ℓ = −α_y (1 − p_y)^γ log p_y, in nats; for many easy rows beside few hard ones.

    p_y is the probability of the right answer: of the class for multiclass, σ(±z) for binary and multilabel, whose ℓ
    is the mean over labels. Answers that are right already count less, so probabilities come out too close to ½; wrong
    labels count most.

    Args:
        gamma: γ ≥ 0; 0 is cross-entropy, 2 as in the paper.
        alpha: α in [0, 1], the weight of y = 1, with 1 − α for y = 0; None weighs both 1. Not for multiclass.

    Shape:
        output (B, O) gives (B,); (B, T, O) gives (B, T).

    Source: Lin et al. 2017, "Focal loss for dense object detection".
    """

    name: ClassVar[str] = "focal"
    tasks: ClassVar[frozenset[Task]] = CLASSIFICATION

    gamma: PerMember = Field(2.0, ge=0, description="how much less an answer counts that is right already")
    alpha: float | None = Field(None, ge=0, le=1, description="weight of y = 1, with 1 - alpha for y = 0")

    def check(self, task: Task, outputs: int) -> None:
        """Refuse alpha for multiclass, where there are no two sides."""
        if task is Task.MULTICLASS and self.alpha is not None:
            raise ValueError("alpha weighs y = 1 against y = 0, which a multiclass target does not have: leave it out")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the value of every sample."""
        if target.ndim < output.ndim:
            own = target.long().unsqueeze(-1)
            others = output.masked_fill(own == torch.arange(output.shape[-1], device=output.device), -torch.inf)
            right = output.log_softmax(-1).gather(-1, own).squeeze(-1)
            # From the other classes themselves: 1 − p of a sure answer has no digits left.
            return -(self.gamma * (others.logsumexp(-1) - output.logsumexp(-1))).exp() * right
        target = target.to(output.dtype)
        sided = (2 * target - 1) * output
        values = -(self.gamma * F.logsigmoid(-sided)).exp() * F.logsigmoid(sided)
        if self.alpha is not None:
            values = (self.alpha * target + (1 - self.alpha) * (1 - target)) * values
        return values.mean(-1)
