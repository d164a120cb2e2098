"""Answers one by one: what a model says, what is true, and what each answer costs; of sequences one a position."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcli.contracts.batch import Batches
from dlcli.contracts.member import Member
from dlcli.contracts.task import Task, probabilities
from dlcli.training.objective import position_mask, sample_weights


@dataclass(frozen=True)
class Answers:
    """Answers to E questions, in the order of their rows: one a row, or one a position of it.

    Padding and rows of weight 0 are left out.

    Args:
        task: How outputs are read.
        output: Outputs (E, O), float32; of several a target their prediction.
        target: Targets (E,) of multiclass, else (E, O).
        weight: Weight of the answer's row (E,), float64.
        losses: The loss of each answer, unweighted (E,), float64.
        loss_weights: What it counts in the loss, class weights included (E,), float64.
        row: Which row of the split it is from, from 0 (E,), int64.
        position: Its position in that row (E,), int64; None where a row has one answer.
        unit: What is drawn at random together: the number of the row, or of its group (E,), int64, from 0.
        units: How many units there are.
        grouped: Whether units are groups of rows.
        weighted: Whether the data has row weights.
    """

    task: Task
    output: Tensor
    target: Tensor
    weight: Tensor
    losses: Tensor
    loss_weights: Tensor
    row: Tensor
    position: Tensor | None
    unit: Tensor
    units: int
    grouped: bool
    weighted: bool

    def __len__(self) -> int:
        return len(self.row)

    def part(self, places: Tensor | slice, *, as_probabilities: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Return outputs or probabilities, targets and weights of some answers, as metrics take them."""
        output = self.output[places].double()
        read = probabilities(output, self.task) if as_probabilities else output
        return read, self.target[places], self.weight[places]

    def parts(self, size: int) -> Iterator[slice]:
        """Return slices over all answers, of a size."""
        return (slice(first, first + size) for first in range(0, len(self), size))


def answers_of(outputs: Tensor, judge: Member, batches: Batches, rows: Tensor, groups: Tensor | None) -> Answers:
    """Return the answers that outputs are.

    Args:
        outputs: Outputs for the rows (R, …, O), in their order, on the CPU.
        judge: Whose task and loss count.
        batches: The dataset.
        rows: Rows of it, int64 (R,).
        groups: Group of every row (R,), where the data has groups.

    Returns:
        The answers, on the CPU.
    """
    found: list[tuple[Tensor, ...]] = []
    first, weighted = 0, False
    for batch in batches.evaluation(judge, rows):
        count = len(batch.target)
        output = outputs[first : first + count].to(batch.target.device)
        losses = judge.loss.values(output, batch.target)
        own = sample_weights(judge.loss, losses, batch.target, batch)
        weight = torch.ones(count) if batch.weight is None else batch.weight.cpu()
        weighted = weighted or batch.weight is not None
        kept = (weight > 0).reshape(-1, *(1,) * (losses.ndim - 1)).expand(losses.shape)
        if losses.ndim == 2 and (mask := position_mask(batch, losses.shape[1])) is not None:
            kept = kept & mask.cpu()
        place = kept.nonzero()
        found.append(
            (
                judge.loss.prediction(output).cpu()[kept],
                batch.target.cpu()[kept],
                weight.double()[place[:, 0]],
                losses.cpu().double()[kept],
                (torch.ones_like(losses) if own is None else own).cpu().double()[kept],
                place[:, 0] + first,
                place[:, -1],
            )
        )
        first += count
    output, target, weight, losses, loss_weights, row, position = (torch.cat(part) for part in zip(*found, strict=True))
    belongs = row if groups is None else groups[row]
    units, unit = torch.unique(belongs, return_inverse=True)
    return Answers(
        task=judge.io.task,
        output=output,
        target=target,
        weight=weight,
        losses=losses,
        loss_weights=loss_weights,
        row=row,
        position=position if outputs.ndim == 3 else None,
        unit=unit,
        units=len(units),
        grouped=groups is not None,
        weighted=weighted,
    )
