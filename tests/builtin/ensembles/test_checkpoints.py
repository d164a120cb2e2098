import pytest
import torch
from scripted import ScriptedContext, model, nobody, run, states_of

from dlcli import Combination, KeptStates, Task


@pytest.mark.parametrize(("which", "kept"), [("last", "last_n"), ("best", "best_n")])
def test_one_network_and_its_kept_epochs(registry, which, kept):
    context = ScriptedContext(epochs=12, members=3)
    strategy = registry.create("ensemble", "checkpoints", which=which)
    rounds, outcome = run(strategy, context, lambda wanted: states_of(wanted.identity, [8, 9, 10]))
    ((wanted,),) = rounds
    assert wanted.identity == "network"
    assert wanted.keep == KeptStates(kept, 3)
    assert outcome == Combination(tuple(f"network-epoch-{epoch:04}" for epoch in (8, 9, 10)))


def test_five_by_default(registry):
    strategy = registry.create("ensemble", "checkpoints")
    context = ScriptedContext(epochs=5)
    rounds, _ = run(strategy, context, lambda wanted: states_of(wanted.identity, range(1, 6)))
    assert rounds[0][0].keep == KeptStates("last_n", 5)
    with pytest.raises(
        ValueError, match=r"checkpoints is to take 5 checkpoints.*train.epochs is 4; raise it, or lower"
    ):
        run(strategy, ScriptedContext(epochs=4), nobody)


@pytest.mark.parametrize(
    ("which", "direction", "members", "taken"),
    [
        ("last", "min", 2, [4, 10]),
        ("best", "min", 2, [1, 4]),
        ("best", "max", 2, [2, 10]),
        ("last", "min", None, [1, 2, 4, 10]),
    ],
)
def test_checkpoints_of_a_run_that_is_given(registry, which, direction, members, taken):
    given = tuple(states_of("digits-0001", [1, 2, 4, 10], [0.1, 0.8, 0.3, 0.9]))
    context = ScriptedContext(given=given, members=members, direction=direction)
    rounds, outcome = run(registry.create("ensemble", "checkpoints", which=which), context, nobody)
    assert rounds == []
    assert outcome.members == tuple(f"digits-0001-epoch-{epoch:04}" for epoch in taken)
    assert [len(reached.members) for reached in context.curve] == list(range(1, len(taken) + 1))
    assert context.curve[-1] == outcome


def test_fewer_checkpoints_than_asked_for_are_told(registry):
    context = ScriptedContext(given=tuple(states_of("digits-0001", [1, 2])), members=3)
    _, outcome = run(registry.create("ensemble", "checkpoints"), context, nobody)
    assert len(outcome.members) == 2
    assert context.notes == ["there are 2 checkpoints, not 3: all of them are used"]


def test_several_runs_are_refused(registry):
    context = ScriptedContext(given=(model("a-0001"), model("b-0002")))
    with pytest.raises(
        ValueError, match=r"combines those of one run, but 2 models are given: a-0001, b-0002; .*voting"
    ):
        run(registry.create("ensemble", "checkpoints"), context, nobody)


def test_probabilities_are_averaged(registry):
    outputs = torch.tensor([[[0.0, 2.0, 0.0]], [[1.0, 0.0, -1.0]]])
    combined = registry.create("ensemble", "checkpoints").combine(Task.MULTICLASS, {}, {})(outputs)
    torch.testing.assert_close(combined.exp(), outputs.softmax(-1).mean(0))
