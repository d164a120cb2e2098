import numpy as np
import pytest
import torch
from answers import made
from sklearn.metrics import (
    confusion_matrix,
    mean_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    root_mean_squared_error,
)

from dlcli.experiment.evaluation.tables import (
    calibration_table,
    class_figures,
    confusion_of,
    macro_average,
    target_figures,
)

CLASSES = ("ash", "oak", "elm", "fir")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def multiclass():
    """The last class is never predicted."""
    output = torch.randn(200, 4, generator=generator())
    output[:, 3] = -10
    return made(
        "multiclass",
        output,
        torch.randint(4, (200,), generator=generator(1)),
        weight=torch.rand(200, generator=generator(2)),
    )


def scikit_learns(true, predicted, weight, **options):
    return precision_recall_fscore_support(true, predicted, sample_weight=weight, zero_division=np.nan, **options)


def check(figures, expected):
    for each, *values in zip(figures, *expected, strict=True):
        ours = [np.nan if value is None else value for value in (each.precision, each.recall, each.f1, each.support)]
        assert ours == pytest.approx(values, nan_ok=True)


def test_confusion_and_classes_are_scikit_learns(multiclass):
    confusion = confusion_of(multiclass, CLASSES)
    predicted = multiclass.output.argmax(1)
    expected = confusion_matrix(multiclass.target, predicted, sample_weight=multiclass.weight)
    assert np.array(confusion.matrix()) == pytest.approx(expected)
    assert confusion.as_json() == {"classes": list(CLASSES), "matrix": confusion.matrix()}
    figures = class_figures(multiclass, CLASSES, confusion)
    assert figures[3].precision is None
    check(figures, scikit_learns(multiclass.target, predicted, multiclass.weight))
    macro = precision_recall_fscore_support(
        multiclass.target, predicted, sample_weight=multiclass.weight, average="macro", zero_division=0
    )
    mean = macro_average(figures)
    assert (mean.precision, mean.recall, mean.f1) == pytest.approx(macro[:3])


def test_pairs_are_told_the_most_confused_first():
    output = torch.eye(3)[torch.tensor([0, 1, 1, 1, 2, 0, 0])]
    answers = made("multiclass", output, torch.tensor([0, 0, 0, 2, 2, 1, 1]))
    confusion = confusion_of(answers, CLASSES[:3])
    assert confusion.most_confused(5) == [("ash", "oak", 2), ("oak", "ash", 2), ("elm", "oak", 1)]
    assert confusion.most_confused(1) == [("ash", "oak", 2)]


def test_of_many_classes_only_cells_are_written():
    names = tuple(map(str, range(101)))
    answers = made("multiclass", torch.eye(101)[[7, 100, 100]], torch.tensor([7, 3, 3]))
    assert confusion_of(answers, names).as_json() == {"classes": list(names), "cells": [[3, 100, 2.0], [7, 7, 1.0]]}


def test_binary_and_labels_are_decided_by_the_sign_of_the_output():
    output = torch.randn(150, 3, generator=generator())
    target = (output + torch.randn(150, 3, generator=generator(1)) > 0.3).float()
    weight = torch.rand(150, generator=generator(2))
    labels = made("multilabel", output, target, weight=weight)
    assert confusion_of(labels, CLASSES[:3]) is None
    check(class_figures(labels, CLASSES[:3], None), scikit_learns(target, output > 0, weight))
    binary = made("binary", output[:, :1], target[:, :1], weight=weight)
    confusion = confusion_of(binary, ("no", "yes"))
    expected = confusion_matrix(target[:, 0], output[:, 0] > 0, sample_weight=weight)
    assert np.array(confusion.matrix()) == pytest.approx(expected)
    check(class_figures(binary, ("no", "yes"), confusion), scikit_learns(target[:, 0], output[:, 0] > 0, weight))


def test_calibration_puts_answers_into_the_bins_of_ece(plugins):
    """Confidences 0.55, 0.55, 0.85, 0.95 in ten bins; the first and the last are right."""
    p = torch.tensor([0.55, 0.55, 0.15, 0.95])
    answers = made("binary", p.logit().unsqueeze(1), torch.tensor([[1.0], [0.0], [1.0], [1.0]]))
    table = calibration_table(answers, plugins.registry.create("metric", "ece", bins=10))
    told = {round(each.low, 2): (each.weight, each.confidence, each.accuracy) for each in table.bins if each.weight}
    assert len(table.bins) == 10
    assert told[0.5] == pytest.approx((2, 0.55, 0.5))
    assert told[0.8] == pytest.approx((1, 0.85, 0))
    assert told[0.9] == pytest.approx((1, 0.95, 1))
    assert table.ece == pytest.approx((2 * 0.05 + 0.85 + 0.05) / 4)
    empty = table.bins[0]
    assert (empty.low, empty.high, empty.weight, empty.confidence, empty.accuracy) == (0, 0.1, 0, None, None)


def test_targets_are_scikit_learns_and_residuals_numpys():
    target = torch.randn(90, 2, generator=generator()) * 3
    output = target + torch.randn(90, 2, generator=generator(1))
    weight = torch.randint(1, 4, (90,), generator=generator(2)).float()
    found = target_figures(made("regression", output, target, weight=weight), ("height", "width"))
    for place, each in enumerate(found):
        pair = target[:, place], output[:, place]
        assert each.mae == pytest.approx(mean_absolute_error(*pair, sample_weight=weight), rel=1e-5)
        assert each.rmse == pytest.approx(root_mean_squared_error(*pair, sample_weight=weight), rel=1e-5)
        assert each.r2 == pytest.approx(r2_score(*pair, sample_weight=weight), rel=1e-5)
        residual = (output - target)[:, place].repeat_interleave(weight.long()).numpy()
        expected = np.quantile(residual, list(each.residuals), method="inverted_cdf")
        assert list(each.residuals.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    assert [each.name for each in found] == ["height", "width"]
    assert "points" not in found[0].as_json()
    still = target_figures(made("regression", output, torch.full_like(target, 3.3)), ("height", "width"))
    assert still[0].r2 is None
