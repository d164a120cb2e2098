"""Tables of an evaluation: confusion of classes, figures of each class, label or target, and calibration."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dlcli.contracts.metric import Metric
from dlcli.contracts.task import Task
from dlcli.experiment.evaluation.answers import Answers

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
"""Which quantiles of residuals are told."""
POINTS = 1000
"""Most answers of a regression that are kept for a picture."""
DENSE = 100
"""Up to so many classes a confusion matrix is written as rows of numbers, else as a list of cells that are not 0."""


@dataclass(frozen=True)
class Confusion:
    """How often a class was taken for another.

    Args:
        classes: Names of the classes.
        cells: True class, predicted class, and the weight of such answers, in that order, where it is not 0; the
            weight is their number where rows have no weights.
    """

    classes: tuple[str, ...]
    cells: tuple[tuple[int, int, float], ...]

    def matrix(self) -> list[list[float]]:
        """Return it with a line for each true class and a column for each predicted one."""
        table = [[0.0] * len(self.classes) for _ in self.classes]
        for true, predicted, amount in self.cells:
            table[true][predicted] = amount
        return table

    def most_confused(self, count: int) -> list[tuple[str, str, float]]:
        """Return the pairs that were confused most: true class, predicted class, weight; largest first."""
        wrong = sorted((cell for cell in self.cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], cell[:2]))
        return [(self.classes[true], self.classes[predicted], amount) for true, predicted, amount in wrong[:count]]

    def as_json(self) -> dict[str, object]:
        """Return what is written: the matrix, or of more than 100 classes the cells that are not 0."""
        inside = {"matrix": self.matrix()} if len(self.classes) <= DENSE else {"cells": [*map(list, self.cells)]}
        return {"classes": list(self.classes), **inside}


@dataclass(frozen=True)
class ClassFigures:
    """Figures of one class or label; None where undefined: nothing predicted as it, or nothing that is it.

    Args:
        name: Its name.
        precision: Share of the answers predicted as it that are it.
        recall: Share of those that are it that were predicted as it.
        f1: 2 · right / (predicted + true).
        support: Weight of the answers that are it; their number where rows have no weights.
    """

    name: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: float


@dataclass(frozen=True)
class CalibrationBin:
    """Answers of about one confidence.

    Args:
        low: Lower edge of the bin, which belongs to it.
        high: Upper edge, which does not.
        weight: Weight of its answers; their number where rows have no weights. A label of L counts 1/L.
        confidence: Their mean confidence; None in an empty bin.
        accuracy: Share of right ones; None in an empty bin.
    """

    low: float
    high: float
    weight: float
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class CalibrationTable:
    """Confidence against accuracy, as the metric `ece` has it.

    Args:
        bins: All bins, in order.
        ece: Σ (weight / all) |accuracy − confidence|.
    """

    bins: tuple[CalibrationBin, ...]
    ece: float


@dataclass(frozen=True)
class TargetFigures:
    """Figures of one target of a regression, in its units.

    Args:
        name: Its name.
        mae: Mean absolute error.
        rmse: Root mean squared error.
        r2: 1 − Σ (ŷ − y)² / Σ (y − mean y)²; None where the target does not vary.
        residuals: Quantiles of ŷ − y by their share: the smallest residual up to which that share of the weight lies.
        points: Some answers, true and predicted, for a picture; not written.
    """

    name: str
    mae: float
    rmse: float
    r2: float | None
    residuals: dict[float, float]
    points: tuple[tuple[float, float], ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, object]:
        """Return what is written."""
        residuals = {f"{share:g}": value for share, value in self.residuals.items()}
        return {"name": self.name, "mae": self.mae, "rmse": self.rmse, "r2": self.r2, "residuals": residuals}


def confusion_of(answers: Answers, classes: tuple[str, ...]) -> Confusion | None:
    """Return the confusion of classes; None but for binary and multiclass."""
    if answers.task is Task.MULTICLASS:
        true, predicted = answers.target, answers.output.argmax(dim=-1)
    elif answers.task is Task.BINARY:
        true, predicted = (answers.target[:, 0] > 0).long(), (answers.output[:, 0] > 0).long()
    else:
        return None
    codes, places = torch.unique(true * len(classes) + predicted, return_inverse=True)
    amounts = answers.weight.new_zeros(len(codes)).index_add_(0, places, answers.weight)
    pairs = zip(codes.tolist(), amounts.tolist(), strict=True)
    return Confusion(classes, tuple((*divmod(code, len(classes)), amount) for code, amount in pairs))


def class_figures(answers: Answers, classes: tuple[str, ...], confusion: Confusion | None) -> tuple[ClassFigures, ...]:
    """Return precision, recall, F1 and support of each class, or of each label; none for regression."""
    if answers.task is Task.MULTILABEL:
        true, predicted = answers.target > 0, answers.output > 0
        both, there, said = (answers.weight @ each.double() for each in (true & predicted, true, predicted))
        sums = zip(both.tolist(), there.tolist(), said.tolist(), strict=True)
    elif confusion is not None:
        table = torch.zeros(3, len(classes), dtype=torch.float64)
        for true_class, predicted_class, amount in confusion.cells:
            table[1, true_class] += amount
            table[2, predicted_class] += amount
            if true_class == predicted_class:
                table[0, true_class] += amount
        sums = zip(*table.tolist(), strict=True)
    else:
        return ()
    return tuple(
        ClassFigures(name, _share(both, said), _share(both, there), _share(2 * both, said + there), there)
        for name, (both, there, said) in zip(classes, sums, strict=True)
    )


def macro_average(figures: tuple[ClassFigures, ...]) -> ClassFigures:
    """Return the mean over the classes that occur; the precision of one that was never predicted counts 0."""
    there = [each for each in figures if each.support > 0]

    def mean(name: str) -> float | None:
        return sum(getattr(each, name) or 0.0 for each in there) / len(there) if there else None

    return ClassFigures("mean", mean("precision"), mean("recall"), mean("f1"), sum(each.support for each in there))


def calibration_table(answers: Answers, ece: Metric) -> CalibrationTable | None:
    """Return confidence against accuracy.

    Args:
        answers: The answers.
        ece: The metric `ece`, which puts answers into bins.

    Returns:
        The table; None for regression.
    """
    if not answers.task.classifies:
        return None
    totals: dict[str, Tensor] = {}
    for part in answers.parts(65536):
        for key, values in ece.update(*answers.part(part, as_probabilities=True)).items():
            totals[key] = totals[key] + values if key in totals else values
    bins = len(totals["weight"])
    columns = zip(*(totals[key].tolist() for key in ("weight", "confidence", "right")), strict=True)
    found = tuple(
        CalibrationBin(place / bins, (place + 1) / bins, weight, _share(confidence, weight), _share(right, weight))
        for place, (weight, confidence, right) in enumerate(columns)
    )
    return CalibrationTable(found, float(ece.compute(totals)))


def target_figures(answers: Answers, names: tuple[str, ...]) -> tuple[TargetFigures, ...]:
    """Return figures of each target; none but for regression."""
    if answers.task is not Task.REGRESSION:
        return ()
    output, target, weight = answers.part(slice(None), as_probabilities=False)
    return tuple(_figures(name, output[:, i], target[:, i].double(), weight) for i, name in enumerate(names))


def _figures(name: str, output: Tensor, target: Tensor, weight: Tensor) -> TargetFigures:
    residual, total = output - target, weight.sum()
    squares = weight @ residual.square()
    variation = weight @ (target - weight @ target / total).square()
    varies = bool(variation > 1e-13 * (weight @ target.square()))
    ordered, places = residual.sort()
    reached = weight[places].cumsum(0) / total
    shares = torch.tensor(QUANTILES, dtype=torch.float64)
    # Rounding must not carry a share that is reached exactly to the next residual.
    at = torch.searchsorted(reached, shares - 1e-12).clamp_max(len(ordered) - 1)
    shown = torch.linspace(0, len(output) - 1, min(POINTS, len(output))).long()
    return TargetFigures(
        name=name,
        mae=float(weight @ residual.abs() / total),
        rmse=float((squares / total).sqrt()),
        r2=float(1 - squares / variation) if varies else None,
        residuals=dict(zip(QUANTILES, ordered[at].tolist(), strict=True)),
        points=tuple(zip(target[shown].tolist(), output[shown].tolist(), strict=True)),
    )


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
