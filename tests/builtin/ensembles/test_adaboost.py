"""AdaBoost, against scikit-learn's with the same base learner."""

import numpy as np
import pytest
import torch
from plans import FakeContext, Fixed, answers, drive, learner
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import AdaBoostClassifier, AdaBoostRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeClassifier

from dlcli import Task, probabilities

MAKE = {
    "logistic": lambda: LogisticRegression(C=10.0),
    "stump": lambda: DecisionTreeClassifier(max_depth=1, random_state=0),
}


def data(task):
    load = {"binary": load_breast_cancer, "multiclass": load_iris, "regression": load_diabetes}[task]
    x, y = load(return_X_y=True)
    generator = np.random.default_rng(0)
    x = (x - x.mean(0)) / x.std(0) + generator.normal(0, 1.0, x.shape)
    return torch.from_numpy(x), torch.from_numpy(y)


def context_of(task, y, **more):
    target = y if task == "multiclass" else y[:, None]
    return FakeContext(Task(task), target, 3 if task == "multiclass" else 1, torch.arange(len(y)), **more)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("base", MAKE)
@pytest.mark.parametrize("rate", [1.0, 0.5])
def test_reweighting_is_scikit_learns_samme(registry, task, base, rate):
    x, y = data(task)
    rival = AdaBoostClassifier(MAKE[base](), n_estimators=8, learning_rate=rate).fit(x.numpy(), y.numpy())
    context = context_of(task, y, members=8)
    strategy = registry.create("ensemble", "adaboost", learning_rate=rate)
    outcome = drive(strategy, context, learner(lambda _: MAKE[base](), x, context))
    count = len(outcome.members)
    assert count == len(rival.estimators_) > 3
    np.testing.assert_allclose(outcome.state["weights"], rival.estimator_weights_[:count], atol=1e-6)
    given = probabilities(answers(strategy, outcome, context, context.training_rows), context.task).numpy()
    # Its decision for a class is its share of the weights, scaled and shifted; for two classes their difference.
    decision, others = rival.decision_function(x.numpy()), len(rival.classes_) - 1
    shares = (decision[:, None] + 2) / 4 if task == "binary" else (decision * others + 1) / (others + 1)
    np.testing.assert_allclose(given, shares, atol=1e-6)
    assert [len(each.members) for each in context.curve] == list(range(1, count + 1))


class Drawn(np.random.RandomState):
    """Gives scikit-learn the rows that the plan drew, one draw after another."""

    def __init__(self, draws):
        super().__init__(0)
        self.draws = list(draws)

    def choice(self, a, size=None, replace=True, p=None):
        assert abs(p.sum() - 1) < 1e-9
        return self.draws.pop(0)


@pytest.mark.parametrize("loss", ["linear", "square", "exponential"])
@pytest.mark.parametrize("base", ["linear", "neighbours"])
def test_resampling_is_scikit_learns_r2(registry, loss, base):
    x, y = data("regression")
    context = context_of("regression", y, members=7)

    def make():
        return LinearRegression() if base == "linear" else KNeighborsRegressor(20)

    strategy = registry.create("ensemble", "adaboost", method="resample", loss=loss, learning_rate=0.7)
    outcome = drive(strategy, context, learner(lambda _: make(), x, context))
    draws = [each.training_rows.numpy() for each in context.specifications.values()]
    rival = AdaBoostRegressor(make(), n_estimators=7, learning_rate=0.7, loss=loss, random_state=Drawn(draws)).fit(
        x.numpy(), y.numpy()
    )
    assert len(outcome.members) == len(rival.estimators_) > 3
    np.testing.assert_allclose(outcome.state["weights"], rival.estimator_weights_[: len(outcome.members)], atol=1e-6)
    given = answers(strategy, outcome, context, context.training_rows)[:, 0].numpy()
    np.testing.assert_allclose(given, rival.predict(x.numpy()), rtol=1e-9)


def test_resampling_draws_by_weight(registry):
    """After a first round that gets 10 of 100 rows wrong, these are half of what the second draws."""
    table = torch.ones(100, 1)
    y = torch.ones(100)
    y[:10] = 0
    context = context_of("binary", y, members=2)
    strategy = registry.create("ensemble", "adaboost", method="resample")
    shares = []
    for seed in range(30):
        context.seed, context.models = seed, {}
        drive(strategy, context, lambda _: Fixed(table))
        rows = context.specifications["round-1"].training_rows
        assert len(rows) == 100
        assert context.specifications["round-1"].row_weights is None
        shares.append((rows < 10).double().mean())
    assert torch.stack(shares).mean() == pytest.approx(0.5, abs=0.03)


def test_row_weights_are_of_mean_one_over_training_rows(registry):
    y = torch.ones(100)
    y[:10] = 0
    context = context_of("binary", y, members=2)
    context.training_rows = torch.arange(80)
    drive(registry.create("ensemble", "adaboost"), context, lambda _: Fixed(torch.ones(100, 1)))
    first, second = (context.specifications[f"round-{place}"].row_weights for place in range(2))
    assert first.tolist() == [1.0] * 100
    assert second[:80].mean() == pytest.approx(1)
    assert second[:10].sum() == pytest.approx(40)  # what was wrong is half of all weight
    assert second[80:].tolist() == [1.0] * 20


def test_ends_when_a_member_makes_no_error(registry):
    y = torch.tensor([0.0, 1, 0, 1])
    context = context_of("binary", y, members=5)
    strategy = registry.create("ensemble", "adaboost")
    outcome = drive(strategy, context, lambda _: Fixed(2 * y[:, None] - 1))
    assert outcome.members == ("round-0",)
    assert outcome.state["weights"].tolist() == [1.0]
    assert "makes no error on its training rows" in context.notes[0]
    context = context_of("regression", y, members=5)
    assert drive(strategy, context, lambda _: Fixed(y[:, None])).members == ("round-0",)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_ends_when_a_member_is_no_better_than_chance(registry, task):
    y = torch.arange(10.0) if task == "regression" else torch.tensor([0.0, 1] * 5)
    good = y.clone()
    good[0] = 1  # one row is wrong
    bad = y.clone() + 9 * (torch.arange(10) > 0) if task == "regression" else 1 - y
    tables = {"round-0": good, "round-1": bad}
    context = context_of(task, y, members=5)
    strategy = registry.create("ensemble", "adaboost")
    to_output = (lambda each: each) if task == "regression" else (lambda each: 2 * each - 1)
    outcome = drive(strategy, context, lambda asked: Fixed(to_output(tables[asked.identity])[:, None]))
    assert outcome.members == ("round-0",)
    assert "round-1 is no better than chance" in context.notes[0]
    assert "left out" in context.notes[0]
    context = context_of(task, y, members=5)
    with pytest.raises(ValueError, match="cannot start: round-0 is no better than chance"):
        drive(strategy, context, lambda _: Fixed(to_output(bad)[:, None]))


def test_more_rounds_begin_with_the_same(registry):
    x, y = data("multiclass")
    asked = []
    for members in (3, 6):
        context = context_of("multiclass", y, members=members)
        strategy = registry.create("ensemble", "adaboost", method="resample")
        drive(strategy, context, learner(lambda _: MAKE["stump"](), x, context))
        asked.append([each.training_rows for each in context.specifications.values()])
    assert len(asked[0]) == 3
    assert all(torch.equal(one, other) for one, other in zip(asked[0], asked[1], strict=False))


def test_says_what_it_cannot_do(registry):
    strategy = registry.create("ensemble", "adaboost")
    rows = torch.arange(4)
    with pytest.raises(ValueError, match="the task is multilabel; use gradient_boosting or bagging"):
        drive(strategy, FakeContext(Task.MULTILABEL, torch.zeros(4, 2), 2, rows), None)
    with pytest.raises(ValueError, match="takes one target, but there are 2"):
        drive(strategy, FakeContext(Task.REGRESSION, torch.zeros(4, 2), 2, rows), None)
    with pytest.raises(ValueError, match="adaboost needs one answer a row"):
        drive(strategy, FakeContext(Task.MULTICLASS, torch.zeros(4, 7).long(), 2, rows), None)


def test_weighted_median_by_hand(registry):
    strategy = registry.create("ensemble", "adaboost")
    combiner = strategy.combine(Task.REGRESSION, {}, {"weights": torch.tensor([1.0, 2.0, 4.0, 0.5])})
    outputs = torch.tensor([[3.0, 0.0], [1.0, 5.0], [2.0, 7.0], [9.0, 6.0]])[:, :, None]
    # sorted 1, 2, 3, 9 with weights up to each 2, 6, …; sorted 0, 5, 6, 7 with 1, 3, 3.5, 7.5; half is 3.75
    assert combiner(outputs)[:, 0].tolist() == [2.0, 7.0]
