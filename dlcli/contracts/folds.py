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
