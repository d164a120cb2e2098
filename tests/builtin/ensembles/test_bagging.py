"""Bagging, against scikit-learn's with the same draws."""

import numpy as np
import pytest
import torch
from plans import FakeContext, Fixed, answers, drive, learner
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

from dlcli import Task, probabilities


def data(task):
    load = {"binary": load_breast_cancer, "multiclass": load_iris, "regression": load_diabetes}[task]
    x, y = load(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0) + np.random.default_rng(0).normal(0, 1.0, x.shape)
    return torch.from_numpy(x), torch.from_numpy(y)


def context_of(task, y, **more):
    target = y if task == "multiclass" else y[:, None]
    return FakeContext(Task(task), target, 3 if task == "multiclass" else 1, torch.arange(len(y)), **more)


def make(task):
    return LinearRegression() if task == "regression" else LogisticRegression()


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("features", [1.0, 0.5])
def test_is_scikit_learns_with_the_same_draws(registry, monkeypatch, task, features):
    from sklearn.ensemble import BaggingClassifier, BaggingRegressor, _bagging

    x, y = data(task)
    context = context_of(task, y, members=20, columns={"x": x.shape[1]})
    strategy = registry.create("ensemble", "bagging", features=features)
    outcome = drive(strategy, context, learner(lambda _: make(task), x, context))
    asked = list(context.specifications.values())
    every = np.arange(x.shape[1])
    columns = [each.input_columns["x"].numpy() if features < 1 else every for each in asked]
    draws = [each.training_rows.numpy() for each in asked]
    monkeypatch.setattr(BaggingClassifier, "estimators_samples_", property(lambda self: draws[: len(self.estimators_)]))
    monkeypatch.setattr(BaggingRegressor, "estimators_samples_", property(lambda self: draws[: len(self.estimators_)]))
    pairs = iter(zip(columns, draws, strict=True))
    monkeypatch.setattr(_bagging, "_generate_bagging_indices", lambda *_: next(pairs))
    kind = BaggingRegressor if task == "regression" else BaggingClassifier
    rival = kind(make(task), n_estimators=20, max_features=features, oob_score=True, random_state=0).fit(
        x.numpy(), y.numpy()
    )

    given = probabilities(answers(strategy, outcome, context, context.training_rows), context.task).numpy()
    seen = outcome.unseen
    unseen = probabilities(seen.outputs, context.task).numpy()
    assert seen.kind == "out-of-bag"
    if task == "regression":
        np.testing.assert_allclose(given[:, 0], rival.predict(x.numpy()), rtol=1e-9)
        np.testing.assert_allclose(unseen[:, 0], rival.oob_prediction_[seen.rows], rtol=1e-6)
    else:
        first = 1 if task == "binary" else 0
        np.testing.assert_allclose(given, rival.predict_proba(x.numpy())[:, first:], atol=1e-6)
        np.testing.assert_allclose(unseen, rival.oob_decision_function_[seen.rows, first:], atol=1e-6)


def test_draws_what_it_says(registry):
    context = FakeContext(
        Task.REGRESSION, torch.zeros(200, 1), 1, torch.arange(50, 150), members=4, columns={"x": 10, "z": 3}
    )
    strategy = registry.create("ensemble", "bagging", samples=0.6, replacement=False, features=0.25)
    drive(strategy, context, lambda _: Fixed(torch.zeros(200, 1)))
    for each in context.specifications.values():
        assert len(each.training_rows) == len(each.training_rows.unique()) == 60
        assert each.training_rows.min() >= 50
        assert each.training_rows.max() < 150
        assert len(each.validation_rows) == 0  # none are there: all epochs
        assert {name: len(columns) for name, columns in each.input_columns.items()} == {"x": 2, "z": 1}
        assert torch.equal(each.input_columns["x"], each.input_columns["x"].unique())
    drawn = [tuple(each.training_rows.tolist()) for each in context.specifications.values()]
    assert len(set(drawn)) == 4


def test_bootstrap_leaves_about_a_third_of_the_rows_out(registry):
    context = FakeContext(
        Task.REGRESSION, torch.zeros(1000, 1), 1, torch.arange(1000), torch.empty(0).long(), members=1
    )
    outcome = drive(registry.create("ensemble", "bagging"), context, lambda _: Fixed(torch.ones(1000, 1)))
    (asked,) = context.specifications.values()
    assert len(asked.training_rows) == 1000
    assert asked.validation_rows is None  # those of the context
    assert len(outcome.unseen.rows) == pytest.approx(1000 / np.e, abs=50)
    assert not torch.isin(outcome.unseen.rows, asked.training_rows).any()


def test_out_of_bag_answers_are_of_the_members_that_did_not_draw_the_row(registry):
    context = FakeContext(Task.REGRESSION, torch.zeros(30, 1), 1, torch.arange(30), members=12)
    strategy = registry.create("ensemble", "bagging")
    outcome = drive(strategy, context, lambda asked: Fixed(torch.full((30, 1), float(asked.identity[4:]))))
    for row, output in zip(outcome.unseen.rows, outcome.unseen.outputs, strict=True):
        voices = [
            float(name[4:]) for name, each in context.specifications.items() if row not in each.training_rows.tolist()
        ]
        assert float(output) == pytest.approx(sum(voices) / len(voices))
    assert outcome.members == tuple(f"bag-{place}" for place in range(12))
    assert [len(each.members) for each in context.curve] == list(range(1, 13))
    assert context.curve[0].unseen is not None


def test_out_of_bag_answers_per_position(registry):
    tables = torch.randn(3, 20, 5, 4, generator=torch.Generator().manual_seed(0))
    context = FakeContext(Task.MULTICLASS, torch.zeros(20, 5).long(), 4, torch.arange(20), members=3)
    outcome = drive(
        registry.create("ensemble", "bagging"), context, lambda asked: Fixed(tables[int(asked.identity[4:])])
    )
    assert outcome.unseen.outputs.shape == (len(outcome.unseen.rows), 5, 4)


def test_without_rows_left_out_nothing_is_unseen(registry):
    context = FakeContext(Task.REGRESSION, torch.zeros(30, 1), 1, torch.arange(30), members=3)
    strategy = registry.create("ensemble", "bagging", replacement=False)
    assert drive(strategy, context, lambda _: Fixed(torch.zeros(30, 1))).unseen is None


def test_more_bags_begin_with_the_same(registry):
    drawn = []
    for members in (3, 7):
        context = FakeContext(Task.REGRESSION, torch.zeros(30, 1), 1, torch.arange(30), members=members)
        drive(registry.create("ensemble", "bagging"), context, lambda _: Fixed(torch.zeros(30, 1)))
        drawn.append([each.training_rows for each in context.specifications.values()])
    assert all(torch.equal(one, other) for one, other in zip(drawn[0], drawn[1], strict=False))
    assert len(drawn[1]) == 7


def test_chance_out_of_bag_on_random_labels(registry):
    """Members that know their training labels by heart are at chance on rows that they did not draw."""
    shares = []
    for seed in range(200):
        labels = np.random.default_rng(seed)
        y = torch.from_numpy(labels.integers(2, size=(40, 1))).double()
        context = FakeContext(Task.BINARY, y, 1, torch.arange(40), members=5, seed=seed)

        def by_heart(asked, y=y, labels=labels):
            table = torch.from_numpy(labels.normal(size=(40, 1)))
            table[asked.training_rows] = 20 * y[asked.training_rows] - 10
            return Fixed(table)

        unseen = drive(registry.create("ensemble", "bagging"), context, by_heart).unseen
        shares.append(((unseen.outputs > 0) == (y[unseen.rows] > 0)).double().mean())
    shares = torch.stack(shares)
    assert abs(shares.mean() - 0.5) < 1.96 * shares.std() / 200**0.5


def test_says_what_it_cannot_do(registry):
    with pytest.raises(Exception, match="samples = 1.5 draws more rows than there are"):
        registry.create("ensemble", "bagging", samples=1.5, replacement=False)
    context = FakeContext(Task.REGRESSION, torch.zeros(30, 1), 1, torch.arange(30))
    with pytest.raises(ValueError, match="features = 0.5 chooses columns, but no input has any"):
        drive(registry.create("ensemble", "bagging", features=0.5), context, None)
