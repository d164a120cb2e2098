"""Several batches that make one optimizer step, weighed as one batch of all their rows would be."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from dlcli.contracts.batch import Batch
from dlcli.contracts.loss import Loss
from dlcli.contracts.regularizer import MixedBatch
from dlcli.training.objective import batch_weight, row_weights

StepBatch = Batch | list[Batch]
"""What a step is taken on: a batch, or several."""


class Share(NamedTuple):
    """What a batch has to know of the others that make a step with it.

    Args:
        weight: Σ w · row · mask over all of them, 0-d: what each one's Σ w · row · mask · ℓ is divided by.
        rows: Σ of row weights over all of them, 0-d.
        batches: How many they are.
        last: Whether it is the last: what is added once a step is added there.
    """

    weight: Tensor
    rows: Tensor
    batches: int
    last: bool


def step_batches(batches: Iterable[Batch], accumulate: int) -> Iterator[StepBatch]:
    """Put batches together by optimizer steps; the last step of an epoch may have fewer.

    Args:
        batches: Those of an epoch.
        accumulate: How many make a step, ≥ 1.

    Returns:
        The batches themselves for 1; lists otherwise.
    """
    source = iter(batches)
    if accumulate == 1:
        return source
    return iter(lambda: list(islice(source, accumulate)), [])


def counted_rows(batch: StepBatch) -> Tensor | int:
    """Return the sum of the row weights of a step's batches: their number of rows where all count 1."""
    if isinstance(batch, list):
        return sum(map(counted_rows, batch))
    return len(batch.target) if batch.weight is None else batch.weight.sum()


def shares(loss: Loss, batches: Sequence[Batch], mixed: Sequence[MixedBatch], *, per_position: bool) -> list[Share]:
    """Return what part each batch of a step is of it.

    Args:
        loss: May weigh samples by their target.
        batches: Of one step.
        mixed: The same after the regularizers that change them.
        per_position: Whether there is a target for each of T positions.

    Returns:
        One entry a batch.
    """
    parts = [
        batch_weight(loss, changed.targets, changed.weight, batch, per_position=per_position)
        for batch, changed in zip(batches, mixed, strict=True)
    ]
    weight = torch.stack(parts).sum()
    rows = torch.stack([row_weights(batch).sum() for batch in batches]).sum()
    return [Share(weight, rows, len(parts), place == len(parts)) for place in range(1, len(parts) + 1)]
