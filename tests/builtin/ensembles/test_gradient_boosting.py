"""Gradient boosting, against scikit-learn's and sums by hand."""

import numpy as np
import pytest
import torch
from plans import FakeContext, Fixed, answers, drive, learner
from sklearn.datasets import load_diabetes
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeRegressor

from dlcli import Task, probabilities

ROWS = torch.arange(50)


def tables_of(count, outputs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(50, outputs, generator=generator) for _ in range(count)]


def targets_of(task, outputs):
    generator = torch.Generator().manual_seed(9)
    if task == "multiclass":
        return torch.randint(outputs, (50,), generator=generator)
    if task == "regression":
        return torch.randn(50, outputs, generator=generator)
    return torch.randint(2, (50, outputs), generator=generator).float()


def place(asked):
    return int(asked.identity.rpartition("-")[2])


def test_squared_error_is_scikit_learns_boosting(registry):
    x, y = (torch.from_numpy(each) for each in load_diabetes(return_X_y=True))
    x = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))  # no two splits are alike
    context = FakeContext(Task.REGRESSION, y[:, None], 1, torch.arange(300), torch.arange(300, 400), members=20)
    strategy = registry.create("ensemble", "gradient_boosting", shrinkage=0.1, patience=20)
    outcome = drive(strategy, context, learner(lambda _: DecisionTreeRegressor(max_depth=2), x, context))
    rival = GradientBoostingRegressor(n_estimators=20, learning_rate=0.1, max_depth=2)
    staged = list(rival.fit(x[:300].numpy(), y[:300].numpy()).staged_predict(x[300:].numpy()))
    given = answers(strategy, outcome, context, torch.arange(300, len(y)))[:, 0].numpy()
    np.testing.assert_allclose(given, staged[len(outcome.members) - 1], rtol=1e-6)
    losses = [((each[:100] - y[300:400].numpy()) ** 2).mean() for each in staged]
    assert len(outcome.members) == 1 + int(np.argmin(losses))


def test_rounds_fit_residuals(registry):
    """With whole steps a second linear fit finds nothing left."""
    x, y = (torch.from_numpy(each) for each in load_diabetes(return_X_y=True))
    context = FakeContext(Task.REGRESSION, y[:, None], 1, torch.arange(len(y)), members=2)
    strategy = registry.create("ensemble", "gradient_boosting", shrinkage=1.0)
    outcome = drive(strategy, context, learner(lambda _: LinearRegression(), x, context))
    assert outcome.members == ("round-0", "round-1")  # without validation rows all count
    assert context.models["round-1"].predict(context.training_rows, {}).abs().max() < 1e-3
    given = answers(strategy, outcome, context, context.training_rows)[:, 0].numpy()
    np.testing.assert_allclose(given, LinearRegression().fit(x, y).predict(x), atol=1e-3)


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("multilabel", 2), ("regression", 2)])
def test_offsets_are_the_constant_and_the_shrunken_sum(registry, task, outputs):
    targets, tables = targets_of(task, outputs), tables_of(3, outputs)
    context = FakeContext(Task(task), targets, outputs, ROWS[:30], ROWS[30:40], members=3)
    strategy = registry.create("ensemble", "gradient_boosting", shrinkage=0.25, patience=9)
    outcome = drive(strategy, context, lambda asked: Fixed(tables[place(asked)]))
    shown = targets[:30] if task != "multiclass" else torch.eye(3)[targets[:30]]
    constant = outcome.state["constant"].float()
    torch.testing.assert_close(probabilities(constant, Task(task)), shown.mean(0), atol=1e-6, rtol=1e-6)
    for number in range(3):
        offset = context.specifications[f"round-{number}"].offset
        expected = constant + 0.25 * sum(tables[:number], torch.zeros(50, outputs))
        torch.testing.assert_close(offset[:40], expected[:40])
        assert (offset[40:] == 0).all()  # test rows are not asked for
    count = len(outcome.members)
    torch.testing.assert_close(answers(strategy, outcome, context, ROWS), constant + 0.25 * sum(tables[:count]))


def test_ends_after_patience_and_cuts_at_the_best_round(registry):
    targets = torch.ones(50, 1)
    steps = [0.5, 0.4, 3.0, 3.0, 3.0]
    context = FakeContext(Task.REGRESSION, targets, 1, ROWS[:30], ROWS[30:40], members=5)
    targets[:30] = 0  # so that the constant is 0
    strategy = registry.create("ensemble", "gradient_boosting", shrinkage=1.0, patience=2)
    outcome = drive(strategy, context, lambda asked: Fixed(torch.full((50, 1), steps[place(asked)])))
    assert outcome.members == ("round-0", "round-1")
    assert list(context.models) == ["round-0", "round-1", "round-2", "round-3"]
    assert "ends after 4 rounds: no better val_loss in the last 2; the first 2 count" in context.notes[0]
    assert [len(each.members) for each in context.curve] == [1, 2, 3, 4]
    context.models, context.direction = {}, "max"  # the same the other way round
    context.figure = lambda output, target: -float((output - target).square().mean())
    assert drive(strategy, context, lambda asked: Fixed(torch.full((50, 1), steps[place(asked)]))) is not None
    assert list(context.models) == ["round-0", "round-1", "round-2", "round-3"]


def test_classes_that_are_absent_leave_outputs_finite(registry):
    context = FakeContext(Task.MULTICLASS, torch.zeros(50).long(), 3, ROWS, members=1)
    strategy = registry.create("ensemble", "gradient_boosting")
    outcome = drive(strategy, context, lambda _: Fixed(torch.zeros(50, 3)))
    assert answers(strategy, outcome, context, ROWS).isfinite().all()


def test_says_what_it_cannot_do(registry):
    strategy = registry.create("ensemble", "gradient_boosting")
    with pytest.raises(ValueError, match="gradient_boosting needs one answer a row"):
        drive(strategy, FakeContext(Task.BINARY, torch.zeros(4, 7, 1), 1, torch.arange(4)), None)
    with pytest.raises(ValueError, match="shrinkage of a boosted sum is a number, got None"):
        strategy.combine(Task.BINARY, {"shrinkage": None}, {"constant": torch.zeros(1)})
