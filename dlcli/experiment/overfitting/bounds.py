"""How low the loss of a batch can get, and what it is without a look at the inputs: what "near zero" is measured by."""

from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.contracts.field import InputOutput
from dlcli.contracts.loss import Loss
from dlcli.contracts.task import Task
from dlcli.training.objective import batch_loss, position_mask

SHARE = 0.01
"""The batch is learnt where the loss has lost all but so much of what lies between the blind answer and the best."""
LEAST = 1e-13
"""Probabilities are kept so far from 0 and 1: an answer that sure costs a cross-entropy nothing that can be seen."""
SCALES = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.0625, 0.0)
"""How sure answers are, of which the one that suits a loss best counts: a smoothed loss punishes the surest."""


@dataclass(frozen=True)
class Bounds:
    """What the loss of a batch is measured by.

    Args:
        floor: Loss of the best answers that there are.
        blind: Loss of the best answer that is the same for every row.
        goal: Loss at which the batch is learnt: `floor` + 1 % of what lies between.
    """

    floor: float
    blind: float
    goal: float

    def above(self, floor: float) -> "Bounds":
        """Return the bounds above another floor."""
        return Bounds(floor, self.blind, floor + SHARE * max(0.0, self.blind - floor))


def bounds_of(loss: Loss, io: InputOutput, batch: Batch, first: float, groups: Tensor | None = None) -> Bounds:
    """Return what the loss of a batch is measured by.

    Args:
        loss: The loss.
        io: What the network is built for.
        batch: The batch.
        first: Loss of the batch before training; stands for the blind answer's where that is as good as any, and where
            a loss reads outputs in a way of its own.
        groups: Positions (B, T) of one number that cannot be told apart; None where all can.

    Returns:
        The bounds.
    """
    samples = batch.target.shape[: 2 if io.per_position else 1]
    every = torch.arange(samples.numel()).view(samples)
    floor = best_loss(loss, io, batch, every if groups is None else groups)
    blind = best_loss(loss, io, batch, torch.zeros_like(every))
    if floor is None or blind is None:
        floor, blind = 0.0, first
    elif blind - floor <= 1e-6 * (1 + abs(floor)):
        blind = first
    return Bounds(floor, blind, floor).above(floor)


def best_loss(loss: Loss, io: InputOutput, batch: Batch, groups: Tensor) -> float | None:
    """Return the loss of the best answers where all samples of a group get one answer.

    That is the shares of the classes or labels in the group as logits, sure enough for the loss; for regression the
    group's mean, which for other losses than the squared one is a little above the best.

    Args:
        loss: The loss.
        io: What the network is built for.
        batch: The batch; rows and positions that do not count are left out.
        groups: A number for each row (B,) or position (B, T).

    Returns:
        The loss; None where it reads outputs in a way of its own.
    """
    if loss.outputs_per_target > 1:
        return None
    task, outputs = io.task, io.outputs if io.task.classifies else batch.target.shape[-1]
    weight = torch.ones(groups.shape, dtype=torch.float64)
    if batch.weight is not None:
        weight *= (batch.weight.cpu() != 0).view(-1, *[1] * (groups.ndim - 1))
    if groups.ndim == 2 and (mask := position_mask(batch, groups.shape[1])) is not None:
        weight *= mask.cpu()
    target = batch.target.cpu()
    if task is Task.MULTICLASS:
        wanted = torch.nn.functional.one_hot(target.long(), outputs).double()
    else:
        wanted = target.double()
    if wanted.shape[-1] != outputs:
        return None
    flat, numbers, weights = wanted.flatten(0, groups.ndim - 1), groups.flatten(), weight.flatten()
    count = int(numbers.max()) + 1
    sums = torch.zeros(count, outputs, dtype=torch.float64).index_add_(0, numbers, flat * weights[:, None])
    totals = torch.zeros(count, dtype=torch.float64).index_add_(0, numbers, weights).clamp_min(LEAST)
    shares = (sums / totals[:, None])[numbers].view(wanted.shape)
    if task.classifies:
        shares = shares.clamp(LEAST, 1 - LEAST)
        shares = shares.log() if task is Task.MULTICLASS else shares.log() - torch.log1p(-shares)
    answers = shares.to(batch.target.device, torch.float32)
    scales = SCALES if task.classifies else (1.0,)
    with torch.no_grad():
        return min(float(batch_loss(loss, scale * answers, (batch.target,), None, batch)) for scale in scales)


def right_share(task: Task, output: Tensor, batch: Batch) -> float | None:
    """Return which share of the classes or labels of a batch an output answers right; None for regression.

    As the metric accuracy decides: the largest logit, or for binary and multilabel the sign of each.
    """
    if not task.classifies:
        return None
    if task is Task.MULTICLASS:
        right = (output.argmax(-1) == batch.target.long()).double()
    else:
        right = ((output > 0) == (batch.target > 0.5)).double().mean(-1)
    weight = torch.ones_like(right)
    if batch.weight is not None:
        weight = weight * (batch.weight != 0).view(-1, *[1] * (right.ndim - 1))
    if right.ndim == 2 and (mask := position_mask(batch, right.shape[1])) is not None:
        weight = weight * mask
    return float((right * weight).sum() / weight.sum().clamp_min(1))
