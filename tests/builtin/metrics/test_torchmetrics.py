import contextlib
import math
import sys
import warnings

import pytest
import torch
from torchmetrics import classification, regression

from dlcli import PluginError, Task, UsageError, probabilities
from dlcli.builtin.metrics.torchmetrics import TorchMetrics
from dlcli.testing.examples import OUTPUTS, sample_outputs
from dlcli.testing.laws.metrics import cut, figure

ROWS = 50


def rows(task, outputs=None):
    """What a metric gets: probabilities or answers, targets, and whole weights."""
    output, target = sample_outputs(task, ROWS, torch.Generator().manual_seed(0))
    if outputs == 1:
        output, target = output[:, :1], target[:, :1]
    target = target.double() if task is Task.REGRESSION else target
    return probabilities(output.double(), task), target, (torch.arange(ROWS) % 3).double()


def fitting():
    """Every class of torchmetrics with every task, and number of outputs, that it is taken for."""
    for name in sorted({*classification.__all__, *regression.__all__}):
        needs = {"beta": 2.0} if "FBeta" in name else {"p": 3.0} if name == "MinkowskiDistance" else {}
        needs |= {"num_outputs": 2} if name == "LogCoshError" else {}
        for better in (None, "higher"):
            metric = TorchMetrics(metric=name, arguments=needs, better=better)
            for task in sorted(metric.tasks):
                for outputs in (OUTPUTS[task], 1) if task is Task.REGRESSION else (OUTPUTS[task],):
                    with contextlib.suppress(ValueError):
                        metric.check(task, outputs)
                        yield metric, task, outputs


FITTING = list(fitting())


def by_torchmetrics(metric, task, output, target, weight):
    """The class itself, given every row as often as it counts, at once."""
    module = regression if task is Task.REGRESSION else classification
    prefix = next((p for p in ("Binary", "Multiclass", "Multilabel") if metric.metric.startswith(p)), "")
    size = {Task.MULTICLASS: {"num_classes": 3}, Task.MULTILABEL: {"num_labels": 4}}.get(task, {})
    given = {"task": str(task), **size} if task.classifies and not prefix else size
    if output.shape[-1] == 1:
        output, target = output.flatten(), target.flatten()
    index = torch.arange(ROWS).repeat_interleave(weight.long())
    output, target = output[index], target[index]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = getattr(module, metric.metric)(**given, **metric.arguments).set_dtype(torch.float64)
        made.update(output, target if task is Task.REGRESSION else target.long())
        return float(made.compute())


def test_most_of_torchmetrics_can_be_named():
    names = {metric.metric for metric, _, _ in FITTING}
    assert len(FITTING) > 120
    assert {"MatthewsCorrCoef", "MulticlassSpecificity", "BinaryAUROC", "PearsonCorrCoef", "R2Score"} <= names


@pytest.mark.parametrize(("metric", "task", "outputs"), FITTING, ids=lambda value: getattr(value, "metric", str(value)))
def test_the_figure_is_torchmetrics_however_rows_are_batched(metric, task, outputs):
    whole = rows(task, outputs)
    expected = by_torchmetrics(metric, task, *whole)
    for batches in ([whole], [cut(whole, 0, 1), cut(whole, 1, 20), cut(whole, 20, ROWS)]):
        assert figure(metric, *batches).item() == pytest.approx(expected, rel=1e-6, abs=1e-12, nan_ok=True)
    assert math.isnan(figure(metric, cut(whole, 0, 1)))  # its weight is 0


@pytest.mark.parametrize(
    ("name", "direction", "tasks"),
    [
        ("MeanSquaredError", "min", {"regression"}),
        ("MatthewsCorrCoef", "max", {"binary", "multiclass", "multilabel"}),
        ("CalibrationError", "min", {"binary", "multiclass"}),
        ("MultilabelRankingLoss", "min", {"multilabel"}),
        ("BinaryAUROC", "max", {"binary"}),
    ],
)
def test_direction_and_tasks_are_the_classs(registry, name, direction, tasks):
    metric = registry.create("metric", "torchmetrics", metric=name)
    assert (metric.direction, metric.tasks) == (direction, tasks)


def test_arguments_reach_the_class(registry):
    metric = registry.create("metric", "torchmetrics", metric="FBetaScore", arguments={"beta": 2.0, "average": "macro"})
    output, target, _ = rows(Task.MULTICLASS)
    ones = torch.ones(ROWS).double()
    expected = classification.MulticlassFBetaScore(2.0, 3, average="macro")(output, target)
    metric.check(Task.MULTICLASS, 3)
    assert figure(metric, (output, target, ones)).item() == pytest.approx(expected.item(), rel=1e-6)


def test_other_weights_are_refused(registry):
    metric = registry.create("metric", "torchmetrics")
    output, target, _ = rows(Task.REGRESSION)
    with pytest.raises(UsageError, match="MeanSquaredError takes whole row weights alone, got 0.5: take one of dlcli"):
        metric.update(output, target, torch.full((ROWS,), 0.5).double())


@pytest.mark.parametrize(
    ("name", "arguments", "task", "message"),
    [
        ("MathewsCorrCoef", {}, Task.BINARY, r"no metric 'MathewsCorrCoef' for .*; did you mean 'MatthewsCorrCoef'\?$"),
        (
            "Perplexing",
            {},
            Task.BINARY,
            "no metric 'Perplexing' for classification or regression; there are AUROC, Acc",
        ),
        (
            "PearsonCorrCoef",
            {},
            Task.REGRESSION,
            r'does not say of what is better in PearsonCorrCoef: set better = "higher" or "lower"',
        ),
        ("Accuracy", {"average": "none"}, Task.MULTICLASS, "Accuracy gives more than one number: set its arguments"),
        ("Accuracy", {"avergae": "macro"}, Task.MULTICLASS, "arguments = {'avergae': 'macro'} fails .*: .*avergae"),
        ("Accuracy", {"num_classes": 2}, Task.MULTICLASS, "fails for a multiclass task with 3 outputs: .*number of cl"),
        ("Accuracy", {"task": "many"}, Task.MULTICLASS, "fails for a multiclass task with 3 outputs: .*many"),
    ],
)
def test_what_does_not_fit(registry, name, arguments, task, message):
    metric = registry.create("metric", "torchmetrics", metric=name, arguments=arguments)
    with pytest.raises(ValueError, match=message):
        metric.check(task, OUTPUTS[task])


def test_better_is_asked_for_where_torchmetrics_does_not_say_and_refused_where_it_does(registry):
    for better, direction in (("higher", "max"), ("lower", "min")):
        metric = registry.create("metric", "torchmetrics", metric="Specificity", better=better)
        metric.check(Task.BINARY, 1)
        assert metric.direction == direction
        with pytest.raises(ValueError, match="says higher of what is better in R2Score: leave better out"):
            registry.create("metric", "torchmetrics", metric="R2Score", better=better).check(Task.REGRESSION, 2)
    with pytest.raises(ValueError, match="ConfusionMatrix gives more than one number"):
        registry.create("metric", "torchmetrics", metric="ConfusionMatrix", better="lower").check(Task.BINARY, 1)


def test_without_torchmetrics_it_says_what_to_install(registry, monkeypatch):
    metric = registry.create("metric", "torchmetrics", metric="R2Score")
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(PluginError, match=r'which is not installed: pip install "dlcli\[metrics\]"'):
        metric.check(Task.REGRESSION, 1)
