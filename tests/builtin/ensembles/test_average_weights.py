import pytest
from scripted import ScriptedContext, model, nobody, run, states_of

from dlcli import AveragedWeights, KeptStates


def test_one_network_and_the_mean_of_its_kept_epochs(registry):
    context = ScriptedContext(epochs=12, members=3)
    strategy = registry.create("ensemble", "average_weights")
    rounds, outcome = run(strategy, context, lambda wanted: states_of(wanted.identity, [9, 10, 12]))
    assert rounds[0][0].keep == KeptStates("last_n", 3)
    assert isinstance(outcome, AveragedWeights)
    assert outcome.like == "network-epoch-0012"
    assert outcome.members == ("network-epoch-0009", "network-epoch-0010", "network-epoch-0012")
    assert float(outcome.state["weight"]) == pytest.approx(31 / 3)
    assert int(outcome.state["count"]) == 12
    assert context.notes == []


def test_of_the_best_epochs_the_best_gives_its_counts(registry):
    given = tuple(states_of("digits-0001", [1, 2, 4, 10], [0.2, 0.1, 0.3, 0.9]))
    context = ScriptedContext(given=given, members=3)
    _, outcome = run(registry.create("ensemble", "average_weights", which="best"), context, nobody)
    assert outcome.like == "digits-0001-epoch-0002"
    assert float(outcome.state["weight"]) == pytest.approx(7 / 3)
    assert int(outcome.state["count"]) == 2


@pytest.mark.parametrize(("members", "weight", "names"), [(None, 4.0, "a b c"), (2, 4.5, "b c")])
def test_several_runs_all_or_the_best(registry, members, weight, names):
    given = (
        model("a", score=0.9, weight=3.0, start="s"),
        model("c", score=0.1, weight=4.0, start="s"),
        model("b", score=0.2, weight=5.0, start="s"),
    )
    context = ScriptedContext(given=given, members=members)
    _, outcome = run(registry.create("ensemble", "average_weights"), context, nobody)
    assert float(outcome.state["weight"]) == weight
    assert (outcome.like, " ".join(outcome.members)) == ("c", names)
    assert context.notes == []


def test_runs_without_a_common_start_are_told(registry):
    context = ScriptedContext(given=(model("a"), model("b")))
    run(registry.create("ensemble", "average_weights"), context, nobody)
    assert "did not start from the same weights" in context.notes[0]


def test_fewer_than_asked_for_are_told(registry):
    context = ScriptedContext(given=(model("a", start="s"), model("b", start="s")), members=3)
    run(registry.create("ensemble", "average_weights"), context, nobody)
    assert context.notes == ["there are 2 networks, not 3: all of them are averaged"]


def test_different_architectures_are_refused(registry):
    context = ScriptedContext(given=(model("a", score=0.1), model("b", score=0.2, structure="other")))
    with pytest.raises(ValueError, match="average_weights averages weights, but b is built or preprocessed otherwise"):
        run(registry.create("ensemble", "average_weights"), context, nobody)


def test_too_few_epochs(registry):
    with pytest.raises(
        ValueError, match="average_weights is to take 9 checkpoints, one an epoch, but train.epochs is 3"
    ):
        run(registry.create("ensemble", "average_weights"), ScriptedContext(members=9), nobody)
