"""Voting, against scikit-learn's and hand-counted votes."""

import pytest
import torch
from plans import Estimator, FakeContext, Fixed, answers, drive, learner, result
from scipy.optimize import minimize
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from dlcli import MeanOfMembers, Task, probabilities

ROWS = torch.arange(60)


def context_of(task, outputs, count, seed=0, **more):
    """Fixed members that answer at random, on 40 training and 20 validation rows."""
    generator = torch.Generator().manual_seed(seed)
    tables = [torch.randn(60, outputs, generator=generator) for _ in range(count)]
    if task is Task.MULTICLASS:
        targets = torch.randint(outputs, (60,), generator=generator)
    elif task is Task.REGRESSION:
        targets = torch.randn(60, outputs, generator=generator)
    else:
        targets = torch.randint(2, (60, outputs), generator=generator).float()
    context = FakeContext(task, targets, outputs, ROWS[:40], ROWS[40:], **more)
    context.models = {f"run-{place}": Fixed(table) for place, table in enumerate(tables)}
    context.given = tuple(result(name) for name in context.models)
    return context


@pytest.mark.parametrize("vote", ["soft", "hard"])
@pytest.mark.parametrize("binary", [False, True])
def test_votes_as_scikit_learn_does(registry, vote, binary):
    x, y = (torch.from_numpy(each) for each in load_iris(return_X_y=True))
    x = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    x, y = (x[50:], y[50:] - 1) if binary else (x, y)
    kinds = [LogisticRegression(C=0.1), GaussianNB(), DecisionTreeClassifier(max_depth=2, random_state=0)]
    kinds.append(DecisionTreeClassifier(max_depth=4, random_state=0))
    rival = VotingClassifier([(str(place), each) for place, each in enumerate(kinds)], voting=vote).fit(
        x.numpy(), y.numpy()
    )
    task = Task.BINARY if binary else Task.MULTICLASS
    context = FakeContext(task, y[:, None] if binary else y, 1 if binary else 3, torch.arange(len(y)), members=4)
    strategy = registry.create("ensemble", "voting", vote=vote)
    outcome = drive(strategy, context, learner(lambda asked: kinds[int(asked.identity[-1])], x, context))
    outputs = answers(strategy, outcome, context, context.training_rows)
    predicted = (outputs[:, 0] > 0).long() if binary else outputs.argmax(1)
    assert outcome.members == ("member-0", "member-1", "member-2", "member-3")
    torch.testing.assert_close(predicted.numpy(), rival.predict(x.numpy()))
    if vote == "soft":
        given = probabilities(outputs, task)
        expected = (
            torch.from_numpy(rival.predict_proba(x.numpy()))[:, 1:]
            if binary
            else torch.from_numpy(rival.predict_proba(x.numpy()))
        )
        torch.testing.assert_close(given, expected, atol=2e-7, rtol=1e-6)


def test_ties_of_hard_votes_go_to_the_lowest_class(registry):
    strategy = registry.create("ensemble", "voting", vote="hard")
    multiclass = strategy.combine(Task.MULTICLASS, {"vote": "hard"}, {})
    votes = torch.eye(4)[torch.tensor([[3, 1], [2, 1], [3, 2], [2, 0]])]  # row 0: 3, 2, 3, 2; row 1: 1, 1, 2, 0
    outputs = multiclass(votes)
    assert outputs.argmax(-1).tolist() == [2, 1]
    torch.testing.assert_close(outputs.exp()[1], torch.tensor([0.25, 0.5, 0.25, 1e-7]))
    yes = torch.tensor([[[1.0, -1.0]], [[2.0, -1.0]], [[-1.0, 0.0]], [[-1.0, -3.0]]])
    for task in (Task.BINARY, Task.MULTILABEL):
        odds = strategy.combine(task, {"vote": "hard"}, {})(yes)
        assert odds[0, 0] == 0  # a tie is exactly 0, which is no
        assert odds[0, 1] < -16
        assert odds.isfinite().all()


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("multilabel", 2), ("regression", 2)])
def test_one_member_answers_bit_for_bit(registry, task, outputs):
    context = context_of(Task(task), outputs, 1)
    for vote in ("soft", "weighted"):
        strategy = registry.create("ensemble", "voting", vote=vote)
        outcome = drive(strategy, context, train=None)
        assert torch.equal(answers(strategy, outcome, context, ROWS), context.models["run-0"].table)


@pytest.mark.parametrize("vote", ["soft", "hard", "weighted"])
def test_order_of_given_members_does_not_matter(registry, vote):
    strategy = registry.create("ensemble", "voting", vote=vote)
    context, other = (context_of(Task.MULTICLASS, 3, 12) for _ in range(2))
    other.given = context.given[::-1]
    first, second = drive(strategy, context, None), drive(strategy, other, None)
    assert first.members == second.members == tuple(f"run-{place}" for place in range(12))  # 2 before 10
    assert torch.equal(answers(strategy, first, context, ROWS), answers(strategy, second, other, ROWS))


@pytest.mark.parametrize(("task", "outputs"), [("binary", 1), ("multiclass", 3), ("multilabel", 2), ("regression", 2)])
def test_weights_are_the_best_on_validation_rows(registry, task, outputs):
    context = context_of(Task(task), outputs, 5, seed=1)
    for place, each in enumerate(context.models.values()):  # members of different worth
        truth = context.targets if task != "multiclass" else torch.eye(3)[context.targets]
        each.table = each.table + 0.5 * place * (truth if task == "regression" else 2 * truth - 1)
    strategy = registry.create("ensemble", "voting", vote="weighted")
    outcome = drive(strategy, context, None)
    assert outcome.fitted_on_validation
    weights = outcome.state["weights"]
    assert (weights >= 0).all()
    assert abs(weights.sum() - 1) < 1e-9
    rows = context.validation_rows
    outputs = torch.stack([context.outputs_of(name, rows) for name in outcome.members]).double()

    def loss(values):
        return context.score(MeanOfMembers(context.task, torch.from_numpy(values))(outputs), rows)

    best = minimize(
        loss,
        torch.full((5,), 0.2).double().numpy(),
        method="SLSQP",
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda values: values.sum() - 1},
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert loss(weights.numpy()) == pytest.approx(best.fun, abs=3e-5)


def test_curve_has_a_point_for_every_number_of_members(registry):
    context = context_of(Task.BINARY, 1, 4)
    drive(registry.create("ensemble", "voting"), context, None)
    assert [len(each.members) for each in context.curve] == [1, 2, 3, 4]


def test_architectures_take_turns(registry):
    context = context_of(Task.REGRESSION, 1, 1, members=5)
    context.given, context.models = (), {}
    context.architectures = (registry.create("architecture", "mlp"), registry.create("architecture", "linear"))
    asked = []
    outcome = drive(
        registry.create("ensemble", "voting"), context, lambda each: asked.append(each) or Fixed(torch.zeros(60, 1))
    )
    assert [type(each.architecture).name for each in asked] == ["mlp", "linear", "mlp", "linear", "mlp"]
    assert len(outcome.members) == 5


def test_members_that_failed_are_left_out(registry):
    context = context_of(Task.REGRESSION, 1, 1)
    context.given, context.models = (), {}
    outcome = drive(
        registry.create("ensemble", "voting"),
        context,
        lambda each: None if each.identity == "member-3" else Fixed(torch.zeros(60, 1)),
    )
    assert len(outcome.members) == 9
    assert "member-3" not in outcome.members


def test_says_what_it_cannot_do(registry):
    context = context_of(Task.REGRESSION, 1, 2)
    with pytest.raises(ValueError, match='counts classes, but the task is regression; use vote = "soft"'):
        drive(registry.create("ensemble", "voting", vote="hard"), context, None)
    weighted = registry.create("ensemble", "voting", vote="weighted")
    context.validation_rows = None
    with pytest.raises(ValueError, match="fits its weights on validation rows, and there are none"):
        drive(weighted, context, None)
    positions = FakeContext(Task.BINARY, torch.zeros(60, 7, 1), 1, ROWS[:40], ROWS[40:])
    with pytest.raises(ValueError, match=r"needs one answer a row, but the target has positions: \(1, 7, 1\)"):
        drive(weighted, positions, None)


def test_soft_and_hard_votes_work_per_position(registry):
    tables = torch.randn(3, 60, 7, 4, generator=torch.Generator().manual_seed(0))
    for vote in ("soft", "hard"):
        combiner = registry.create("ensemble", "voting").combine(Task.MULTICLASS, {"vote": vote}, {})
        whole = combiner(tables)
        assert whole.shape == (60, 7, 4)
        torch.testing.assert_close(whole[:, 2], combiner(tables[:, :, 2]))


def test_estimators_answer_as_networks():
    """The stand-in of these tests: probabilities read from its outputs are the estimator's."""
    x, y = (torch.from_numpy(each) for each in load_iris(return_X_y=True))
    estimator = LogisticRegression().fit(x[:100], y[:100])
    outputs = Estimator(estimator, x, Task.BINARY).predict(torch.arange(100), {})
    torch.testing.assert_close(
        probabilities(outputs, Task.BINARY)[:, 0].numpy(), estimator.predict_proba(x[:100])[:, 1], rtol=1e-9, atol=1e-12
    )
