"""Stacking, against scikit-learn's with the same folds and final estimator."""

import numpy as np
import pytest
import torch
from plans import FakeContext, Fixed, answers, drive, learner, result
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import StackingClassifier, StackingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor

from dlcli import Fold, Task, probabilities


def data(task):
    load = {"binary": load_breast_cancer, "multiclass": load_iris, "regression": load_diabetes}[task]
    x, y = load(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0) + np.random.default_rng(0).normal(0, 1.0, x.shape)
    return torch.from_numpy(x), torch.from_numpy(y)


def context_of(task, y, folds=4, validation=30, **more):
    """Folds of every fourth row; the last rows are validation rows."""
    target = y if task == "multiclass" else y[:, None]
    mixed = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))
    training, judged = mixed[validation:].sort().values, mixed[:validation].sort().values
    splits = []
    for place in range(folds):
        out = torch.arange(len(training)) % folds == place
        splits.append(Fold(training[out], training[~out], judged))
    return FakeContext(
        Task(task), target, 3 if task == "multiclass" else 1, training, judged, splits=tuple(splits), **more
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("passthrough", [False, True])
def test_is_scikit_learns_with_the_same_folds(registry, task, passthrough):
    x, y = data(task)
    context = context_of(task, y, members=2)
    if task == "regression":
        base = [LinearRegression, lambda: KNeighborsRegressor(20)]
        last, kind = LinearRegression, StackingRegressor
    else:
        base, last, kind = [LogisticRegression, GaussianNB], LogisticRegression, StackingClassifier

    def make(asked):
        return last() if asked.identity == "meta" else base[int(asked.identity.split("-")[1])]()

    strategy = registry.create("ensemble", "stacking", folds=4, passthrough=passthrough)
    outcome = drive(strategy, context, learner(make, x.double(), context))
    rows = context.training_rows
    place = {int(row): number for number, row in enumerate(rows)}
    cv = [
        tuple([place[int(row)] for row in part] for part in (each.training, each.held_out)) for each in context.splits
    ]
    named = [(str(number), each()) for number, each in enumerate(base)]
    rival = kind(named, last(), cv=cv, passthrough=passthrough)
    if passthrough:  # ours has the inputs first: the same model but for the order of its columns
        assert context.models["meta"].estimator.n_features_in_ == x.shape[1] + 2 * context.outputs
    rival.fit(x[rows].numpy(), y[rows].numpy())
    test = torch.cat([rows, context.validation_rows])
    given = probabilities(answers(strategy, outcome, context, test), context.task).numpy()
    tolerance = {"atol": 1e-4 if passthrough else 1e-6}
    if task == "regression":
        np.testing.assert_allclose(given[:, 0], rival.predict(x[test].numpy()), rtol=1e-5)
    else:
        np.testing.assert_allclose(
            given, rival.predict_proba(x[test].numpy())[:, 1 if task == "binary" else 0 :], **tolerance
        )
    assert outcome.members == ("meta",)
    assert outcome.fed == {"meta": {"answers": (("member-0",), ("member-1",))}}
    assert outcome.unseen is None
    assert not outcome.fitted_on_validation
    assert [each.members for each in context.curve] == [("meta",)]


def tables(asked):
    """Answers that tell which model gave them."""
    if asked.identity == "meta":
        return Fixed(torch.zeros(40, 1))
    numbers = [float(part) for part in asked.identity.split("-") if part.isdigit()]
    code = sum(number * 10**-place for place, number in enumerate(numbers))
    return Fixed(
        torch.full((40, 1), 100 * ("layer" in asked.identity) + code + (0 if "fold" in asked.identity else 50))
    )


def small_context(**more):
    more.setdefault("validation_rows", torch.arange(30, 36))
    return FakeContext(Task.REGRESSION, torch.zeros(40, 1), 1, torch.arange(30), **more)


@pytest.mark.parametrize("final", ["refit", "average"])
def test_answers_are_those_of_models_that_have_not_seen_the_row(registry, final):
    context = small_context(members=2)
    strategy = registry.create("ensemble", "stacking", folds=3, final=final)
    outcome = drive(strategy, context, tables)
    fed = context.specifications["meta"].fed["answers"]
    assert fed.shape == (40, 2)
    for fold, each in enumerate(context.folds(3)):
        for member in range(2):
            asked = context.specifications[f"member-{member}-fold-{fold}"]
            assert torch.equal(asked.training_rows, each.training)
            assert torch.equal(asked.validation_rows, each.validation)
            torch.testing.assert_close(fed[each.held_out, member], torch.full((10,), member + fold / 10))
    refitted = [50.0, 51.0] if final == "refit" else [0.1, 1.1]  # of folds 0, 1, 2 the mean
    torch.testing.assert_close(fed[30:36], torch.tensor(refitted).expand(6, 2))
    assert (fed[36:] == 0).all()  # test rows are not asked for
    if final == "refit":
        assert outcome.fed["meta"]["answers"] == (("member-0",), ("member-1",))
        assert context.specifications["member-0"].training_rows is None  # all
    else:
        assert "member-0" not in context.specifications
        groups = tuple(tuple(f"member-{member}-fold-{fold}" for fold in range(3)) for member in range(2))
        assert outcome.fed["meta"]["answers"] == groups


def test_without_validation_rows_the_folds_have_their_own(registry):
    context = small_context(members=1, validation_rows=None)
    drive(registry.create("ensemble", "stacking", folds=3), context, tables)
    assert len(context.specifications["member-0-fold-0"].validation_rows) == 0
    assert context.specifications["meta"].validation_rows is None
    assert (context.specifications["meta"].fed["answers"][30:] == 0).all()


def test_layers_feed_each_other(registry):
    context = small_context(members=2)
    strategy = registry.create("ensemble", "stacking", folds=3, layers=2)
    outcome = drive(strategy, context, tables)
    first = (("member-0",), ("member-1",))
    second = (("layer-2-member-0",), ("layer-2-member-1",))
    assert outcome.fed == {
        "meta": {"answers": second},
        "layer-2-member-0": {"answers": first},
        "layer-2-member-1": {"answers": first},
    }
    below = context.specifications["layer-2-member-0-fold-1"]
    assert below.own_inputs
    torch.testing.assert_close(below.fed["answers"][:10], torch.tensor([0.0, 1.0]).expand(10, 2))  # out-of-fold
    assert torch.equal(below.fed["answers"], context.specifications["layer-2-member-0"].fed["answers"])
    assert not context.specifications["meta"].own_inputs
    assert (context.specifications["meta"].fed["answers"][:36] >= 100).all()
    assert answers(strategy, outcome, context, torch.arange(40)).shape == (40, 1)


def test_architectures_and_the_meta_model(registry):
    kinds = registry.create("architecture", "mlp"), registry.create("architecture", "linear")
    context = small_context(architectures=kinds)
    drive(registry.create("ensemble", "stacking", folds=2, meta="mlp"), context, tables)
    assert context.specifications["member-0-fold-1"].architecture is kinds[0]
    assert context.specifications["member-1"].architecture is kinds[1]
    assert type(context.specifications["meta"].architecture).name == "mlp"
    assert context.specifications["meta"].epochs == 100
    assert context.specifications["meta"].optimizer.lr == 1e-2
    assert context.specifications["member-1"].epochs is None  # as the recipe says
    assert type(registry.create("ensemble", "stacking").meta).name == "linear"


def test_runs_are_stacked_on_validation_rows(registry):
    context = small_context()
    context.models = {f"run-{place}": Fixed(torch.full((40, 1), float(place))) for place in (10, 2)}
    context.given = tuple(result(name) for name in context.models)
    strategy = registry.create("ensemble", "stacking", passthrough=True)
    outcome = drive(strategy, context, tables)
    meta = context.specifications["meta"]
    assert list(context.specifications) == ["meta"]
    assert torch.equal(meta.training_rows, context.validation_rows)
    assert len(meta.validation_rows) == 0
    assert meta.own_inputs
    assert meta.fed["answers"][30:36].tolist() == [[2.0, 10.0]] * 6
    assert (meta.fed["answers"][:30] == 0).all()
    assert outcome.fed == {"meta": {"answers": (("run-2",), ("run-10",))}}
    assert outcome.fitted_on_validation


def test_a_base_member_that_failed_is_left_out(registry):
    context = small_context(members=3)
    strategy = registry.create("ensemble", "stacking", folds=2)
    outcome = drive(
        strategy, context, lambda asked: None if asked.identity in ("member-1-fold-1", "member-2") else tables(asked)
    )
    assert outcome.fed["meta"]["answers"] == (("member-0",),)
    assert context.notes == [f"stacking leaves member-{n} out: not all of its trainings went well" for n in (1, 2)]
    with pytest.raises(ValueError, match="no base member in layer 1 of which all 2 fold models"):
        drive(strategy, small_context(), lambda asked: None if asked.identity == "member-0" else tables(asked))


def test_says_what_it_cannot_do(registry):
    strategy = registry.create("ensemble", "stacking")
    with pytest.raises(ValueError, match="stacking needs one answer a row"):
        drive(strategy, FakeContext(Task.BINARY, torch.zeros(4, 7, 1), 1, torch.arange(4)), None)
    context = small_context(validation_rows=None, given=(result("run-1"),))
    with pytest.raises(ValueError, match="on their answers for validation rows, and there are none"):
        drive(strategy, context, None)
    with pytest.raises(ValueError, match="has one layer, got layers = 2"):
        drive(registry.create("ensemble", "stacking", layers=2), context, None)
