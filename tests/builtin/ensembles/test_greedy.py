"""Greedy selection, against a plain re-implementation and its laws."""

import numpy as np
import pytest
import torch
from plans import FakeContext, Fixed, answers, drive, result

from dlcli import Task

ROWS = torch.arange(90)


def context_of(count, seed, figure=None, direction="min", signal=1.0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(3, (90,), generator=generator)
    context = FakeContext(
        Task.MULTICLASS, targets, 3, ROWS[:40], ROWS[40:80], figure=figure, direction=direction, seed=seed
    )
    for place in range(count):
        table = torch.randn(90, 3, generator=generator) + signal * torch.eye(3)[targets]
        context.models[f"run-{place}"] = Fixed(table.double())
    context.given = tuple(result(name) for name in context.models)
    return context


def negative_log_likelihood(probabilities, target):
    return -np.log(np.clip(probabilities, 1e-7, 1 - 1e-7)[np.arange(len(target)), target]).mean()


def by_brute_force(probabilities, target, steps):
    """Caruana's selection in NumPy: the chosen places, cut at the best step."""
    chosen, scores = [], []
    for _ in range(steps):
        tried = {}
        for place in range(len(probabilities)):
            mean = np.mean([probabilities[each] for each in [*chosen, place]], axis=0)
            tried[place] = negative_log_likelihood(mean, target)
        best = min(tried, key=tried.get)
        chosen.append(best)
        scores.append(tried[best])
    return chosen[: int(np.argmin(scores)) + 1]


@pytest.mark.parametrize("seed", range(10))
def test_chooses_as_brute_force_does(registry, seed):
    context = context_of(8, seed)
    outcome = drive(registry.create("ensemble", "greedy"), context, None)
    tables = [torch.softmax(each.table[40:80], dim=-1).numpy() for each in context.models.values()]
    chosen = by_brute_force(tables, context.targets[40:80].numpy(), 25)
    counts = dict(zip(outcome.members, outcome.state["weights"].tolist(), strict=True))
    assert counts == {f"run-{place}": chosen.count(place) for place in sorted(set(chosen))}
    assert len(context.curve) == 25
    assert context.curve[0].state["weights"].tolist() == [1.0]


def accuracy(output, target):
    return float((output.argmax(-1) == target).double().mean())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("initial", [1, 3])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_is_never_below_its_best_member(registry, seed, initial, direction):
    context = context_of(6, seed, accuracy if direction == "max" else None, direction, signal=0.2)
    strategy = registry.create("ensemble", "greedy", initial=initial, steps=10)
    outcome = drive(strategy, context, None)
    rows = context.validation_rows
    alone = [context.score(each.predict(rows, {}), rows) for each in context.models.values()]
    reached = context.score(answers(strategy, outcome, context, rows), rows)
    assert reached >= max(alone) if direction == "max" else reached <= min(alone)


def test_order_of_given_members_does_not_matter(registry):
    context, other = context_of(12, 0), context_of(12, 0)
    other.given = context.given[::-1]
    strategy = registry.create("ensemble", "greedy")
    first, second = drive(strategy, context, None), drive(strategy, other, None)
    assert first.members == second.members
    assert torch.equal(first.state["weights"], second.state["weights"])


def test_ties_prefer_members_already_chosen_then_the_first_by_identity(registry):
    context = context_of(3, 0)
    for each in context.models.values():
        each.table = context.models["run-1"].table
    asked = []
    context.figure = lambda output, target: asked.append(1) or 0.5
    outcome = drive(registry.create("ensemble", "greedy", steps=4), context, None)
    assert outcome.members == ("run-0",)
    assert [each.members for each in context.curve] == [("run-0",)] * 4
    assert context.curve[-1].state["weights"].tolist() == [4.0]
    assert outcome.state["weights"].tolist() == [1.0]  # the first of equal steps


def test_starts_from_the_best_few(registry):
    context = context_of(5, 3)
    rows = context.validation_rows
    drive(registry.create("ensemble", "greedy", initial=3), context, None)
    scores = {name: context.score(each.predict(rows, {}), rows) for name, each in context.models.items()}
    best = sorted(scores, key=scores.get)
    assert [set(each.members) for each in context.curve[:3]] == [set(best[:count]) for count in (1, 2, 3)]
    drive(registry.create("ensemble", "greedy", initial=9, steps=9), context, None)  # more than there are


def test_trains_members_where_none_are_given(registry):
    context = context_of(10, 0)
    models, context.models, context.given = context.models, {}, ()
    outcome = drive(
        registry.create("ensemble", "greedy"), context, lambda asked: models[asked.identity.replace("member", "run")]
    )
    assert list(context.models) == [f"member-{place}" for place in range(10)]
    assert set(outcome.members) <= set(context.models)


def test_looks_at_validation_rows_alone(registry):
    context = context_of(4, 0)
    context.outputs_of = lambda identity, rows: (
        context.models[identity].table[rows] if torch.equal(rows, ROWS[40:80]) else pytest.fail("other rows")
    )
    drive(registry.create("ensemble", "greedy"), context, None)


def test_a_score_that_is_no_number_is_worst(registry):
    context = context_of(2, 0)
    first = context.models["run-0"].table[40:80]
    context.figure = lambda output, target: float("nan") if torch.equal(output, first) else 0.5
    assert drive(registry.create("ensemble", "greedy", steps=1), context, None).members == ("run-1",)


def test_says_what_it_cannot_do(registry):
    context = context_of(2, 0)
    context.validation_rows = None
    with pytest.raises(ValueError, match="by their scores on validation rows, and there are none"):
        drive(registry.create("ensemble", "greedy"), context, None)
