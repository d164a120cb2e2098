"""`folds.json`: which rows each fold of a run holds out, and which decide its best epoch."""

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dlcli import atomic
from dlcli.contracts.folds import Fold
from dlcli.errors import DataError
from dlcli.experiment.run_directory import RunDirectory
from dlcli.untrusted import read_json, reason

FORMAT = 1


def write_folds(run: RunDirectory, folds: Sequence[Fold]) -> None:
    """Write the folds of a run: rows as places in the dataset's splits train, val, test, laid end to end.

    Args:
        run: The run's directory.
        folds: Its folds.
    """
    listed = [
        {
            "held_out": fold.held_out.tolist(),
            "training": fold.training.tolist(),
            "validation": None if fold.validation is None else fold.validation.tolist(),
        }
        for fold in folds
    ]
    # A line a fold: millions of rows, a line each, would be no use to anyone.
    lines = ",\n".join(json.dumps(fold) for fold in listed)
    atomic.write_text(run.folds, f'{{"format": {FORMAT}, "folds": [\n{lines}\n]}}\n')


def read_folds(run: RunDirectory) -> tuple[Fold, ...]:
    """Read the folds of a run.

    Args:
        run: The run's directory.

    Returns:
        Its folds.

    Raises:
        DataError: The file is missing, damaged or of another format.
    """
    try:
        table = read_json(run.folds)
        if table["format"] != FORMAT:
            raise DataError(f"{run.folds} has format {table['format']!r}; this dlcli reads format {FORMAT}")
        return tuple(
            Fold(
                row_numbers(fold["held_out"]),
                row_numbers(fold["training"]),
                None if fold["validation"] is None else row_numbers(fold["validation"]),
            )
            for fold in table["folds"]
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"cannot read the folds {run.folds}: {reason(error)}; restore the file, or train again"
        ) from None


def row_numbers(values: Any) -> Tensor:
    """Return rows that a file lists.

    Args:
        values: A list of whole numbers ≥ 0.

    Returns:
        The same, int64.

    Raises:
        ValueError: It is something else.
    """
    if not isinstance(values, list) or not set(map(type, values)) <= {int}:
        raise ValueError("rows are no list of whole numbers")
    try:
        found = torch.tensor(values, dtype=torch.int64)
    except (RuntimeError, OverflowError):
        raise ValueError("a row is too large a number") from None
    if len(found) and int(found.min()) < 0:
        raise ValueError(f"there is no row {int(found.min())}")
    return found


def same_folds(first: Sequence[Fold], second: Sequence[Fold]) -> bool:
    """Return whether two lists of folds are the same."""

    def rows(fold: Fold) -> list[list[int]]:
        parts = (fold.held_out, fold.training, fold.validation)
        return [[] if part is None else part.tolist() for part in parts]

    return [rows(fold) for fold in first] == [rows(fold) for fold in second]
