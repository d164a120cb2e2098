"""Folds as data."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

FoldKind = Literal["kfold", "stratified", "grouped", "leave_one_group_out", "time_ordered"]
"""How rows are divided: at random, by class, in whole groups, a group a fold, or in the order of time."""


@dataclass(frozen=True)
class Folds:
    """A partition of rows.

    Args:
        held_out: For every fold its held-out rows, int64, sorted; together they are all rows, each once.
    """

    held_out: tuple[Tensor, ...]


@dataclass(frozen=True)
class Fold:
    """One round of cross-validation: three parts that share no row.

    Together they are all rows of the folds, but in the order of time, where later rows are left out.

    Args:
        held_out: Rows that are scored and that nothing else looks at, int64, sorted.
        training: Rows to train on, and to fit preprocessing on, int64, sorted.
        validation: Rows that decide the best epoch and stopping, int64, sorted; None where nothing needs them.
    """

    held_out: Tensor
    training: Tensor
    validation: Tensor | None


def digest(folds: Sequence[Fold]) -> str:
    """Return what tells folds from others: the SHA-256 of their rows.

    Of every fold the number of its held-out rows and these, then those of all others, for training and to choose the
    best epoch by, sorted; int64 little-endian. So folds are the same whatever part of the training rows a run chooses
    the best epoch by.

    Args:
        folds: The folds.

    Returns:
        64 hexadecimal digits; the same folds have the same, on every machine.
    """
    found = hashlib.sha256()
    for fold in folds:
        others = fold.training if fold.validation is None else torch.cat([fold.training, fold.validation])
        for rows in (fold.held_out, others.sort().values):
            found.update(len(rows).to_bytes(8, "little"))
            found.update(rows.numpy().astype("<i8").tobytes())
    return found.hexdigest()
