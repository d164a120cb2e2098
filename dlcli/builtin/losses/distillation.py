"""The loss that the strategy `distill` trains a student with.

It is not registered: its target is no dataset's but made of a teacher's outputs, so that a recipe cannot name it.
"""

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from dlcli import Loss, PerMember, Task


class Distillation(Loss):
    """What a student differs from its teacher's soft answers and from the truth: α · T² · soft + (1 − α) · hard.

    Multiclass: soft = −Σ_c p_c log q_c with p = softmax(teacher / T) and q = softmax(student / T); hard = −log
    softmax(student)[y]. Binary and multilabel: likewise with sigmoids, the mean over labels. T² keeps the gradients of
    the soft part at one size whatever T is. Regression: α (ŷ − teacher)² + (1 − α)(ŷ − y)², the mean over targets; T
    has no part in it.

    Args:
        task: How outputs are read.
        temperature: T > 0; the larger, the more the teacher's small probabilities count.
        teacher: α in [0, 1], the teacher's share.

    Shape:
        output (B, …, O) and target, from `pack`, (B, …, C + 1) for multiclass and (B, …, 2 · O) otherwise, give (B, …).

    Source: Hinton et al. 2015, "Distilling the knowledge in a neural network".
    """

    name: ClassVar[str] = "distillation"
    tasks: ClassVar[frozenset[Task]] = frozenset()  # none whose target a dataset has

    task: Task = Field(description="how outputs are read")
    temperature: PerMember = Field(3.0, gt=0, description="what both sides' logits are divided by")
    teacher: PerMember = Field(0.9, ge=0, le=1, description="share of the teacher's answers; the rest is the truth's")

    def values(self, output: Tensor, target: Tensor) -> Tensor:
        """Return the weighted sum of both parts for every sample."""
        answers, truth = target[..., : output.shape[-1]], target[..., output.shape[-1] :]
        if self.task is Task.REGRESSION:
            soft = F.mse_loss(output, answers, reduction="none").mean(-1)
            hard = F.mse_loss(output, truth, reduction="none").mean(-1)
            return self.teacher * soft + (1 - self.teacher) * hard
        if self.task is Task.MULTICLASS:
            wanted = F.softmax(answers / self.temperature, dim=-1)
            soft = -(wanted * F.log_softmax(output / self.temperature, dim=-1)).sum(-1)
            hard = -F.log_softmax(output, dim=-1).gather(-1, truth.long()).squeeze(-1)
        else:
            wanted = torch.sigmoid(answers / self.temperature)
            soft = F.binary_cross_entropy_with_logits(output / self.temperature, wanted, reduction="none").mean(-1)
            hard = F.binary_cross_entropy_with_logits(output, truth, reduction="none").mean(-1)
        return self.teacher * self.temperature**2 * soft + (1 - self.teacher) * hard


def pack(outputs: Tensor, target: Tensor, task: Task) -> Tensor:
    """Return a teacher's outputs and the truth side by side, as `Distillation` takes them.

    Args:
        outputs: The teacher's, read as a network's (B, …, O).
        target: The truth, as losses take it: class indices (B, …) for multiclass, (B, …, O) otherwise.
        task: How outputs are read.

    Returns:
        (B, …, O + 1) for multiclass, (B, …, 2 · O) otherwise, float32: class indices are exact up to 2²⁴.
    """
    truth = target[..., None] if task is Task.MULTICLASS else target
    return torch.cat([outputs.float(), truth.float()], dim=-1)
