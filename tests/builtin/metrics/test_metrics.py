import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_calibration_error

from dlcli import CLASSIFICATION, REGRESSION, Task, probabilities

ROWS = 60
GENERATOR = torch.Generator().manual_seed(5)


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


OUTPUT = {
    Task.BINARY: draw(ROWS, 1) * 2,
    Task.MULTICLASS: draw(ROWS, 4) * 2,
    Task.MULTILABEL: draw(ROWS, 3) * 2,
    Task.REGRESSION: draw(ROWS, 2),
}
TARGET = {
    Task.BINARY: torch.randint(2, (ROWS, 1), generator=GENERATOR),
    Task.MULTICLASS: torch.randint(4, (ROWS,), generator=GENERATOR),
    Task.MULTILABEL: torch.randint(2, (ROWS, 3), generator=GENERATOR),
    Task.REGRESSION: OUTPUT[Task.REGRESSION] * 0.5 + draw(ROWS, 2) + 3,
}
WEIGHT = torch.rand(ROWS, generator=GENERATOR, dtype=torch.float64) + 0.1


def figure(metric, task, output, target, weight, batches=1):
    """The metric as training computes it: statistics of batches, added."""
    shown = probabilities(output, task) if metric.needs_probabilities else output
    parts = [
        metric.update(*part)
        for part in zip(shown.chunk(batches), target.chunk(batches), weight.chunk(batches), strict=True)
    ]
    total = {key: torch.stack([part[key] for part in parts]).sum(0) for key in parts[0]}
    assert all(value.dtype == torch.float64 for value in total.values())
    return metric.compute(total)


def per_label(score):
    return lambda p, y, w: np.mean([score(p[:, j], y[:, j], w) for j in range(p.shape[1])])


ORACLES = {
    ("accuracy", Task.BINARY): lambda p, y, w: sk.accuracy_score(y[:, 0], p[:, 0] > 0.5, sample_weight=w),
    ("accuracy", Task.MULTICLASS): lambda p, y, w: sk.accuracy_score(y, p.argmax(1), sample_weight=w),
    ("accuracy", Task.MULTILABEL): lambda p, y, w: 1 - sk.hamming_loss(y, p > 0.5, sample_weight=w),
    ("nll", Task.BINARY): lambda p, y, w: sk.log_loss(y[:, 0], p[:, 0], sample_weight=w),
    ("nll", Task.MULTICLASS): lambda p, y, w: sk.log_loss(y, p, sample_weight=w),
    ("nll", Task.MULTILABEL): per_label(lambda p, y, w: sk.log_loss(y, p, sample_weight=w)),
    ("brier", Task.BINARY): lambda p, y, w: sk.brier_score_loss(y[:, 0], p[:, 0], sample_weight=w),
    ("brier", Task.MULTICLASS): lambda p, y, w: sk.brier_score_loss(y, p, sample_weight=w, scale_by_half=False),
    ("brier", Task.MULTILABEL): per_label(lambda p, y, w: sk.brier_score_loss(y, p, sample_weight=w)),
    ("mae", Task.REGRESSION): lambda p, y, w: sk.mean_absolute_error(y, p, sample_weight=w),
    ("mse", Task.REGRESSION): lambda p, y, w: sk.mean_squared_error(y, p, sample_weight=w),
    ("mape", Task.REGRESSION): lambda p, y, w: sk.mean_absolute_percentage_error(y, p, sample_weight=w),
    ("rmse", Task.REGRESSION): lambda p, y, w: sk.root_mean_squared_error(y, p, sample_weight=w),
    ("r2", Task.REGRESSION): lambda p, y, w: sk.r2_score(y, p, sample_weight=w),
}


@pytest.mark.parametrize(("name", "task"), ORACLES)
def test_weighted_figure_is_scikit_learns_however_it_is_batched(registry, name, task):
    metric = registry.create("metric", name)
    p, y, w = probabilities(OUTPUT[task], task).numpy(), TARGET[task].numpy(), WEIGHT.numpy()
    expected = ORACLES[name, task](p, y, w)
    for batches in (1, 3, ROWS):
        got = figure(metric, task, OUTPUT[task], TARGET[task], WEIGHT, batches)
        assert got.ndim == 0
        assert got.item() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("task", [Task.BINARY, Task.MULTICLASS, Task.MULTILABEL])
def test_ece_is_torchmetrics(registry, task):
    metric = registry.create("metric", "ece")
    p, y = probabilities(OUTPUT[task], task), TARGET[task]
    if task is not Task.MULTICLASS:
        p, y = torch.stack([1 - p.flatten(), p.flatten()], 1), y.flatten()
    expected = multiclass_calibration_error(p, y, p.shape[1], n_bins=15, norm="l1").item()
    for batches in (1, 4):
        got = figure(metric, task, OUTPUT[task], TARGET[task], torch.ones(ROWS, dtype=torch.float64), batches)
        assert got.item() == pytest.approx(expected, rel=1e-6)


def test_ece_by_hand(registry):
    metric = registry.create("metric", "ece", bins=5)
    p = torch.tensor([[0.9, 0.1], [0.95, 0.05], [0.3, 0.7], [1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([0, 1, 1, 0])
    weight = torch.tensor([1.0, 2.0, 1.0, 4.0], dtype=torch.float64)
    # Bin [0.8, 1] holds 0.9 right, 0.95 wrong (twice), 1.0 right (four times); bin [0.6, 0.8) holds 0.7 right.
    expected = (abs(5 - (0.9 + 2 * 0.95 + 4)) + abs(1 - 0.7)) / 8
    assert metric.compute(metric.update(p, y, weight)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "task"), [*ORACLES, ("ece", Task.BINARY), ("ece", Task.MULTICLASS), ("ece", Task.MULTILABEL)]
)
def test_laws(registry, name, task):
    metric = registry.create("metric", name)
    assert metric.tasks == (CLASSIFICATION if task.classifies else REGRESSION)
    output, target = OUTPUT[task], TARGET[task]
    got = figure(metric, task, output, target, WEIGHT)
    assert metric.lowest is None or got >= metric.lowest
    assert metric.highest is None or got <= metric.highest
    # A weight of two is the row twice, and a weight of zero is no row.
    twice = torch.cat([output, output[:20]]), torch.cat([target, target[:20]])
    counts = torch.ones(ROWS, dtype=torch.float64)
    counts[:20] = 2
    expected = figure(metric, task, *twice, torch.ones(ROWS + 20, dtype=torch.float64))
    torch.testing.assert_close(figure(metric, task, output, target, counts), expected)
    kept = torch.ones(ROWS, dtype=torch.float64)
    kept[30:] = 0
    expected = figure(metric, task, output[:30], target[:30], kept[:30])
    torch.testing.assert_close(figure(metric, task, output, target, kept), expected)
    assert math.isnan(figure(metric, task, output, target, torch.zeros(ROWS, dtype=torch.float64)))
    assert math.isnan(figure(metric, task, output[:0], target[:0], WEIGHT[:0]))


@pytest.mark.parametrize(("name", "task"), [*ORACLES, ("ece", Task.BINARY), ("ece", Task.MULTICLASS)])
def test_perfect_answers_are_the_best_value(registry, name, task):
    metric = registry.create("metric", name)
    target = TARGET[task]
    if task is Task.MULTICLASS:
        output = torch.nn.functional.one_hot(target, 4).double() * 1000
    else:
        output = (target * 2.0 - 1.0).double() * 1000 if task.classifies else target
    best = metric.highest if metric.direction == "max" else metric.lowest
    assert figure(metric, task, output, target, WEIGHT).item() == pytest.approx(best)


def test_nan_outputs_give_nan_instead_of_a_crash(registry):
    for name in ("nll", "brier", "ece"):
        output = OUTPUT[Task.MULTICLASS].clone()
        output[3] = torch.nan
        metric = registry.create("metric", name)
        assert math.isnan(figure(metric, Task.MULTICLASS, output, TARGET[Task.MULTICLASS], WEIGHT))


def test_nll_is_finite_where_clamped_probabilities_would_lie(registry):
    output = torch.tensor([[500.0, 0.0]], dtype=torch.float64)
    metric = registry.create("metric", "nll")
    assert figure(metric, Task.MULTICLASS, output, torch.tensor([1]), WEIGHT[:1]).item() == pytest.approx(500)


def test_nll_reads_log_probabilities_as_logits(registry):
    metric = registry.create("metric", "nll")
    target = TARGET[Task.MULTICLASS]
    plain = figure(metric, Task.MULTICLASS, OUTPUT[Task.MULTICLASS], target, WEIGHT)
    combined = figure(metric, Task.MULTICLASS, OUTPUT[Task.MULTICLASS].log_softmax(-1), target, WEIGHT)
    torch.testing.assert_close(plain, combined)


def test_mape_of_a_target_of_zero_is_scikit_learns(registry):
    output, target, ones = torch.ones(2, 1).double(), torch.tensor([[0.0], [2.0]]).double(), torch.ones(2).double()
    expected = sk.mean_absolute_percentage_error(target, output)
    assert figure(registry.create("metric", "mape"), Task.REGRESSION, output, target, ones) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_r2_of_a_constant_target_is_undefined(registry, value):
    metric = registry.create("metric", "r2")
    target = torch.full((ROWS, 1), value, dtype=torch.float64)
    assert math.isnan(figure(metric, Task.REGRESSION, target + 1, target, WEIGHT, batches=7))


def test_r2_keeps_its_digits_far_from_zero(registry):
    metric = registry.create("metric", "r2")
    target, output = TARGET[Task.REGRESSION] + 1e4, OUTPUT[Task.REGRESSION] + 1e4
    expected = sk.r2_score(target.numpy(), output.numpy())
    got = figure(metric, Task.REGRESSION, output, target, torch.ones_like(WEIGHT), batches=7)
    assert got.item() == pytest.approx(expected, rel=1e-6)


def test_ties(registry):
    metric = registry.create("metric", "accuracy")
    ones = torch.ones(1, dtype=torch.float64)
    assert figure(metric, Task.MULTICLASS, torch.zeros(1, 3).double(), torch.tensor([0]), ones) == 1
    assert figure(metric, Task.BINARY, torch.zeros(1, 1).double(), torch.tensor([[0]]), ones) == 1


def test_bins_range(registry):
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        registry.create("metric", "ece", bins=0)
