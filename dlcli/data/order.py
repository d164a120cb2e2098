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


def balanced_rows(rows: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Draw rows with replacement, every class that has any with the same probability, and within a class every row.

    Args:
        rows: Rows to draw from (N,), int64.
        labels: The class of each of them (N,), whole numbers ≥ 0.
        generator: What to draw with.

    Returns:
        As many rows (N,).
    """
    counts = torch.bincount(labels)
    counts = counts[counts > 0]  # of the classes that have rows, in their order
    by_class = rows.index_select(0, torch.argsort(labels, stable=True))
    starts = counts.cumsum(0) - counts
    drawn = torch.randint(len(counts), (len(rows),), generator=generator)
    within = torch.rand(len(rows), generator=generator, dtype=torch.float64) * counts[drawn]
    # A product with a number just below 1 may round up to the count.
    return by_class.index_select(0, starts[drawn] + within.long().minimum(counts[drawn] - 1))


def epoch_rows(
    rows: Tensor,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    drop_last: bool = False,
    labels: Tensor | None = None,
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
        labels: The class of each training row (N,), to draw as many rows with classes balanced; None for each row once.

    Returns:
        Rows (steps, B), int64, and the weights (B,) of the last batch, float32, 1 for rows and 0 for filler; None where
        it needed no filler.

    Raises:
        DataError: There would be no batch.
    """
    count = len(rows)
    steps = count_steps(count, batch_size, drop_last)
    if labels is None:
        order = rows.index_select(0, torch.randperm(count, generator=stream(seed, "order", epoch)))
    else:
        order = balanced_rows(rows, labels, stream(seed, "sampling", epoch))
    wanted = steps * batch_size
    if wanted <= count:
        return order[:wanted].view(steps, batch_size), None
    filled = order.index_select(0, torch.arange(wanted) % count).view(steps, batch_size)
    real = count - (steps - 1) * batch_size
    return filled, (torch.arange(batch_size) < real).to(torch.float32)
