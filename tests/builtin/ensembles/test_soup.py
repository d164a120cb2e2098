import itertools

import pytest
from scripted import ScriptedContext, model, nobody, run

from dlcli import AveragedWeights, KeptStates

WEIGHTS = {"a": 0.0, "b": 4.0, "c": -2.5, "d": 9.0}


def given(**scores):
    return tuple(model(name, score=score, weight=WEIGHTS[name], start="s") for name, score in scores.items())


def wortsmans(order, target):
    """Recipe 1 of the paper: ingredients in order, kept where the loss of the mean does not grow."""
    soup = []
    for name in order:
        tried = [*soup, name]
        loss = lambda names: abs(sum(WEIGHTS[each] for each in names) / len(names) - target)  # noqa: E731
        if not soup or loss(tried) <= loss(soup):
            soup = tried
    return soup


@pytest.mark.parametrize("target", [0.0, 1.0, 2.0, 3.5, -1.0])
def test_it_is_the_papers_recipe(registry, target):
    for order in itertools.permutations(WEIGHTS):
        scores = {name: float(place) for place, name in enumerate(order)}
        context = ScriptedContext(
            given=given(**{name: scores[name] for name in WEIGHTS}),
            weigh=lambda state: abs(float(state["weight"]) - target),
        )
        rounds, outcome = run(registry.create("ensemble", "soup"), context, nobody)
        expected = wortsmans(order, target)
        assert rounds == []
        assert isinstance(outcome, AveragedWeights)
        assert outcome.members == tuple(sorted(expected))
        assert float(outcome.state["weight"]) == pytest.approx(sum(WEIGHTS[n] for n in expected) / len(expected))
        assert outcome.like == order[0]
        assert {like for _, like in context.weighed} == {order[0]}
        assert context.notes == []


def test_a_larger_value_may_be_better(registry):
    context = ScriptedContext(
        given=given(a=0.7, b=0.9, c=0.8), direction="max", weigh=lambda state: -abs(float(state["weight"]) - 2.0)
    )
    _, outcome = run(registry.create("ensemble", "soup"), context, nobody)
    assert (outcome.like, outcome.members) == ("b", ("b", "c"))  # 4; 0.75 with c is closer to 2; 0.5 with a is not


def test_an_equal_mean_goes_in_and_one_that_is_no_number_does_not(registry):
    context = ScriptedContext(given=given(a=0.1, b=0.2), weigh=lambda state: 1.0)
    _, outcome = run(registry.create("ensemble", "soup"), context, nobody)
    assert outcome.members == ("a", "b")
    context = ScriptedContext(
        given=given(a=0.1, b=0.2), weigh=lambda state: float("nan") if float(state["weight"]) else 1.0
    )
    _, outcome = run(registry.create("ensemble", "soup"), context, nobody)
    assert outcome.members == ("a",)


def test_only_the_best_that_were_asked_for_are_tried(registry):
    context = ScriptedContext(given=given(a=0.3, b=0.1, c=0.2), members=2, weigh=lambda state: 1.0)
    _, outcome = run(registry.create("ensemble", "soup"), context, nobody)
    assert outcome.members == ("b", "c")


def train(wanted):
    place = 0 if wanted.identity == "start" else int(wanted.identity.removeprefix("member-"))
    return [model(wanted.identity, score=1.0 + place, weight=float(place), start="s")]


@pytest.mark.parametrize(
    ("epochs", "shared", "members", "expected"),
    [(30, 0.5, None, (15, 15, 8)), (10, 0.7, 3, (7, 3, 3)), (2, 0.9, 2, (1, 1, 2)), (3, 0.1, 2, (1, 2, 2))],
)
def test_members_that_share_a_start(registry, epochs, shared, members, expected):
    context = ScriptedContext(epochs=epochs, members=members, weigh=lambda state: float(state["weight"]))
    (first, rest), outcome = run(registry.create("ensemble", "soup", shared=shared), context, train)
    assert [(each.identity, each.epochs, each.keep) for each in first] == [("start", expected[0], KeptStates())]
    assert [each.identity for each in rest] == [f"member-{place}" for place in range(expected[2])]
    assert {each.epochs for each in rest} == {expected[1]}
    assert all(float(each.initial_state["weight"]) == 0.0 for each in rest)
    assert outcome.members == ("member-0",)
    assert context.notes == []


def test_members_without_a_common_start_are_told(registry):
    context = ScriptedContext(given=(model("a"), model("b")), weigh=lambda state: 1.0)
    run(registry.create("ensemble", "soup"), context, nobody)
    assert "did not start from the same weights" in context.notes[0]


def test_what_it_cannot_do(registry):
    strategy = registry.create("ensemble", "soup")
    assert strategy.needs_validation
    with pytest.raises(ValueError, match="soup trains in two parts, but train.epochs is 1; give it at least 2"):
        run(strategy, ScriptedContext(epochs=1), nobody)
    other = (model("a", score=0.1), model("b", score=0.2, structure="other"))
    with pytest.raises(ValueError, match="soup averages weights, but b is built or preprocessed otherwise than a"):
        run(strategy, ScriptedContext(given=other), nobody)
    with pytest.raises(ValueError, match="greater than 0"):
        registry.create("ensemble", "soup", shared=0.0)
