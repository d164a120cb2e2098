"""The order of rows in an epoch, in full batches; the same for every engine."""

import torch
from torch import Tensor

from dlcli.contracts.randomness import stream
from dlcli.errors import DataError


def count_steps(rows: int, batch_size: int, drop_last: bool) -> int:
    """Return the number of batches in an epoch.

    Args:
        rows: Training rows.
        batch_size: Rows in a batch.
        drop_last: Whether a short last batch is left out instead of filled.

    Returns:
        At least 1.

    Raises:
        DataError: There would be no batch.
    """
    steps = rows // batch_size if drop_last else -(-rows // batch_size)
    if not rows:
        raise DataError("there are no training rows; an epoch needs at least one")
    if not steps:
        raise DataError(
            f"train.drop_last leaves no batch: {rows} training rows, train.batch_size {batch_size}; use a batch size "
            f"of at most {rows}, or train.drop_last = false"
        )
    return steps


def epoch_rows(
    rows: Tensor, batch_size: int, *, seed: int, epoch: int, drop_last: bool = False
) -> tuple[Tensor, Tensor | None]:
    """Return the rows of every batch of one epoch; a function of its arguments alone.

    Every batch is full. A short last one is filled with the first rows of the epoch again, as often as it takes; they
    count 0 in the loss, so that filler is seen by batch normalization and by nothing else.

    Args:
        rows: The member's training rows (N,), int64.
        batch_size: Rows B in a batch.
        seed: The member's.
        epoch: Number of the epoch, from 1.
        drop_last: Whether a short last batch is left out instead of filled.

    Returns:
        Rows (steps, B), int64, and the weights (B,) of the last batch, float32, 1 for rows and 0 for filler; None where
        it needed no filler.

    Raises:
        DataError: There would be no batch.
    """
    count = len(rows)
    steps = count_steps(count, batch_size, drop_last)
    order = rows.index_select(0, torch.randperm(count, generator=stream(seed, "order", epoch)))
    wanted = steps * batch_size
    if wanted <= count:
        return order[:wanted].view(steps, batch_size), None
    filled = order.index_select(0, torch.arange(wanted) % count).view(steps, batch_size)
    real = count - (steps - 1) * batch_size
    return filled, (torch.arange(batch_size) < real).to(torch.float32)
