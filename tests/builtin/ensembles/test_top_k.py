import math

import pytest
import torch
from scripted import ScriptedContext, model, nobody, run

from dlcli import Combination, Task

GIVEN = (model("run-10", score=0.4), model("run-9", score=0.1), model("run-8", score=0.2), model("run-1", score=0.3))


@pytest.mark.parametrize(
    ("direction", "members", "names"),
    [
        ("min", 2, ("run-8", "run-9")),
        ("max", 2, ("run-1", "run-10")),
        ("min", None, ("run-1", "run-8", "run-9", "run-10")),
        ("min", 1, ("run-9",)),
    ],
)
def test_the_best_in_natural_order(registry, direction, members, names):
    context = ScriptedContext(given=GIVEN, members=members, direction=direction)
    rounds, outcome = run(registry.create("ensemble", "top_k"), context, nobody)
    assert rounds == []
    assert outcome == Combination(names)
    assert [len(reached.members) for reached in context.curve] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("scale", [1.0, 1000.0])
@pytest.mark.parametrize("direction", ["min", "max"])
def test_weights_by_score(registry, scale, direction):
    """Distances 0, 1, 2 from the best have the mean 1.5 over the two others."""
    sign = 1 if direction == "min" else -1
    given = tuple(model(name, score=sign * scale * value) for name, value in (("c", 3.0), ("a", 2.0), ("b", 1.0)))
    context = ScriptedContext(given=given, direction=direction)
    strategy = registry.create("ensemble", "top_k", weights="score")
    _, outcome = run(strategy, context, nobody)
    sizes = torch.tensor([math.exp(-1 / 1.5), 1.0, math.exp(-2 / 1.5)], dtype=torch.float64)  # of a, b, c
    assert outcome.members == ("a", "b", "c")
    torch.testing.assert_close(outcome.state["weights"], sizes / sizes.sum())
    outputs = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    combined = strategy.combine(Task.REGRESSION, outcome.settings, outcome.state)(outputs)
    expected = (outputs.double() * (sizes / sizes.sum())[:, None, None]).sum(0).float()
    torch.testing.assert_close(combined, expected)


@pytest.mark.parametrize("count", [1, 3])
def test_equal_scores_have_equal_weights(registry, count):
    given = tuple(model(f"run-{place}", score=0.5) for place in range(count))
    _, outcome = run(registry.create("ensemble", "top_k", weights="score"), ScriptedContext(given=given), nobody)
    assert outcome.state["weights"].tolist() == pytest.approx([1 / count] * count)


def test_models_without_a_score_come_last_and_have_no_weight_by_score(registry):
    given = (model("a", score=float("nan")), model("b", score=0.1), model("c", score=0.2))
    context = ScriptedContext(given=given, members=2)
    _, outcome = run(registry.create("ensemble", "top_k", weights="score"), context, nobody)
    assert outcome.members == ("b", "c")
    with pytest.raises(ValueError, match="needs every model's validation score, but a have none; use weights = "):
        run(registry.create("ensemble", "top_k", weights="score"), ScriptedContext(given=given), nobody)


def test_more_than_are_given_are_refused(registry):
    context = ScriptedContext(given=GIVEN, members=5)
    with pytest.raises(ValueError, match="the best 5 models, but 4 are given; give more, or lower ensemble.members"):
        run(registry.create("ensemble", "top_k"), context, nobody)
