"""Answers about rows: as arrays, and as lines that people and programs read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from torch import Tensor

from dlcli.contracts.task import Task
from dlcli.data.conversion import CellError
from dlcli.experiment.models.interface import PREDICTION, PROBABILITIES, SPREAD, Interface

Record = dict[str, Any]
"""One line: `row`, where they apply `split` and `position`, `prediction`, `probabilities`, and `spread`."""


@dataclass(frozen=True)
class PredictedRows:
    """Answers about some rows; with T positions or, where each row has one answer, without.

    Args:
        rows: Row numbers, int64 (B,).
        splits: Position of each row's split in the source's `splits`, int64 (B,); None without splits.
        prediction: Class indices, int64 (B[, T]); of multilabel 0 and 1, uint8 (B[, T], L); of regression targets,
            float32 (B[, T], R).
        probabilities: (B[, T], C); None for regression.
        spread: (B[, T], C) or of targets (B[, T], R); None where there are no members that differ.
        positions: Position of each line, int64 (B,), once they are lines; else None.
        valid: Which positions are no padding, bool (B, T); None where all count.
    """

    rows: np.ndarray
    splits: np.ndarray | None
    prediction: np.ndarray
    probabilities: np.ndarray | None
    spread: np.ndarray | None
    positions: np.ndarray | None = None
    valid: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: np.ndarray) -> "PredictedRows":
        """Return some of the lines."""

        def some(values: np.ndarray | None) -> np.ndarray | None:
            return None if values is None else values[places]

        return PredictedRows(
            self.rows[places],
            some(self.splits),
            self.prediction[places],
            some(self.probabilities),
            some(self.spread),
            some(self.positions),
        )

    def lines(self, interface: Interface) -> "PredictedRows":
        """Return the same with one line an answer: where there are T positions, one each, padding left out."""
        if not interface.per_position:
            return self
        count, steps = self.prediction.shape[:2]
        valid = np.ones((count, steps), dtype=bool) if self.valid is None else self.valid
        row, position = np.nonzero(valid)
        return PredictedRows(
            self.rows[row],
            None if self.splits is None else self.splits[row],
            self.prediction[valid],
            None if self.probabilities is None else self.probabilities[valid],
            None if self.spread is None else self.spread[valid],
            position,
        )


def predicted_rows(
    interface: Interface,
    outputs: Mapping[str, Tensor],
    rows: np.ndarray,
    splits: np.ndarray | None,
    valid: np.ndarray | None,
) -> PredictedRows:
    """Read outputs.

    Args:
        interface: How.
        outputs: Of the rows, by name, on the CPU.
        rows: Their row numbers.
        splits: Their splits.
        valid: Which positions are no padding.

    Returns:
        The answers: the most probable class, the first winning a tie; labels, and the 1 of binary, above ½.

    Raises:
        CellError: An answer is NaN or infinite.
    """
    spread = outputs[SPREAD].numpy() if SPREAD in interface.outputs else None
    if interface.task is Task.REGRESSION:
        said = outputs[PREDICTION]
        prediction: np.ndarray = said.numpy().astype(np.float32, copy=False)
    else:
        said = outputs[PROBABILITIES]
        if interface.task is Task.MULTICLASS:
            prediction = said.argmax(dim=-1).numpy()
        elif interface.task is Task.BINARY:
            prediction = (said[..., 0] > 0.5).numpy().astype(np.int64)
        else:
            prediction = (said > 0.5).numpy().astype(np.uint8)
    if not bool(said.sum().isfinite()) and not bool(said.isfinite().all()):
        first = int((~said.isfinite()).flatten(1).any(dim=1).nonzero()[0])
        told = "is not a finite number; its values are far from those that it was trained on, or it is damaged"
        row = int(rows[first])
        message = f"the model's answer for row {row} {told}: look at that row"
        raise CellError(message, f"the model's answer {told}", row, None)
    return PredictedRows(
        rows, splits, prediction, said.numpy() if interface.task.classifies else None, spread, None, valid
    )


def confidence(lines: PredictedRows, task: Task) -> np.ndarray:
    """Return how sure each answer is: the probability of what was predicted; of labels its mean over them.

    Args:
        lines: Lines of a task with classes.
        task: The task.

    Returns:
        Numbers in [0, 1], (B,).
    """
    said = cast(np.ndarray, lines.probabilities)
    if task is Task.MULTICLASS:
        return cast(np.ndarray, said.max(axis=-1))
    return cast(np.ndarray, np.maximum(said, 1 - said).mean(axis=-1))


def column_names(interface: Interface) -> tuple[str, ...]:
    """Return a name for each column of the answers, each once."""
    names = interface.columns
    return names if len(set(names)) == len(names) else tuple(f"{name}_{i}" for i, name in enumerate(names))


def probability_names(interface: Interface) -> tuple[str, ...]:
    """Return a name for each probability that people read: of binary those of both classes."""
    if interface.task is not Task.BINARY:
        return column_names(interface)
    return interface.classes if len(set(interface.classes)) == 2 else ("0", "1")


def records(lines: PredictedRows, interface: Interface, splits: Sequence[str]) -> Iterator[Record]:
    """Return lines as people read them: classes by name, figures by the names of their columns.

    Args:
        lines: One line an answer.
        interface: How to read them.
        splits: Names of the source's splits.

    Yields:
        Record: A line.
    """
    names, task, classes = column_names(interface), interface.task, interface.classes
    said = lines.prediction if task is Task.REGRESSION else cast(np.ndarray, lines.probabilities)
    if task is Task.BINARY:
        said, names = np.concatenate([1 - said, said], axis=-1), probability_names(interface)
    figures = _short(said)
    chosen = None if task is Task.REGRESSION else lines.prediction.tolist()
    spreads = None if lines.spread is None else _short(lines.spread)
    for i in range(len(lines)):
        record: Record = {"row": int(lines.rows[i])}
        if lines.splits is not None:
            record["split"] = splits[lines.splits[i]]
        if lines.positions is not None:
            record["position"] = int(lines.positions[i])
        by_name = dict(zip(names, figures[i], strict=True))
        if chosen is None:
            record["prediction"] = by_name
        elif task is Task.MULTILABEL:
            record["prediction"] = [name for name, there in zip(classes, chosen[i], strict=True) if there]
            record["probabilities"] = by_name
        else:
            record["prediction"] = classes[chosen[i]]
            record["probabilities"] = by_name
        if spreads is not None:
            several = task in (Task.REGRESSION, Task.MULTILABEL)
            place = chosen[i] if chosen is not None and task is Task.MULTICLASS else 0
            record["spread"] = dict(zip(names, spreads[i], strict=True)) if several else spreads[i][place]
        yield record


def _short(values: np.ndarray) -> list[list[float]]:
    """Return float32 as the shortest numbers that stand for them: 0.1, not 0.10000000149011612."""
    shortest: list[list[float]] = values.astype(np.float32).astype("U32").astype(np.float64).tolist()
    return shortest
