"""The rows that a model answers worst, and where they are in the file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dlcli.contracts.task import Task
from dlcli.data.hdf5 import open_hdf5
from dlcli.data.inspection import inspect
from dlcli.data.mapping import FieldMapping
from dlcli.errors import UsageError
from dlcli.experiment.evaluation.answers import Answers

Value = str | float | tuple[str, ...] | tuple[float, ...]
"""A class, a target; or labels, targets."""


@dataclass(frozen=True)
class WorstRow:
    """A row with a high loss; rows are counted from 0.

    Args:
        row: Its number within the split.
        place: Where it is in the file: the group of a split, and its number there; only a number in a file without.
        loss: Its loss, unweighted; of a row with several positions the mean over them.
        true: What is true: a class, labels, a target or targets.
        predicted: What the model says.
        probability: The probability of what it says; of labels the least of theirs. None for regression.
        probability_of_true: The probability that it gives to what is true, likewise.
        position: Of a row with several positions that with the highest loss, to which the answer belongs; else None.
    """

    row: int
    place: str
    loss: float
    true: Value
    predicted: Value
    probability: float | None
    probability_of_true: float | None
    position: int | None = None


def check_worst(worst: int) -> int:
    """Return how many of the worst rows are wanted.

    Args:
        worst: What was asked for.

    Returns:
        The same.

    Raises:
        UsageError: It is negative.
    """
    if worst < 0:
        raise UsageError(f"--worst is a number of rows, 0 or more; got {worst}: take 5")
    return worst


def worst_rows(
    answers: Answers, classes: tuple[str, ...], count: int, rows: Tensor, parts: Mapping[str, int]
) -> tuple[WorstRow, ...]:
    """Return the rows with the highest loss, highest first; rows of weight 0 are left out.

    Args:
        answers: The answers.
        classes: Names of the classes or labels.
        count: How many rows at most.
        rows: Which rows of the dataset the rows of the split are, int64 (R,).
        parts: Rows of each group of the file, as `parts_of_file` says.

    Returns:
        The rows; of those with one loss the first ones.
    """
    sums, numbers = torch.zeros(2, len(rows), dtype=torch.float64)
    means = sums.index_add_(0, answers.row, answers.losses) / numbers.index_add_(
        0, answers.row, torch.ones_like(answers.losses)
    )
    # What is not a number, or has no answer, has no place among losses.
    order = torch.where(means.isnan(), -torch.inf, means).argsort(descending=True, stable=True)[:count]
    found = []
    for row in order.tolist():
        if means[row].isnan():
            continue
        # Answers are in the order of their rows.
        start, stop = torch.searchsorted(answers.row, torch.tensor([row, row + 1])).tolist()
        place = start + int(answers.losses[start:stop].argmax())
        true, predicted, sure, sure_of_true = _told(answers, place, classes)
        position = None if answers.position is None else int(answers.position[place])
        where = place_of(int(rows[row]), parts)
        found.append(WorstRow(row, where, float(means[row]), true, predicted, sure, sure_of_true, position))
    return tuple(found)


def _told(answers: Answers, place: int, classes: tuple[str, ...]) -> tuple[Value, Value, float | None, float | None]:
    """Return what is true of an answer, what the model says, and the probabilities of both."""
    output, target, _ = answers.part(slice(place, place + 1), as_probabilities=True)
    said, true = output[0], target[0]
    if answers.task is Task.REGRESSION:
        values = tuple(true.tolist()), tuple(said.tolist())
        return (values[0][0], values[1][0], None, None) if len(values[0]) == 1 else (*values, None, None)
    if answers.task is Task.MULTICLASS:
        best = int(said.argmax())
        return classes[int(true)], classes[best], float(said[best]), float(said[int(true)])
    # As the metric accuracy decides: by the sign of the output.
    yes, holds = answers.output[place] > 0, true > 0
    sure, sure_of_true = (float(torch.where(each, said, 1 - said).min()) for each in (yes, holds))
    if answers.task is Task.BINARY:
        return classes[int(holds)], classes[int(yes)], sure, sure_of_true
    return _labels(holds, classes), _labels(yes, classes), sure, sure_of_true


def _labels(holds: Tensor, classes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name, there in zip(classes, holds.tolist(), strict=True) if there)


def parts_of_file(path: Path, fields: Mapping[str, FieldMapping]) -> dict[str, int]:
    """Return the groups of splits that a file has, in the order of the dataset's rows, with their numbers of rows.

    Args:
        path: The file.
        fields: The recipe's `[data.fields]`.

    Returns:
        Rows by group; nothing for a file without groups of splits.

    Raises:
        DataError: The file cannot be read.
    """
    with open_hdf5(path) as file:
        inspection = inspect(file, fields)
        return inspection.sizes if inspection.layout.form == "groups" else {}


def place_of(row: int, parts: Mapping[str, int]) -> str:
    """Return where a row of the dataset is in the file."""
    for group, size in parts.items():
        if row < size:
            return f"{group}/{row}"
        row -= size
    return str(row)
