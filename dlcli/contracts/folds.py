"""Folds as data."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Folds:
    """A partition of rows.

    Args:
        held_out: For every fold its held-out rows, int64, sorted; together they are all rows, each once.
    """

    held_out: tuple[Tensor, ...]


@dataclass(frozen=True)
class Fold:
    """One round of cross-validation: three parts that share no row and together are all rows of the folds.

    Args:
        held_out: Rows that are scored and that nothing else looks at, int64, sorted.
        training: Rows to train on, and to fit preprocessing on, int64, sorted.
        validation: Rows that decide the best epoch and stopping, int64, sorted; None where nothing needs them.
    """

    held_out: Tensor
    training: Tensor
    validation: Tensor | None
