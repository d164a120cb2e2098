"""What is kept of answers while they stream by: counts and sums, the first rows, and the most and least certain."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dlcli.contracts.task import Task
from dlcli.experiment.models.interface import Interface
from dlcli.experiment.prediction.rows import PredictedRows, Record, column_names, confidence, records


class Certainty:
    """Keeps the lines that stand at one end, in bounded memory; of equal ones the earlier.

    Args:
        count: How many.
        most: Whether those with the largest certainty are kept, else those with the smallest.
    """

    def __init__(self, count: int, *, most: bool) -> None:
        self._count, self._sign = count, -1.0 if most else 1.0
        self._kept: list[tuple[float, int, Record]] = []

    def wanted(self, certainty: np.ndarray) -> np.ndarray:
        """Return which lines of some may be among those that are kept, in their order."""
        keys = self._sign * certainty
        places = np.argsort(keys, kind="stable")[: self._count]
        if len(self._kept) == self._count:
            places = places[keys[places] < self._kept[-1][0]]
        return np.sort(places)

    def add(self, certainty: np.ndarray, order: np.ndarray, found: Sequence[Record]) -> None:
        """Take lines with their certainty and their place in the order of all."""
        keys = (self._sign * certainty).tolist()
        self._kept += zip(keys, order.tolist(), found, strict=True)
        self._kept = sorted(self._kept, key=lambda entry: entry[:2])[: self._count]

    @property
    def records(self) -> list[Record]:
        """What is kept, the most extreme first."""
        return [record for _, _, record in self._kept]


class Tally:
    """Counts answers.

    Args:
        interface: How they are read.
        splits: Names of the source's splits.
        show: How many of the first lines to keep.
        explain: How many of the most and of the least certain lines to keep.
    """

    def __init__(self, interface: Interface, splits: Sequence[str], show: int, explain: int) -> None:
        self._interface, self._splits, self._show = interface, splits, show
        columns = len(column_names(interface))
        self.rows = self.lines = 0
        self.shown: list[Record] = []
        self.most, self.least = Certainty(explain, most=True), Certainty(explain, most=False)
        self._explain = explain
        self._counts = np.zeros(len(interface.classes), dtype=np.int64)
        self._confidence = 0.0
        self._sum = np.zeros(columns)
        self._lowest, self._highest = np.full(columns, np.inf), np.full(columns, -np.inf)

    def add(self, rows: PredictedRows) -> None:
        """Take answers about the next rows."""
        lines = rows.lines(self._interface)
        task = self._interface.task
        if task is Task.REGRESSION:
            values = lines.prediction.reshape(len(lines), -1).astype(np.float64)
            if len(values):
                self._sum += values.sum(axis=0)
                self._lowest = np.minimum(self._lowest, values.min(axis=0))
                self._highest = np.maximum(self._highest, values.max(axis=0))
        else:
            sure = confidence(lines, task)
            self._confidence += float(sure.sum(dtype=np.float64))
            if task is Task.MULTILABEL:
                self._counts += lines.prediction.sum(axis=0, dtype=np.int64)
            else:
                self._counts += np.bincount(lines.prediction, minlength=len(self._counts))
        if missing := max(0, self._show - len(self.shown)):
            first = lines.take(np.arange(min(missing, len(lines))))
            self.shown += records(first, self._interface, self._splits)
        if self._explain:
            # Targets may have different units; their spreads are averaged as they are.
            spread = lines.spread
            certainty = sure if task.classifies else -np.asarray(spread).reshape(len(lines), -1).mean(axis=1)
            for end in (self.most, self.least):
                places = end.wanted(certainty)
                found = list(records(lines.take(places), self._interface, self._splits))
                end.add(certainty[places], self.lines + places, found)
        self.rows += len(rows)
        self.lines += len(lines)

    @property
    def counts(self) -> dict[str, int] | None:
        """How many lines each class or label was predicted for; None for regression."""
        if not self._interface.task.classifies:
            return None
        return dict(zip(self._interface.classes, self._counts.tolist(), strict=True))

    @property
    def mean_confidence(self) -> float | None:
        """Mean of what `confidence` says of lines; None for regression, or without lines."""
        return self._confidence / self.lines if self._interface.task.classifies and self.lines else None

    @property
    def targets(self) -> dict[str, dict[str, Any]] | None:
        """Mean, lowest and highest prediction of each target; None for tasks with classes, or without lines."""
        if self._interface.task.classifies or not self.lines:
            return None
        figures = zip((self._sum / self.lines).tolist(), self._lowest.tolist(), self._highest.tolist(), strict=True)
        return {
            name: dict(zip(("mean", "lowest", "highest"), entry, strict=True))
            for name, entry in zip(column_names(self._interface), figures, strict=True)
        }
